"""The elementwise ops that follow a reduction, one block of registers at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from tvm import tirx

from edgegate.graph import DOMAIN, Array, array, attribute, shape
from edgegate.targets.schedules._kernel import Block, Builder, Unsupported, dtype, load, store
from edgegate.targets.schedules._registers import Expr, bind, shuffle, splat
from edgegate.targets.schedules._scale import Constants, Scaling, prepare, prepare_sums
from edgegate.targets.schedules._x86 import table_for

RANGES = {n: (int(np.iinfo(n).min), int(np.iinfo(n).max)) for n in ("int8", "uint8", "int16", "int32")}
"""What the storage types hold."""


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """A block of values: one register of bytes, or four of int32 (which may stand for int16).

    Attributes:
        dtype: What the values are stored as.
        registers: One for int8 and uint8, else four (of int64, in natural order, for sums of 48 bits).
    """

    dtype: str
    registers: Sequence[Expr]


Stage = Callable[[Block, dict[int, Lanes]], Lanes]


class Epilogue:
    """From a reduction's sums to memory: the group's elementwise nodes, then the store.

    Args:
        builder: Takes the constants.
        arrange: Puts an array with one element per channel in the order of the blocks' slots.
        bounds: Greatest magnitude of each anchor's sums, by id of its output value.
    """

    def __init__(self, builder: Builder, arrange: Callable[[Array], Array], bounds: dict[int, int]) -> None:
        self.builder = builder
        self.arrange = arrange
        self.bounds = bounds
        anchors = {id(n) for n in builder.group.anchors}
        self._stages: list[tuple[ir.Node, Stage]] = []
        for node in builder.group.nodes:
            if id(node) not in anchors:
                if node.domain != DOMAIN or node.op_type not in _STAGES:
                    raise Unsupported(node.op_type)
                self._stages.append((node, _STAGES[node.op_type](self, node)))

    def finish(self, block: Block, sums: dict[int, Lanes]) -> None:
        """Run the stages on the anchors' ``sums`` (by id of their value) and store the block."""
        values = dict(sums)
        for node, stage in self._stages:
            values[id(node.outputs[0])] = stage(block, values)
        self._store(block, values[id(self.builder.group.output)])

    def bound(self, value: ir.Value) -> int:
        """Greatest magnitude of a value."""
        name = dtype(value)
        known = self.bounds.get(id(value), 1 << 40)
        return min(known, max(abs(end) for end in RANGES[name]))

    def read(self, value: ir.Value, block: Block, values: dict[int, Lanes]) -> Lanes:
        """A value of this block: in registers already, or loaded once."""
        if id(value) not in values:
            values[id(value)] = self._load(value, block)
        return values[id(value)]

    def wide(self, value: ir.Value, block: Block, values: dict[int, Lanes], zero_point: int = 0) -> list[Expr]:
        """``value - zero_point`` as four registers of int32."""
        lanes = self.read(value, block, values)
        registers = self.builder.registers
        four = list(lanes.registers)
        if lanes.dtype in ("int8", "uint8"):
            four = registers.widen(four[0], lanes.dtype, block.packed)
        return [bind(v - splat(zero_point, "int32", registers.lanes)) if zero_point else v for v in four]

    def clip(self, wide: Sequence[Expr], block: Block, low: int, high: int, to: int) -> Lanes:
        """Int32 registers clipped to [low, high] as dtype ``to``."""
        name, registers = ir.DataType(to).numpy().name, self.builder.registers
        if name in ("int8", "uint8"):
            narrow = registers.narrow(wide, name, block.packed)
            return Lanes(dtype=name, registers=[_between(narrow, low, high, name, registers.block)])
        return Lanes(dtype=name, registers=[_between(v, low, high, "int32", registers.lanes) for v in wide])

    def _load(self, value: ir.Value, block: Block) -> Lanes:
        name, registers = dtype(value), self.builder.registers
        buffer = self.builder.flat(value)
        same = shape(value) == shape(self.builder.group.output)
        parts: list[Expr] = []
        pieces = registers.block if name in ("int8", "uint8") else registers.lanes
        if pieces == registers.lanes and block.packed:
            raise Unsupported("int32 loads want blocks in natural order")
        for run in block.runs:
            offset = run.offset if same else run.image
            if offset is None:
                raise Unsupported("a side input per image and channel")
            step = min(pieces, run.lanes)
            for at in range(0, run.lanes, step):
                parts.append(load(buffer, offset + at, max(0, min(step, run.count - at)), step, name))
        if pieces == registers.lanes:
            return Lanes(dtype=name, registers=[bind(p.astype(registers.i32)) for p in parts])
        whole = parts[0] if len(parts) == 1 else shuffle(parts, range(registers.block))
        return Lanes(dtype=name, registers=[whole])

    def _store(self, block: Block, lanes: Lanes) -> None:
        registers = self.builder.registers
        buffer = self.builder.flat(self.builder.group.output)
        vector, width = lanes.registers[0], registers.block
        if len(lanes.registers) == 4:
            name = f"{lanes.dtype}x{registers.lanes}"
            four = [bind(v.astype(name)) for v in lanes.registers]
            vector = shuffle(four, np.argsort(registers.order(block.packed)).tolist())
        first = 0
        for run in block.runs:
            store(buffer, run.offset, run.count, vector, first, width)
            first += run.lanes


def _between(vector: Expr, low: int, high: int, name: str, lanes: int) -> Expr:
    """Clip, leaving out what the dtype guarantees already."""
    least, most = RANGES[name]
    if low > least:
        vector = tirx.max(vector, splat(low, name, lanes))
    if high < most:
        vector = tirx.min(vector, splat(high, name, lanes))
    return bind(vector)


def _constant(node: ir.Node, index: int) -> Array:
    data = array(node.inputs[index])
    if data is None:
        raise Unsupported(f"input {index} of {node.op_type} is computed at run time")
    return data


def _per_channel(node: ir.Node, data: Array) -> Array:
    """``data`` if it has one element, or one per channel."""
    if data.size not in (1, data.shape[-1]) or (data.size > 1 and data.size != shape(node.outputs[0])[-1]):
        raise Unsupported(f"constants of shape {data.shape}")
    return data


def _rescale(epilogue: Epilogue, node: ir.Node) -> Stage:
    (x, _, _), a = node.inputs, {k: v.value for k, v in node.attributes.items()}
    assert x is not None
    if dtype(x) == "int64":
        return _rescale_sums(epilogue, node, x)
    scaling = Scaling(
        multiplier=_per_channel(node, _constant(node, 1)),
        shift=_per_channel(node, _constant(node, 2)),
        input_zero_point=int(a["input_zero_point"]),
        output_zero_point=int(a["output_zero_point"]),
        bound=epilogue.bound(x),
    )
    scale = prepare(epilogue.builder, scaling, epilogue.arrange)
    return _scaled(epilogue, a, scale, lambda block, values: epilogue.wide(x, block, values))


def _rescale_sums(epilogue: Epilogue, node: ir.Node, x: ir.Value) -> Stage:
    """An anchor's sums of 48 bits by multipliers of 15: in 64 bits as the op says it."""
    if all(x is not anchor.outputs[0] for anchor in epilogue.builder.group.anchors):
        raise Unsupported("48-bit sums from memory")
    a = {k: v.value for k, v in node.attributes.items()}
    multiplier, shift = (_per_channel(node, _constant(node, i)) for i in (1, 2))
    scale = prepare_sums(epilogue.builder, multiplier, shift, int(a["input_zero_point"]), epilogue.arrange)
    zero_point = splat(int(a["output_zero_point"]), "int32", epilogue.builder.registers.lanes)

    def stage(block: Block, values: dict[int, Lanes]) -> Lanes:
        sums = values[id(x)].registers
        scaled = [bind(scale(v, slot) + zero_point) for v, slot in zip(sums, block.slots, strict=True)]
        return epilogue.clip(scaled, block, int(a["low"]), int(a["high"]), int(a["to"]))

    return stage


def _gated_product(epilogue: Epilogue, node: ir.Node) -> Stage:
    (value, gate, _, _), a = node.inputs, {k: v.value for k, v in node.attributes.items()}
    assert value is not None and gate is not None
    vz, gz = int(a["value_zero_point"]), int(a["gate_zero_point"])
    bound = (epilogue.bound(value) + abs(vz)) * (epilogue.bound(gate) + abs(gz))
    if bound >= 1 << 31:
        raise Unsupported("the product of the gate does not fit int32")
    scaling = Scaling(
        multiplier=_per_channel(node, _constant(node, 2)), shift=_per_channel(node, _constant(node, 3)),
        input_zero_point=0, output_zero_point=int(a["output_zero_point"]), bound=bound,
    )  # fmt: skip
    scale = prepare(epilogue.builder, scaling, epilogue.arrange)

    def product(block: Block, values: dict[int, Lanes]) -> list[Expr]:
        pairs = zip(epilogue.wide(value, block, values, vz), epilogue.wide(gate, block, values, gz), strict=True)
        return [bind(v * g) for v, g in pairs]

    return _scaled(epilogue, a, scale, product)


def _scaled(
    epilogue: Epilogue,
    a: dict[str, Any],
    scale: Callable[[Expr, Expr], Expr],
    wide: Callable[[Block, dict[int, Lanes]], list[Expr]],
) -> Stage:
    """Scale what ``wide`` gives, then clip."""

    def stage(block: Block, values: dict[int, Lanes]) -> Lanes:
        scaled = [scale(v, slot) for v, slot in zip(wide(block, values), block.slots, strict=True)]
        return epilogue.clip(scaled, block, int(a["low"]), int(a["high"]), int(a["to"]))

    return stage


def _add(epilogue: Epilogue, node: ir.Node) -> Stage:
    """``a*ma + b*mb + c >> s`` in 32 bits: zero points, rounding and output zero point are one constant c."""
    (x, y), a = node.inputs, {k: v.value for k, v in node.attributes.items()}
    assert x is not None and y is not None
    ma, mb, s = int(a["a_multiplier"]), int(a["b_multiplier"]), int(a["shift"])
    az, bz = int(a["a_zero_point"]), int(a["b_zero_point"])
    late = int(a["output_zero_point"])
    c = (1 << (s - 1)) - az * ma - bz * mb
    reach = epilogue.bound(x) * abs(ma) + epilogue.bound(y) * abs(mb)
    if reach + abs(c + (late << s)) < 1 << 31:
        c, late = c + (late << s), 0
    if reach + abs(c) >= 1 << 31 or not 1 <= s <= 31:
        raise Unsupported("the sum does not fit int32 with its constants folded")
    data = [Constants(epilogue.builder, np.array([v], np.int32), epilogue.arrange) for v in (ma, mb, c, s, late)]

    def stage(block: Block, values: dict[int, Lanes]) -> Lanes:
        fa, fb, fc, bits, zero = (d.at(0) for d in data)
        pairs = zip(epilogue.wide(x, block, values), epilogue.wide(y, block, values), strict=True)
        sums = [bind((v * fa + w * fb + fc) >> bits) for v, w in pairs]
        if late:
            sums = [bind(v + zero) for v in sums]
        return epilogue.clip(sums, block, int(a["low"]), int(a["high"]), int(a["to"]))

    return stage


def _table(epilogue: Epilogue, node: ir.Node) -> Stage:
    x, data = node.inputs[0], _constant(node, 1)
    assert x is not None
    if data.dtype.name not in ("int8", "uint8") or dtype(x) not in ("int8", "uint8"):
        raise Unsupported("tables of 16-bit entries")
    table = epilogue.builder.constant(table_for(int(attribute(node, "offset")), data))

    def stage(block: Block, values: dict[int, Lanes]) -> Lanes:
        index = epilogue.read(x, block, values).registers[0]
        found = epilogue.builder.registers.lookup(table, index, data.dtype.name)
        return Lanes(dtype=data.dtype.name, registers=[found])

    return stage


_STAGES: dict[str, Callable[[Epilogue, ir.Node], Stage]] = {
    "Rescale": _rescale,
    "Table": _table,
    "GatedProduct": _gated_product,
    "Add": _add,
}
