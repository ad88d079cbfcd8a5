"""Steps over time, matrices that are read before they are written: one answer on two engines, near that of torch."""

from __future__ import annotations

import pytest

from tests.recurrent.bench import run

ROWS = (
    ("delta_net", ["int16"], 29.6),
    ("gated_delta_net", ["int16"], 28.1),
    ("kda", ["int16"], 29.3),
    ("channel_delta", ["int16"], 29.7),
    ("comba", ["int16"], 29.6),
    ("rwkv7", ["int8", "int16"], 26.2),
)
"""Name, how the states are stored, least SQNR in dB."""


@pytest.mark.parametrize(("name", "storages", "floor"), ROWS, ids=[name for name, *_ in ROWS])
def test_steps(name: str, storages: list[str], floor: float):
    found = run(name, 64)
    assert found.storages == storages
    assert found.sqnr > floor
