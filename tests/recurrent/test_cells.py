"""Steps over time, gates that read the state: one answer on two engines, near that of torch."""

from __future__ import annotations

import pytest

from tests.recurrent import cells
from tests.recurrent.bench import check
from tests.recurrent.table import of


@pytest.mark.parametrize("name", of(cells))
def test_steps(name):
    check(name, 64)
