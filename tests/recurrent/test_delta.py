"""Steps over time, matrices that are read before they are written: one answer on two engines, near that of torch."""

from __future__ import annotations

import pytest

from tests.recurrent import delta
from tests.recurrent.bench import check
from tests.recurrent.table import of


@pytest.mark.parametrize("name", of(delta))
def test_steps(name):
    check(name, 64)
