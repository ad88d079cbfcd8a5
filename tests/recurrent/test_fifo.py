"""Steps over time, queues that are stored as what enters them: one answer on two engines, near that of torch."""

from __future__ import annotations

import pytest

from tests.recurrent import fifo
from tests.recurrent.bench import check
from tests.recurrent.table import of


@pytest.mark.parametrize("name", of(fifo))
def test_steps(name):
    check(name, 64)
