"""Random valid integer graphs over the whole op table: what the gated families lower to, and odder things.

``graph(seed)`` draws motifs (a layer, a gated pair, a squeeze-and-excite gate, a chunk, ...) until there are enough
nodes. The same seed gives the same graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import shape
from edgegate.ops import OPS
from tests.integer_blocks import block_layer, blocks, transform
from tests.integer_logic import logic
from tests.integer_masks import masked_pair
from tests.integer_net import BYTES, INT32, SHORT, Net, dtype_of
from tests.integer_norms import norm
from tests.integer_pieces import (
    CHANNELS,
    activation,
    add,
    clip,
    geometry,
    layer,
    product,
    rescale,
    spatial,
    table,
    windows,
)
from tests.integer_products import running, wide_product
from tests.integer_quotients import quotient
from tests.integer_routes import choice, counted, route
from tests.integer_softmaxes import log_softmax, softmax
from tests.integer_stages import cut

CLAIMED = set(OPS)
"""Domain and type of the ops that the graphs are made of: the whole table."""
STORED = (*BYTES, SHORT)


def graph(seed: int, motifs: int | None = None) -> tuple[ir.Model, list[dict[str, Any]]]:
    """The model of a seed and feeds for it; of its first ``motifs`` motifs alone, if told."""
    net = Net(seed)
    channels, height, width = net.random.choice(CHANNELS), net.random.randint(1, 7), net.random.randint(1, 7)
    dims = net.random.choice([(1, height, width, channels), (2, height, width, channels), (2, height, channels)])
    for _ in range(net.random.choice([1, 1, 1, 2])):
        net.input(net.random.choice([np.int8, np.int8, np.int8, np.uint8, np.int16]), dims)
    wanted, done = net.random.randint(3, 12), 0
    while len(net.graph) < wanted and (motifs is None or done < motifs) and (x := net.pick(*STORED)) is not None:
        net.random.choice(MOTIFS)(net, x)
        done += 1
    model = net.model()
    rows = zip(*(net.samples[v] for v in model.graph.inputs), strict=True)
    return model, [{str(v.name): s for v, s in zip(model.graph.inputs, row, strict=True)} for row in rows]


def partner(net: Net, x: ir.Value) -> ir.Value:
    """Another stored value of the same shape, made from ``x`` if there is none."""
    others = [v for v in net.live if v is not x and shape(v) == shape(x) and dtype_of(v) in STORED]
    return net.random.choice(others) if others else activation(net, x)


def plain(net: Net, x: ir.Value) -> None:
    """A layer and what follows it."""
    x = spatial(net, x, (2, 3, 4))
    net.keep(activation(net, rescale(net, layer(net, x, geometry(net, x)))))


def gated_pair(net: Net, x: ir.Value) -> None:
    """Two layers that read the same, one of them behind a gate's function."""
    x = spatial(net, x, (2, 3, 4))
    made = geometry(net, x)
    value, gate = (rescale(net, layer(net, x, made)) for _ in "vg")
    net.keep(product(net, activation(net, value), table(net, gate) if dtype_of(gate) in BYTES else gate))


def chunk(net: Net, x: ir.Value) -> None:
    """One layer for value and gate, told apart before or after its Rescale; or parts of several sizes."""
    x = spatial(net, x, (2, 3, 4))
    half = net.random.choice(CHANNELS[:14])
    value = layer(net, x, geometry(net, x, 2 * half))
    if net.random.random() < 0.8:
        value = rescale(net, value)
    if dtype_of(value) in BYTES and net.random.random() < 0.2:
        value = net.random.choice([clip, table])(net, value)
    total = shape(value)[-1]
    even = total % 2 == 0 and net.random.random() < 0.8
    sizes = [total // 2] * 2 if even else [1, total - 1] if total > 1 else [1]
    split = [value, net.constant(np.array(sizes, np.int64))]
    parts = net.add("Split", split, {"axis": net.random.choice([-1, len(shape(value)) - 1])}, domain="")
    stored = [p if dtype_of(p) in STORED else rescale(net, p) for p in parts]
    gate = activation(net, stored[-1])
    net.keep(product(net, stored[0], gate)) if even else net.keep(*stored, gate)


def squeeze_excite(net: Net, x: ir.Value) -> None:
    """A gate for each channel, from the mean of each channel."""
    x = spatial(net, x, (3, 4))
    zero, axes = net.zero_point(dtype_of(x)), list(range(1, len(shape(x)) - 1))
    mean = rescale(net, net.one("Sum", [x], {"axes": axes, "keepdims": 1, "input_zero_point": zero}))
    channels = shape(x)[-1]
    wide = "16x8" if dtype_of(mean) == SHORT else ""
    zeros = {} if wide else {"a_zero_point": net.zero_point(dtype_of(mean)), "b_zero_point": 0}
    gate = rescale(net, layer(net, mean, (f"MatMul{wide}", (channels, channels), zeros)))
    net.keep(product(net, x, table(net, gate) if dtype_of(gate) in BYTES else gate))


def residual(net: Net, x: ir.Value) -> None:
    """A sum of two values, one of them perhaps one number for each channel, or one for each pixel."""
    other = partner(net, x)
    if net.random.random() < 0.2:
        axis = net.random.randrange(len(shape(x)))
        other = net.move("Gather", [other, net.constant(np.array([-1], np.int64))], axis=axis)
    net.keep(add(net, x, other) if net.random.random() < 0.6 else product(net, x, other))


def pool(net: Net, x: ir.Value) -> None:
    """The greatest value of windows, or their mean."""
    x = spatial(net, x if dtype_of(x) in BYTES else rescale(net, x, 3), (4,))
    plane = windows(net, x)
    if net.random.random() < 0.5:
        net.keep(net.one("MaxPool2d", [x], plane))
        return
    if any(s + p < k for s, p, k in zip(shape(x)[1:3], plane["pads"], plane["kernel"], strict=False)):
        plane |= {"kernel": [1, 1], "pads": [0, 0, 0, 0]}
    plane.pop("dilations")
    net.keep(rescale(net, net.one("SumPool2d", [x], {**plane, "input_zero_point": net.zero_point(dtype_of(x))})))


def resize(net: Net, x: ir.Value) -> None:
    """Larger or smaller: linear, or nearest by two Gathers."""
    x = spatial(net, x if dtype_of(x) in BYTES else rescale(net, x, 3), (4,))
    sides = shape(x)[1:3]
    lengths = [net.random.choice([s, 2 * s, (s + 1) // 2, 3]) for s in sides]
    if net.random.random() < 0.5:
        for axis, (size, length) in enumerate(zip(sides, lengths, strict=True), 1):
            x = net.move("Gather", [x, net.constant(np.arange(length) * size // length)], axis=axis)
        net.keep(x)
        return
    taps = []
    for size, length in zip(sides, lengths, strict=True):
        first = np.sort(net.data.integers(0, size, length))
        weight = net.data.choice([0, 32, 64, 127, 128], length)
        taps += [np.stack([first, np.minimum(first + 1, size - 1)], 1), np.stack([128 - weight, weight], 1)]
    constants = [net.constant(t.astype(np.int32)) for t in taps]
    net.keep(rescale(net, net.one("ResizeLinear", [x, *constants], {"input_zero_point": net.zero_point(dtype_of(x))})))


def move(net: Net, x: ir.Value) -> None:
    """Reshapes and Transposes, perhaps back again, or parts joined in another order."""
    rank = len(shape(x))
    axis = net.random.randrange(rank)
    choice = net.random.randrange(4)
    if choice == 0:
        perms = [net.random.sample(range(rank), rank) for _ in range(2)]
        once = net.move("Transpose", [x], perm=perms[0])
        perm = perms[1] if net.random.random() < 0.5 else [int(p) for p in np.argsort(perms[0])]
        net.keep(net.move("Transpose", [once], perm=perm))
    elif choice == 1:
        flat = net.reshape(x, 0, -1)
        net.keep(net.reshape(flat, *shape(x)) if net.random.random() < 0.5 else flat)
    elif choice == 2 and shape(x)[axis] > 1:
        sizes = net.constant(np.array([1, shape(x)[axis] - 1], np.int64))
        parts = net.add("Split", [x, sizes], {"axis": axis}, domain="")
        net.keep(net.move("Concat", parts[:: net.random.choice([1, -1])], axis=axis))
    else:
        index = net.data.integers(-shape(x)[axis], shape(x)[axis], net.random.randint(1, 5))
        net.keep(net.move("Gather", [x, net.constant(index)], axis=axis))


def join(net: Net, x: ir.Value) -> None:
    """Values of one type, one beside the other."""
    other = partner(net, x)
    if dtype_of(other) == dtype_of(x):
        net.keep(net.move("Concat", [x, other, x][: net.random.choice([2, 3])], axis=net.random.choice([0, 1, -1])))
    else:
        unary(net, other)


def attention(net: Net, x: ir.Value) -> None:
    """The product of two activations."""
    x = spatial(net, x if dtype_of(x) in BYTES else rescale(net, x, 3), (3,))
    other = partner(net, x)
    other = net.move("Transpose", [other if dtype_of(other) == dtype_of(x) else x], perm=[0, 2, 1])
    bias = net.constant(np.zeros(shape(other)[-1], np.int32))
    zeros = {"a_zero_point": net.zero_point(dtype_of(x)), "b_zero_point": net.zero_point(dtype_of(x))}
    net.keep(rescale(net, net.one("MatMul", [x, other, bias], zeros)))


def hard_gate(net: Net, x: ir.Value) -> None:
    """The accumulator against a threshold that it often meets, for a value or its stored zero."""
    x = spatial(net, x if dtype_of(x) in BYTES else rescale(net, x, 3), (2, 3, 4))
    score = layer(net, x, geometry(net, x, 1 if net.random.random() < 0.5 else None))
    threshold = net.random.choice(np.concatenate([s.reshape(-1) for s in net.samples[score]]).tolist())
    op = net.random.choice(["Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"])
    opened = net.move(op, [score, net.constant(np.array([threshold], np.int32))])
    value = rescale(net, score) if net.random.random() < 0.5 or shape(score) != shape(x) else x
    value = value if dtype_of(value) in BYTES else rescale(net, score, INT32)
    zero = net.constant(np.array([net.zero_point(dtype_of(value)) if dtype_of(value) in BYTES else 7], dtype_of(value)))
    net.keep(net.move("Where", [opened, value, zero]))


def whole_numbers(net: Net, x: ir.Value) -> None:
    """Plain arithmetic of int32: of two accumulators, or of their rescaled and small values."""
    x = spatial(net, x if dtype_of(x) in BYTES else rescale(net, x, 3), (2, 3, 4))
    made = geometry(net, x)
    left, right = (layer(net, x, made) for _ in "ab")
    op = net.random.choice(["Add", "Sub", "Mul", "Max", "Min"])
    if op in ("Add", "Sub", "Mul"):
        left, right = (clamp(net, v, 46000 if op == "Mul" else 1 << 29) for v in (left, right))
    net.keep(rescale(net, net.move(op, [left, right])))


def clamp(net: Net, x: ir.Value, limit: int) -> ir.Value:
    """``x`` between two bounds, so that what is done with it fits int32."""
    ends = [net.constant(np.array([end], np.int32)) for end in (-limit, limit)]
    return net.move("Min", [net.move("Max", [x, ends[0]]), ends[1]])


def extremum(net: Net, x: ir.Value) -> None:
    """The greater or smaller of two stored values; ONNX Runtime has none of 16 bits."""
    other = partner(net, x)
    if dtype_of(other) == dtype_of(x) != SHORT:
        net.keep(net.move(net.random.choice(["Max", "Min"]), [x, other]))
    else:
        unary(net, other)


def total(net: Net, x: ir.Value) -> None:
    """A sum over any axes, which may go."""
    rank = len(shape(x))
    axes = sorted(net.random.sample(range(rank), net.random.randint(1, max(1, rank - 1))))
    settings = {
        "axes": axes,
        "keepdims": net.random.randint(0, 1) if rank > 1 else 1,
        "input_zero_point": net.zero_point(dtype_of(x)),
    }
    net.keep(rescale(net, net.one("Sum", [x], settings)))


def extreme(net: Net, x: ir.Value) -> None:
    """The greatest or the least value over whole axes, as CBAM has it."""
    rank = len(shape(x))
    axes = sorted(net.random.sample(range(rank), net.random.randint(1, max(1, rank - 1))))
    settings = {"axes": axes, "keepdims": net.random.randint(0, 1) if rank > 1 else 1}
    net.keep(net.one(net.random.choice(["ReduceMax", "ReduceMin"]), [x], settings))


def twice(net: Net, x: ir.Value) -> None:
    """The same again, from constants that are equal but not the same."""
    state = net.data.bit_generator.state, net.random.getstate()
    first = activation(net, x)
    net.data.bit_generator.state = state[0]
    net.random.setstate(state[1])
    net.keep(product(net, first, activation(net, x)))


def unary(net: Net, x: ir.Value) -> None:
    """Functions of single elements in a row."""
    net.keep(activation(net, activation(net, x)))


MOTIFS = (
    plain, plain, gated_pair, gated_pair, chunk, chunk, squeeze_excite, residual, residual, pool, resize, move, join,
    attention, hard_gate, whole_numbers, whole_numbers, extremum, total, extreme, twice, unary,
    transform, blocks, block_layer, block_layer, logic, logic, quotient, wide_product, running, masked_pair, cut,
    route, counted, choice, norm, softmax, log_softmax,
)  # fmt: skip
"""What the graphs are made of, each as often as it stands here."""
