"""Softmaxes in random integer graphs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import shape
from edgegate.ops._softmax import tables
from tests.integer_net import INT8, INT16, LONG, UINT8, Net, dtype_of
from tests.integer_pieces import rescale


def softmax(net: Net, x: ir.Value) -> None:
    """Steep and flat ones, some with a mask of any density, which may hide whole rows."""
    if dtype_of(x) == LONG:
        x = rescale(net, x)
    to = net.random.choice([UINT8, INT16, INT16, INT8])
    most = {INT8: 7, UINT8: 8, INT16: 15}[to]
    step = 2.0 ** -net.random.randint(3, 6) if dtype_of(x).itemsize == 1 else 2.0 ** -net.random.randint(9, 13)
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
