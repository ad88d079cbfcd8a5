"""Steps over time, gates that read the state: one answer on two engines, near that of torch."""

from __future__ import annotations

import pytest

from tests.recurrent.bench import run

ROWS = (
    ("gru", ["int16"], 33.9),
    ("lstm", ["int16", "int16"], 36.4),
    ("s_lstm", ["int16", "int16", "int16", "int16"], 28.8),
)
"""Name, how the states are stored, least SQNR in dB."""


@pytest.mark.parametrize(("name", "storages", "floor"), ROWS, ids=[name for name, *_ in ROWS])
def test_steps(name: str, storages: list[str], floor: float):
    found = run(name, 64)
    assert found.storages == storages
    assert found.sqnr > floor
