"""Integers of a matrix state reach what a float state makes of the same bytes."""

from __future__ import annotations

import pytest

from tests.recurrent.ceilings import DECAYS, RULES, measured


@pytest.mark.parametrize(("rule", "decay", "given"), [("linear", 0.9999, False), ("delta", 0.9, True)])
def test_a_state_of_integers_costs_nothing(rule, decay, given):
    check(measured(rule, decay, 256, given=given), decay)


@pytest.mark.slow
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("rule", RULES)
def test_over_4096_steps(rule, decay, given):
    check(measured(rule, decay, 4096, given=given), decay)


def check(result, decay):
    assert result.found > result.ceiling - 1 and result.ceiling > 30, result
    assert result.state == ("int32" if decay > 0.9998 else "int16")
