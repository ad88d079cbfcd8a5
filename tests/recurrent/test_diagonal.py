"""Steps over time, factors for each element of the state: one answer on two engines, near that of torch."""

from __future__ import annotations

import pytest

from tests.recurrent.bench import run

ROWS = (
    ("min_gru", ["int16"], 34.0),
    ("min_lstm", ["int16"], 32.7),
    ("hgrn", ["int16"], 24.5),
    ("qrnn", ["int16"], 32.4),
    ("rg_lru", ["int16"], 30.8),
    ("gate_loop", ["int16"], 24.8),
    ("block_recurrent", ["int16"], 34.3),
)
"""Name, how the states are stored, least SQNR in dB."""


@pytest.mark.parametrize(("name", "storages", "floor"), ROWS, ids=[name for name, *_ in ROWS])
def test_steps(name: str, storages: list[str], floor: float):
    found = run(name, 64)
    assert found.storages == storages
    assert found.sqnr > floor
