"""How the constants of a product in blocks are stored: a schedule's own matter, the op's meaning stays.

Weights of at most sixteen values, as those of 4-bit formats are, take half a byte: products by one row wait for their
weights, and so for half as much memory. Where the values are a range of sixteen, a nibble is the weight raised by 8;
else it is a place in a table of sixteen bytes. The dot product may want unsigned weights; then all are raised, and the
products of the row's own sum are taken off again.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import DOMAIN, Array, array, attribute
from edgegate.ops import OPS, Interval
from edgegate.targets.schedules._geometry import Tiles
from edgegate.targets.schedules._kernel import Builder
from edgegate.targets.schedules._registers import Expr, bind, shuffle, splat, view

NIBBLES = 16
"""Values that half a byte tells apart."""
AHEAD = 4096
"""How far ahead of their use weights are asked for, where every one is used once: a page, as far as hardware looks."""
LINE = 64
"""Bytes that memory gives at once."""
MOVES = ("Reshape", "Transpose", "Gather", "Concat", "Slice", "Identity")
"""What exponents pass on their way from BlockQuantize: windows of a convolution, with zeros outside the image."""


class BlockWeights:
    """The weights of a BlockMatMul, in the order in which its kernel reads them.

    Args:
        builder: Takes the arrays.
        tiles: Of columns.
        weights: int8 [blocks, block, slots], a column for each lane of each register.

    Attributes:
        raised: What is added to each weight.
        together: Words of the reduction that one load brings: 2 where weights are nibbles.
    """

    def __init__(self, builder: Builder, tiles: list[Tiles], weights: Array) -> None:
        self.builder, self.registers = builder, builder.registers
        self.count, block, _ = weights.shape
        word = self.registers.word
        self.words = block // word
        values = np.unique(weights).astype(np.int64)
        nibbles = word == 4 and self.words % 2 == 0 and len(values) <= NIBBLES
        self.together = 2 if nibbles else 1
        self.raised, codes, self.table = self._codes(values, weights) if nibbles else self._bytes(weights)
        words = codes.reshape(self.count, self.words // self.together, self.together, word, -1)
        joined = words[:, :, 0] | words[:, :, 1] << 4 if nibbles else words[:, :, 0]
        kind = np.int16 if self.registers.operand == "int16" else np.uint8
        self.width = np.dtype(kind).itemsize
        packed = by_tile(joined.transpose(0, 1, 3, 2).astype(kind), tiles, self.registers.lanes)
        self.packed = builder.constant(packed if kind is np.int16 else packed.view(np.int8))

    def _bytes(self, weights: Array) -> tuple[int, Array, Expr]:
        raised = 128 if self.registers.unsigned else 0
        return raised, weights.astype(np.int64) + raised & (0xFFFF if self.registers.operand == "int16" else 0xFF), None

    def _codes(self, values: Array, weights: Array) -> tuple[int, Array, Expr]:
        """Nibbles, and the table of what they stand for, if they need one."""
        if values[0] >= -8 and values[-1] < 8:
            return 8, weights.astype(np.int64) + 8, None
        raised = -int(values[0]) if self.registers.unsigned else 0
        entries = np.zeros(NIBBLES, np.int64)
        entries[: len(values)] = values + raised
        table = self.builder.constant(entries.astype(np.uint8).view(np.int8))
        return raised, np.searchsorted(values, weights), table

    def entries(self) -> Expr:
        """The table in a register; to be loaded once."""
        if self.table is None:
            return None
        copies = [bind(self.table.vload([0], dtype="int8x16"))] * (self.registers.block // NIBBLES)
        return copies[0] if len(copies) == 1 else shuffle(copies, range(self.registers.block))

    def load(self, slot: Expr, q: Expr, k: Expr, vectors: int, entries: Expr, once: bool) -> list[list[Expr]]:
        """The weights of a tile at step ``k`` of block ``q``: word by word, register by register.

        Args:
            slot: First register of the tile, among all.
            q: The block.
            k: Which load of the block, each of :attr:`together` words.
            vectors: Registers of the tile.
            entries: What :meth:`entries` gave.
            once: Whether no other row reads them, so that they come from far.
        """
        size, steps = self.registers.lanes * self.registers.word, self.words // self.together
        at = bind((slot * self.count * steps + (q * steps + k) * vectors) * size)
        kind = "int16" if self.registers.operand == "int16" else "int8"
        packed = [bind(self.packed.vload([at + j * size], dtype=f"{kind}x{size}")) for j in range(vectors)]
        if once:
            self._prefetch(at, vectors * size)
        if self.together == 1:
            return [packed]
        return [[self._nibbles(p, shift, entries) for p in packed] for shift in (0, 4)]

    def _prefetch(self, at: Expr, count: int) -> None:
        """Ask for as many elements as were just read, a little ahead; near the end, for the last ones."""
        ahead, total = AHEAD // self.width, int(self.packed.shape[0])
        start = bind(tirx.min(at + ahead, total - count))
        read, keep, data = (tirx.const(v, "int32") for v in (0, 3, 1))
        for line in range(0, count, max(self.registers.lanes * self.registers.word, LINE // self.width)):
            place = T.address_of(self.packed[start + line])
            T.evaluate(T.call_llvm_intrin("void", "llvm.prefetch.p0", place, read, keep, data))

    def _nibbles(self, packed: Expr, shift: int, entries: Expr) -> Expr:
        """Half of each byte, or what it stands for."""
        registers = self.registers
        words = view(registers.i32, packed)
        if shift:
            words = words >> splat(shift, "int32", registers.lanes)
        found = bind(view(registers.i8, words & splat(0x0F0F0F0F, "int32", registers.lanes)))
        return found if entries is None else registers.sixteen(entries, found)


class BlockScales:
    """The integer scales [blocks, slots], in 16 bits where they fit.

    Attributes:
        most: The greatest.
    """

    def __init__(self, builder: Builder, tiles: list[Tiles], scales: Array) -> None:
        self.registers, self.count, self.most = builder.registers, len(scales), int(scales.max(initial=0))
        self.kind = "int16" if self.most < 1 << 15 else "int32"
        self.packed = builder.constant(by_tile(scales.astype(self.kind), tiles, self.registers.lanes))

    def load(self, slot: Expr, q: Expr, vectors: int) -> list[Expr]:
        """Registers of int32 for a tile at block ``q``."""
        lanes = self.registers.lanes
        at = bind((slot * self.count + q * vectors) * lanes)
        found = [bind(self.packed.vload([at + j * lanes], dtype=f"{self.kind}x{lanes}")) for j in range(vectors)]
        return found if self.kind == "int32" else [bind(v.astype(self.registers.i32)) for v in found]


def by_tile(data: Array, tiles: list[Tiles], lanes: int) -> Array:
    """[blocks, slots] or [blocks, words, slots, ...] as [tile, blocks, words, slots of the tile, ...], flat."""
    axis, parts = 1 if data.ndim == 2 else 2, []
    for tile in tiles:
        for t in range(tile.count):
            first = (tile.first + t * tile.vectors) * lanes
            parts.append(np.take(data, range(first, first + tile.vectors * lanes), axis).reshape(-1))
    return np.concatenate(parts)


def row_sums(source: Expr, start: Expr, count: int, block: int, factor: int) -> Callable[[Expr], Expr]:
    """Store the sums of ``count`` blocks of int8 from ``start`` on, times ``factor``; gives the sum of a block."""
    sums = T.alloc_buffer((count,), "int32")
    with T.serial(0, count) as i:
        wide = bind(source.vload([start + i * block], dtype=f"int8x{block}").astype(f"int32x{block}"))
        total = T.call_llvm_pure_intrin("int32", f"llvm.vector.reduce.add.v{block}i32", wide)
        T.buffer_store(sums, total * factor, [i])
    return lambda i: sums[i]


def greatest_exponent(value: ir.Value) -> int | None:
    """What the exponents of an input in blocks reach, by the type of what was quantized; None: not known."""
    producer = value.producer()
    while producer is not None and producer.domain == "" and producer.op_type in MOVES:
        source, *others = producer.inputs
        if producer.op_type == "Concat" and any((d := array(v)) is None or d.any() for v in others):
            return None
        producer = None if source is None else source.producer()
    if producer is None or (producer.domain, producer.op_type) != (DOMAIN, "BlockQuantize"):
        return None
    x = producer.inputs[0]
    assert x is not None and x.dtype is not None, "every value of an integer model has a type"
    info, name = np.iinfo(x.dtype.numpy()), "BlockQuantize"
    block = int(attribute(producer, "block"))
    reach = Interval(low=int(info.min), high=int(info.max), dtype=info.dtype, dims=(block,))
    known = OPS[DOMAIN, name].bounds(reach, **{a: attribute(producer, a) for a in producer.attributes})
    return known.more[0].high
