"""What is known of the exponents of an input in blocks, on their way to a product."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgegate.targets.schedules._block_weights import greatest_exponent
from tests.targets.schedules.net import Net

ROUNDING = {"digits": 0, "top": 6, "rule": 0, "rounding": 0, "overflow": 0, "input_zero_point": 0}


def exponents(net: Net) -> ir.Value:
    """Of int16 in blocks of 8 with 8-bit significands: 9 at most."""
    x = net.given(np.zeros((1, 4, 16), np.int16))
    quantize = net.op("BlockQuantize", x, block=8, low=-127, high=127, **ROUNDING).producer()
    assert quantize is not None
    return quantize.outputs[1]


def moved(op_type: str, *inputs: ir.Value) -> ir.Value:
    return ir.node(op_type, list(inputs)).outputs[0]


def test_windows_with_zeros_outside_the_image_keep_the_greatest_exponent() -> None:
    net = Net()
    bordered = moved("Concat", exponents(net), net.constant(np.zeros((1, 1, 2), np.int8)))
    windows = moved("Reshape", moved("Gather", bordered, net.constant(np.array([0, 4, 1]))))
    assert greatest_exponent(windows) == 9


@pytest.mark.parametrize("beside", ["a constant", "an input", "other exponents"])
def test_what_else_joins_them_may_be_greater(beside: str) -> None:
    net = Net()
    others = {
        "a constant": net.constant(np.full((1, 1, 2), 20, np.int8)),
        "an input": net.given(np.zeros((1, 1, 2), np.int8)),
        "other exponents": exponents(net),
    }
    assert greatest_exponent(moved("Concat", exponents(net), others[beside])) is None


def test_nothing_is_known_of_inputs_and_of_other_ops() -> None:
    net = Net()
    given = net.given(net.bytes(2, 2))
    assert greatest_exponent(given) is None
    assert greatest_exponent(moved("Reshape", given)) is None
    assert greatest_exponent(net.rescale(given)) is None
