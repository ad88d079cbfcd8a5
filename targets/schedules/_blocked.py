"""Products of rows in block floating point by int8 weights with a scale for each block.

As in a 1x1 convolution, a word of a row is broadcast and multiplied with the packed weights of a tile of columns. At
the end of a block its int32 sums, times the columns' scales and shifted by the row's exponent, are added to sums of 64
bits: shifting the product is the same as shifting the sum, and needs no widening first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import Array, array, attribute, shape
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._geometry import Rows, Tiles, Window, channel_starts, channel_tiles, shift_of, tasks
from edgegate.targets.schedules._geometry import tile_rows as rows_of_tile
from edgegate.targets.schedules._group import Group
from edgegate.targets.schedules._kernel import Builder, Kernel, Unsupported, dtype, store
from edgegate.targets.schedules._registers import Expr, bind, shuffle, splat

COPY = 1 << 16
"""Elements of a copy of rows, which every tile of columns reads again."""
WIDTH = 3
"""Registers that the sums of one register of columns take: one of 32 bits, two of 64."""


def blocked(group: Group, cpu: Cpu) -> Kernel:
    """The kernel of a BlockMatMul."""
    return _Blocked(group, cpu).kernel()


@dataclass(frozen=True, kw_only=True)
class _Tile:
    """Some rows by a tile of columns.

    Attributes:
        tiles: What the tile is one of.
        number: Which.
        rows: How many rows.
        row: The first of them, in the whole input.
        copied: Where it starts in the copy.
        slot: First register of the tile's columns, among all.
    """

    tiles: Tiles
    number: Expr
    rows: int
    row: Expr
    copied: Expr
    slot: Expr


class _Blocked:
    """The state that the steps of one kernel share."""

    def __init__(self, group: Group, cpu: Cpu) -> None:
        if len(group.nodes) > 1:
            raise Unsupported("what follows sums of 64 bits")
        (anchor,) = group.nodes
        source, exponents, *constants = anchor.inputs
        weights, scales, bias = (array(v) for v in constants)
        if source is None or exponents is None or weights is None or scales is None or bias is None:
            raise Unsupported("weights computed at run time")
        self.source, self.exponents = source, exponents
        self.builder = Builder(group, cpu)
        self.registers = self.builder.registers
        self.block, self.count = int(attribute(anchor, "block")), len(scales)
        if self.block % self.registers.word:
            raise Unsupported(f"blocks of {self.block}")
        self.depth, self.channels = weights.shape
        self.total = int(np.prod(shape(self.source)[:-1]))
        self._cut(cpu)
        self._constants(weights, scales, bias)

    def _cut(self, cpu: Cpu) -> None:
        """Units of rows whose copy stays in the cache, and tiles of columns: the fewer rows, the wider."""
        lanes, room = self.registers.lanes, max(1, cpu.accumulators // WIDTH)
        self.units = -(-self.total // max(1, min(self.total, COPY // self.depth)))
        self.rows = -(-self.total // self.units)
        self.work = self.total * self.depth * self.channels
        self.starts = channel_starts(self.channels, lanes)
        self.tiles = channel_tiles(self.channels, lanes, max(1, room // min(self.rows, 4)))
        self.most_rows = [max(1, room // tile.vectors) for tile in self.tiles]
        self.channel_of = np.minimum(self.starts[:, None] + np.arange(lanes), self.channels - 1).reshape(-1)

    def _constants(self, weights: Array, scales: Array, bias: Array) -> None:
        """Pack weights and scales tile by tile; what the flipped top bit of the rows adds is taken off each block."""
        builder, registers = self.builder, self.registers
        columns = weights[:, self.channel_of].astype(np.int64).reshape(self.count, self.block, -1)
        flipped = shift_of(dtype(self.source), registers.operand) if registers.operand != "int16" else 0
        words = columns.reshape(self.count, self.block // registers.word, registers.word, -1).transpose(0, 1, 3, 2)
        kind = np.int16 if registers.operand == "int16" else np.int8
        self.packed = builder.constant(self._by_tile(words, kind))
        self.scales = builder.constant(self._by_tile(scales[:, self.channel_of], np.int32))
        self.offsets = builder.constant(self._by_tile(-flipped * columns.sum(1), np.int32)) if flipped else None
        self.bias = builder.constant(bias[self.channel_of])
        self.zero_point = builder.constant(np.zeros(1, np.int16))

    def _by_tile(self, data: Array, kind: type) -> Array:
        """[blocks, words, slots, ...] as [tile, blocks, words, slots of the tile, ...], flat."""
        axis, lanes, parts = 1 if data.ndim == 2 else 2, self.registers.lanes, []
        for tile in self.tiles:
            for t in range(tile.count):
                first = (tile.first + t * tile.vectors) * lanes
                parts.append(np.take(data, range(first, first + tile.vectors * lanes), axis).reshape(-1))
        return np.concatenate(parts).astype(kind)

    def kernel(self) -> Kernel:
        """Emit the function: units of rows, each by all tiles."""
        window = Window(images=1, height=1, width=self.total, channels=self.depth, kernel=(1, 1), pads=(0, 0, 0, 0),
                        strides=(1, 1), dilations=(1, 1))  # fmt: skip
        with self.builder.body():
            registers, kind = self.registers, dtype(self.source)
            copy = Rows(registers, window, self.builder.flat(self.source), kind, registers.operand, self.zero_point)
            with tasks(registers.cpu, self.units, self.work) as (first, last):
                copy.allocate(self.rows * self.depth)
                self.buffer = copy.buffer
                with T.serial(0, last - first) as i:
                    start = bind(tirx.min((first + i) * self.rows, self.total - self.rows))
                    copy.copy(0, start * self.depth, self.rows * self.depth)
                    self._unit(start)
        return self.builder.kernel()

    def _unit(self, start: Expr) -> None:
        for tile, most in zip(self.tiles, self.most_rows, strict=True):
            rows = rows_of_tile(self.rows, most)
            with self._loop(tile) as t, T.serial(0, -(-self.rows // rows)) as p:
                row = bind(tirx.min(p * rows, self.rows - rows))
                slot = bind(tile.first + t * tile.vectors)
                self._tile(_Tile(tiles=tile, number=t, rows=rows, row=bind(start + row), copied=row, slot=slot))

    @contextmanager
    def _loop(self, tile: Tiles) -> Iterator[Expr]:
        """Over equal tiles; on threads where there is one unit of rows only."""
        parallel = self.units == 1 and tile.count > 1 and self.registers.cpu.parallel(self.work)
        with (T.parallel if parallel else T.serial)(0, tile.count) as t:
            yield t

    def _tile(self, tile: _Tile) -> None:
        registers, vectors = self.registers, tile.tiles.vectors
        every = [T.ramp(0, 1, registers.lanes)]
        sums = [[T.alloc_buffer((registers.lanes,), "int32") for _ in range(vectors)] for _ in range(tile.rows)]
        parts = [[registers.wide_buffers() for _ in range(vectors)] for _ in range(tile.rows)]
        for buffer, lanes in (p for row in parts for vector in row for p in vector):
            T.buffer_store(buffer, splat(0, "int64", lanes), [T.ramp(0, 1, lanes)])
        with T.serial(0, self.count) as q:
            at = bind((tile.slot * self.count + q * vectors) * registers.lanes)
            for j in range(vectors):
                first = bind(self._vector(self.offsets, at + j * registers.lanes))
                for row in sums:
                    T.buffer_store(row[j], first, every)
            self._block(tile, q, sums)
            factors = [bind(self._vector(self.scales, at + j * registers.lanes)) for j in range(vectors)]
            for r in range(tile.rows):
                shift = bind(self._exponent(tile.row + r, q))
                for acc, factor, wide in zip(sums[r], factors, parts[r], strict=True):
                    self._raise(acc.vload([0], dtype=registers.i32), factor, shift, wide)
        self._finish(tile, parts)

    def _vector(self, buffer: Expr, at: Expr) -> Expr:
        if buffer is None:
            return splat(0, "int32", self.registers.lanes)
        return buffer.vload([at], dtype=self.registers.i32)

    def _exponent(self, row: Expr, q: Expr) -> Expr:
        return self.builder.flat(self.exponents)[row * self.count + q].astype("int64")

    def _block(self, tile: _Tile, q: Expr, sums: list[list[Expr]]) -> None:
        """Add the products of one block to int32 ``sums``."""
        registers, vectors, every = self.registers, tile.tiles.vectors, [T.ramp(0, 1, self.registers.lanes)]
        words, size = self.block // registers.word, registers.lanes * registers.word
        kind = f"{'int16' if registers.operand == 'int16' else 'int8'}x{size}"
        with T.serial(0, words) as k:
            at = bind((tile.slot * self.count * words + (q * words + k) * vectors) * size)
            packed = [bind(self.packed.vload([at + j * size], dtype=kind)) for j in range(vectors)]
            for r, row in enumerate(sums):
                activations = registers.spread(
                    registers.word_of(self.buffer, (tile.copied + r) * self.depth + q * self.block + k * registers.word)
                )
                for acc, w in zip(row, packed, strict=True):
                    T.buffer_store(acc, registers.dot(acc.vload([0], dtype=registers.i32), activations, w), every)

    def _raise(self, acc: Expr, factor: Expr, shift: Expr, wide: list[tuple[Expr, int]]) -> None:
        """Add ``(acc * factor) << shift`` to the sums of 64 bits."""
        for (buffer, lanes), product in zip(wide, self.registers.products(acc, factor), strict=True):
            raised = product << T.broadcast(shift, lanes)
            known = buffer.vload([0], dtype=f"int64x{lanes}")
            T.buffer_store(buffer, known + raised, [T.ramp(0, 1, lanes)])

    def _finish(self, tile: _Tile, parts: list[list[list[tuple[Expr, int]]]]) -> None:
        """Add the bias and store; the last register of all overlaps its neighbour."""
        registers, lanes, output = self.registers, self.registers.lanes, self.builder.flat(self.builder.group.output)
        for r, row in enumerate(parts):
            for j, wide in enumerate(row):
                loaded = [bind(buffer.vload([0], dtype=f"int64x{n}")) for buffer, n in wide]
                natural = loaded[0] if len(loaded) == 1 else shuffle(loaded, registers.products_order())
                bias = self.bias.vload([(tile.slot + j) * lanes], dtype=f"int64x{lanes}")
                column = int(self.starts[tile.tiles.first + j]) + tile.number * (tile.tiles.vectors * lanes)
                at = bind((tile.row + r) * self.channels + column)
                store(output, at, min(lanes, self.channels), bind(natural + bias), 0, lanes)
