"""Steps over time, queues that are stored as what enters them: one answer on two engines, near that of torch."""

from __future__ import annotations

import pytest

from tests.recurrent.bench import run

ROWS = (
    ("short_conv", ["int8"], 22.3),
    ("wavenet", ["int8"], 34.7),
    ("fsmn", ["int8", "int8"], 26.7),
    ("gated_tsm", ["int8"], 27.9),
    ("lgtsm", ["int8"], 26.8),
)
"""Name, how the states are stored, least SQNR in dB."""


@pytest.mark.parametrize(("name", "storages", "floor"), ROWS, ids=[name for name, *_ in ROWS])
def test_steps(name: str, storages: list[str], floor: float):
    found = run(name, 64)
    assert found.storages == storages
    assert found.sqnr > floor
