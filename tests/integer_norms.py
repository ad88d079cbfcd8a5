"""Norms over rows in random integer graphs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import shape
from tests.integer_net import INT8, INT16, LONG, UINT8, Net, dtype_of
from tests.integer_pieces import rescale, some_type


def norm(net: Net, x: ir.Value) -> None:
    """A norm of any kind over the last axis; its largest result uses the range of the type, or is cut."""
    if dtype_of(x) == LONG:
        x = rescale(net, x)
    size, to = shape(x)[-1], some_type(net)
    parts = net.random.choice([0, size, net.random.randint(1, size)])
    most = {INT8: 7, UINT8: 7, INT16: 15}[to]
    grown = 0.5 * np.log2(parts) if parts else 0  # with parts the result reaches sqrt(n - 1), without it 1
    shift = int(np.clip(30 - most + round(grown) + net.random.choice([-1, 0, 0, 1]), 1, 32))
    multiplier = net.random.choice([1 << 30, 1 << 30, net.random.randrange(1 << 30, 1 << 31)])
    low, high = {INT8: (-128, 127), UINT8: (0, 255), INT16: (-32768, 32767)}[to]
    middle = net.random.choice([0, 3]) if to != INT16 else 0
    bounds = {"output_zero_point": 128 if to == UINT8 else middle, "low": low, "high": high}
    factor = {"multiplier": multiplier, "shift": shift, "epsilon": net.random.choice([0, 0, 1, 500])}
    settings = {"zero_point": net.zero_point(dtype_of(x)), "parts": parts, **factor, **bounds, "to": to}
    net.keep(net.one("RowNorm", [x], settings))
