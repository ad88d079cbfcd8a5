"""Quotients in random integer graphs."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.ops.divide import LARGEST_SHIFT
from tests.integer_net import BYTES, SHORT, Net, dtype_of
from tests.integer_pieces import activation, some_type, target


def quotient(net: Net, x: ir.Value) -> None:
    """A value by a function of it, whose zeros are met; often a power of two, which hits ties."""
    divisor = activation(net, x)
    if dtype_of(divisor) not in (*BYTES, SHORT):
        divisor = x
    multiplier = net.random.choice([1 << 30, 1 << 30, net.random.randrange(1 << 30, 1 << 31)])
    zeros = {"a_zero_point": net.zero_point(dtype_of(x)), "b_zero_point": net.zero_point(dtype_of(divisor))}
    factor = {"multiplier": multiplier, "shift": net.random.choice([22, 26, 29, LARGEST_SHIFT])}
    to = target(net, some_type(net))
    to["low"] = min(to["low"], to["output_zero_point"])
    to["high"] = max(to["high"], to["output_zero_point"])
    net.keep(net.one("Divide", [x, divisor], {**zeros, **factor, **{k: int(v) for k, v in to.items()}}))
