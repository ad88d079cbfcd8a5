"""Motifs of random integer graphs: products of activations of any widths, and sums along an axis."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import shape
from tests.integer_net import INT8, INT16, INT32, LONG, Net, dtype_of
from tests.integer_pieces import rescale, spatial

INT64 = 7


def wide_product(net: Net, x: ir.Value) -> None:
    """Scores, or what is weighed by them: two activations, one of 16 bits or of 24, perhaps one batch for many."""
    x = spatial(net, x, (3,))
    rows = rescale(net, x, net.random.choice([INT8, INT16])) if net.random.random() < 0.5 else x
    other = net.move("Transpose", [x], perm=[0, 2, 1])
    if net.random.random() < 0.3:
        other = net.move("Gather", [other, net.constant(np.array([0], np.int64))], axis=0)
    if net.random.random() < 0.2:
        other = net.one("Sum", [other], {"axes": [0], "keepdims": 1, "input_zero_point": 0})
    if net.random.random() < 0.5:
        rows, other = net.move("Transpose", [other], perm=[0, 2, 1]), net.move("Transpose", [rows], perm=[0, 2, 1])
    zeros = {f"{side}_zero_point": _zero(net, v) for side, v in (("a", rows), ("b", other))}
    net.keep(rescale(net, net.one("MatMul16", [rows, other], zeros)))


def running(net: Net, x: ir.Value) -> None:
    """Running sums along any axis, either way."""
    to, length = net.random.choice([INT32, INT64]), len(shape(x))
    one = [net.constant(np.array([1 << 30], np.int32)), net.constant(np.array([30], np.int32))]
    limits = {"low": -(1 << 16), "high": 1 << 16, "to": to}
    plain = {"input_zero_point": _zero(net, x), "output_zero_point": 0}
    wide = net.one("Rescale", [x, *one], {**plain, **limits})
    axis = net.constant(np.array(net.random.randrange(-length, length), np.int64))
    ways = {key: net.random.randint(0, 1) for key in ("exclusive", "reverse")}
    net.keep(rescale(net, net.move("CumSum", [wide, axis], **ways)))


def _zero(net: Net, x: ir.Value) -> int:
    return 0 if dtype_of(x) == LONG else net.zero_point(dtype_of(x))
