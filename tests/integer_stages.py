"""Cuts between stages in random integer graphs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import shape
from tests.integer_net import Net
from tests.integer_pieces import rescale

INT32 = 6


def cut(net: Net, x: ir.Value) -> None:
    """A value that goes on by a bit for each sample, which is seen outside."""
    dims = shape(x)
    rows = net.reshape(x, dims[0], int(np.prod(dims[1:])))
    first = net.move("Gather", [rows, net.constant(np.array([0], np.int64))], axis=1)
    bit = net.move("Greater", [rescale(net, first, INT32), net.constant(np.array([3], np.int32))])
    net.keep(net.one("StageGate", [x, bit]))
