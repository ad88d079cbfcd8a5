"""Integers of a matrix state reach what a float state makes of the same bytes."""

from __future__ import annotations

import pytest

from tests.recurrent.ceilings import DECAYS, RULES, measured


@pytest.mark.parametrize(("rule", "decay"), [("linear", 0.99), ("delta", 0.9)])
def test_a_state_of_integers_costs_nothing(rule, decay):
    result = measured(rule, decay, 256)
    assert result.found > result.ceiling - 1 and result.ceiling > 30, result


@pytest.mark.slow
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("rule", RULES)
def test_over_4096_steps(rule, decay):
    result = measured(rule, decay, 4096)
    assert result.found > result.ceiling - 1 and result.ceiling > 30, result
