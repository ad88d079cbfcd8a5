"""Routes in random integer graphs: the greatest of an axis, what is picked and put by their places, and bools."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import shape
from tests.integer_net import Net, dtype_of

BOOL = 9
TYPES = {"int8": 3, "uint8": 2, "int16": 5}


def route(net: Net, x: ir.Value) -> None:
    """The first few of an axis; by their places elements of the same value, put where the first ones were."""
    axis = net.random.randrange(len(shape(x)))
    count = net.constant(np.array([net.random.randint(1, shape(x)[axis])], np.int64))
    settings = {"axis": axis, "largest": net.random.randint(0, 1), "sorted": 1}
    values, places = net.add("TopK", [x, count], settings, domain="")
    turned = net.move("GatherElements", [x, places], axis=axis)
    put = net.move("ScatterElements", [x, places, values], axis=axis, reduction="none")
    net.keep(values, turned, put)


def counted(net: Net, x: ir.Value) -> None:
    """How often elements of an axis are among the first, onto numbers that were there."""
    axis = net.random.randrange(len(shape(x)))
    count = net.constant(np.array([net.random.randint(1, shape(x)[axis])], np.int64))
    values, places = net.add("TopK", [x, count], {"axis": axis, "largest": 1, "sorted": 1}, domain="")
    start, ones = (net.move("Cast", [v], to=6) for v in (x, values))
    sums = net.move("ScatterElements", [start, places, ones], axis=axis, reduction="add")
    least = net.move("Max", [net.move("Min", [sums, net.constant(np.int32(99))]), net.constant(np.int32(0))])
    net.keep(net.move("Cast", [least], to=3))


def choice(net: Net, x: ir.Value) -> None:
    """Bools of two comparisons, put together, as numbers or to choose by."""
    kind = dtype_of(x)
    level = net.constant(np.array(net.random.choice([0, 1, 2, 100]), kind))
    first = net.move(net.random.choice(["Greater", "Less", "Equal"]), [x, level])
    second = net.move("Cast", [x], to=BOOL)
    op = net.random.choice(["And", "Or", "Xor"])
    both = net.move(op, [first, net.move("Not", [second]) if net.random.random() < 0.7 else second])
    net.keep(net.move("Cast", [both], to=TYPES[kind.name]))
