"""Steps over time, matrices that decay and grow by outer products: one answer on two engines, near that of torch."""

from __future__ import annotations

import pytest

from tests.recurrent.bench import run

ROWS = (
    ("gla", ["int16"], 31.2),
    ("retnet", ["int16"], 27.0),
    ("lightning", ["int16"], 30.7),
    ("hgrn2", ["int16"], 33.4),
    ("mamba1", ["int8", "int16"], 30.3),
    ("mamba2", ["int8", "int16"], 23.8),
    ("mlstm", ["int16", "int16", "int16"], 24.3),
    ("log_linear", ["int16"], 32.3),
)
"""Name, how the states are stored, least SQNR in dB."""


@pytest.mark.parametrize(("name", "storages", "floor"), ROWS, ids=[name for name, *_ in ROWS])
def test_steps(name: str, storages: list[str], floor: float):
    found = run(name, 64)
    assert found.storages == storages
    assert found.sqnr > floor
