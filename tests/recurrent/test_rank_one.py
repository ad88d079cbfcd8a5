"""Steps over time, matrices that decay and grow by outer products: one answer on two engines, near that of torch."""

from __future__ import annotations

import pytest

from tests.recurrent import rank_one
from tests.recurrent.bench import check
from tests.recurrent.table import of


@pytest.mark.parametrize("name", of(rank_one))
def test_steps(name):
    check(name, 64)
