"""Every step 4,096 times: one answer of interpreter, ONNX Runtime and program, and no drift away from torch."""

from __future__ import annotations

import pytest

from tests.recurrent.bench import check, run
from tests.recurrent.table import STEPS


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_4096_steps(name):
    check(name, 4096, program=True)


def test_what_few_quotients_decide_is_as_near_as_weights_of_8_bits_allow():
    found = run("mlstm", 256)
    assert found.sqnr > found.ceiling - 2, found
