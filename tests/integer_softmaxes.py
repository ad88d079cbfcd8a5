"""Softmaxes in random integer graphs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import shape
from edgegate.ops._softmax import tables
from edgegate.ops.log_softmax import logarithms
from tests.integer_net import INT8, INT16, LONG, UINT8, Net, dtype_of
from tests.integer_pieces import rescale, some_type


def softmax(net: Net, x: ir.Value) -> None:
    """Steep and flat ones, some with a mask of any density, which may hide whole rows."""
    if dtype_of(x) == LONG:
        x = rescale(net, x)
    to = net.random.choice([UINT8, INT16, INT16, INT8])
    most = {INT8: 7, UINT8: 8, INT16: 15}[to]
    step = _step(net, x)
    settings = {
        "bits": most + net.random.choice([0, 0, 2]),
        "low": 0,
        "high": (1 << most) - 1,
        "to": to,
    }
    both = [net.constant(table) for table in tables(step)]
    if net.random.random() < 0.5:
        net.keep(net.one("Softmax", [x, *both], settings))
        return
    dims = [d if net.random.random() < 0.7 else 1 for d in shape(x)]
    keep = net.constant(np.asarray(net.data.random(dims) < net.random.choice([0.3, 0.7, 1])))
    net.keep(net.one("MaskedSoftmax", [x, keep, *both], settings))


def log_softmax(net: Net, x: ir.Value) -> None:
    """Steep and flat ones; the farthest element uses the range of the type, or is cut."""
    if dtype_of(x) == LONG:
        x = rescale(net, x)
    to, step, shift = some_type(net), _step(net, x), net.random.randint(20, 40)
    least, most = {INT8: (-128, 127), UINT8: (0, 255), INT16: (-32768, 32767)}[to]
    unit = 2.0**shift * (most - least) / net.random.choice([2, 8, 30])
    slopes = {"slope": round(unit * step), "nat": round(unit * 2.0**-30), "shift": shift}
    limits = {"output_zero_point": most, "low": least, "high": most, "to": to}
    constants = [net.constant(table) for table in (*tables(step), logarithms())]
    net.keep(net.one("LogSoftmax", [x, *constants], {**slopes, **limits}))


def _step(net: Net, x: ir.Value) -> float:
    return 2.0 ** -(net.random.randint(3, 6) if dtype_of(x).itemsize == 1 else net.random.randint(9, 13))
