"""Products of rows in block floating point by int8 weights with a scale for each block, and what follows them.

As in a 1x1 convolution, a word of a row is broadcast and multiplied with the packed weights of a tile of columns. At
the end of a block its int32 sums, times the columns' scales and shifted by the row's exponent, are added to sums of 64
bits: shifting the product, or the scale where that fits, is the same as shifting the sum, and needs no widening first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import Array, array, attribute, shape
from edgegate.targets.schedules._block_weights import BlockScales, BlockWeights, greatest_exponent, row_sums
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._geometry import Rows, Tiles, Window, channel_starts, channel_tiles, tasks
from edgegate.targets.schedules._geometry import tile_rows as rows_of_tile
from edgegate.targets.schedules._group import Group
from edgegate.targets.schedules._kernel import Builder, Kernel, Unsupported, dtype
from edgegate.targets.schedules._places import Place, Places
from edgegate.targets.schedules._registers import Expr, bind, shuffle, splat
from edgegate.targets.schedules._stages import Epilogue

COPY = 1 << 18
"""Elements of the rows that every tile of columns reads again: they should stay in the second cache."""
WIDTH = 3
"""Registers that the sums of one register of columns take: one of 32 bits, two of 64."""
Sums = list[list[list[tuple[Expr, int]]]]
"""Row by row, register by register: buffers of int64 with their lanes."""


def blocked(group: Group, cpu: Cpu) -> Kernel:
    """The kernel of a BlockMatMul and the elementwise ops behind it."""
    return Blocked(group, cpu).kernel()


class Blocked:
    """The state that the steps of one kernel share."""

    def __init__(self, group: Group, cpu: Cpu) -> None:
        (self.anchor,) = group.anchors
        source, exponents, *constants = self.anchor.inputs
        weights, scales, bias = (array(v) for v in constants)
        if source is None or exponents is None or weights is None or scales is None or bias is None:
            raise Unsupported("weights computed at run time")
        self.source, self.exponents = source, exponents
        self.builder = Builder(group, cpu)
        self.registers = self.builder.registers
        self.block, self.count = int(attribute(self.anchor, "block")), len(scales)
        if self.block % self.registers.word:
            raise Unsupported(f"blocks of {self.block}")
        self.depth, self.channels = weights.shape
        self.total = int(np.prod(shape(source)[:-1]))
        self._cut(cpu)
        self._constants(weights, scales, bias)

    def _cut(self, cpu: Cpu) -> None:
        """Units of rows that stay in the cache, and tiles of columns: the fewer rows, the wider."""
        lanes, room = self.registers.lanes, max(1, cpu.accumulators // WIDTH)
        self.units = -(-self.total // max(1, min(self.total, COPY // self.depth)))
        self.rows = -(-self.total // self.units)
        self.work = self.total * self.depth * self.channels
        self.starts = channel_starts(self.channels, lanes)
        self.tiles = channel_tiles(self.channels, lanes, max(1, room // min(self.rows, 4)))
        self.most_rows = [max(1, room // tile.vectors) for tile in self.tiles]

    def _constants(self, weights: Array, scales: Array, bias: Array) -> None:
        """Pack what is constant tile by tile."""
        builder, lanes = self.builder, np.arange(self.registers.lanes)
        slots = np.minimum(self.starts[:, None] + lanes, self.channels - 1).reshape(-1)
        columns = weights[:, slots].reshape(self.count, self.block, -1)
        self.weights = BlockWeights(builder, self.tiles, columns)
        self.scales = BlockScales(builder, self.tiles, scales[:, slots])
        self.narrow = self._shifts_narrow()
        self.bias = builder.constant(bias[slots])
        self.zero_point = builder.constant(np.zeros(1, np.int16))
        epilogue = Epilogue(builder, lambda data: data[slots], {})
        one_image = shape(self.anchor.outputs[0])[0] == 1
        self.places = Places(epilogue, self.starts, self.channels, one_image=one_image)

    def _shifts_narrow(self) -> bool:
        """Whether int32 holds a scale shifted by any exponent."""
        most = greatest_exponent(self.exponents)
        return most is not None and self.scales.most << most < 1 << 31

    def _exponent(self, row: Expr, q: Expr) -> Expr:
        """By how much the sums of block ``q`` of a row are shifted."""
        return self.builder.flat(self.exponents)[row * self.count + q]

    def kernel(self) -> Kernel:
        """Emit the function: units of rows, each by all tiles."""
        with self.builder.body(), tasks(self.registers.cpu, self.units, self.work) as (first, last):
            copy = self._copy()
            with T.serial(0, last - first) as i:
                start = bind(tirx.min((first + i) * self.rows, self.total - self.rows))
                self._read(copy, start)
                self._unit(start)
        return self.builder.kernel()

    def _copy(self) -> Rows | None:
        """Room for rows of int16, where the registers multiply those."""
        registers, source = self.registers, self.builder.flat(self.source)
        if registers.operand != "int16":
            return None
        window = Window(images=1, height=1, width=self.total, channels=self.depth, kernel=(1, 1), pads=(0, 0, 0, 0),
                        strides=(1, 1), dilations=(1, 1))  # fmt: skip
        copy = Rows(registers, window, source, dtype(self.source), registers.operand, self.zero_point)
        copy.allocate(self.rows * self.depth)
        return copy

    def _read(self, copy: Rows | None, start: Expr) -> None:
        """Make a unit's rows ready: in int16 where the registers want it, and with the sums that raised weights need.

        ``buffer`` and ``base`` are where the rows stand and where the first of them starts.
        """
        at, size, source = bind(start * self.depth), self.rows * self.depth, self.builder.flat(self.source)
        self.buffer, self.base, self.first_row, self.sums = source, at, start, None
        if copy is not None:
            copy.copy(0, at, size)
            self.buffer, self.base = copy.buffer, 0
        if raised := self.weights.raised:
            self.sums = row_sums(source, at, self.rows * self.count, self.block, -raised)

    def _unit(self, start: Expr) -> None:
        for tile, most in zip(self.tiles, self.most_rows, strict=True):
            rows = rows_of_tile(self.rows, most)
            with self._loop(tile) as t, T.serial(0, -(-self.rows // rows)) as p:
                row = bind(start + tirx.min(p * rows, self.rows - rows))
                self._tile(Place(tiles=tile, number=t, rows=rows, row=row))

    @contextmanager
    def _loop(self, tile: Tiles) -> Iterator[Expr]:
        """Over equal tiles; on threads where there is one unit of rows only."""
        parallel = self.units == 1 and tile.count > 1 and self.registers.cpu.parallel(self.work)
        with (T.parallel if parallel else T.serial)(0, tile.count) as t:
            yield t

    def _tile(self, place: Place) -> None:
        registers, vectors = self.registers, place.tiles.vectors
        slot, entries = bind(place.first), self.weights.entries()
        sums = [[T.alloc_buffer((registers.lanes,), "int32") for _ in range(vectors)] for _ in range(place.rows)]
        wide: Sums = [[registers.wide_buffers() for _ in range(vectors)] for _ in range(place.rows)]
        for buffer, lanes in (part for row in wide for vector in row for part in vector):
            T.buffer_store(buffer, splat(0, "int64", lanes), [T.ramp(0, 1, lanes)])
        with T.serial(0, self.count) as q:
            self._block(place, slot, q, sums, entries)
            factors = self.scales.load(slot, q, vectors)
            for r in range(place.rows):
                shift = bind(self._exponent(place.row + r, q).astype("int32" if self.narrow else "int64"))
                for acc, factor, parts in zip(sums[r], factors, wide[r], strict=True):
                    self._raise(acc.vload([0], dtype=registers.i32), factor, shift, parts)
        self._finish(place, slot, wide)

    def _block(self, place: Place, slot: Expr, q: Expr, sums: list[list[Expr]], entries: Expr) -> None:
        """The products of one block in int32 ``sums``."""
        registers, weights, every = self.registers, self.weights, [T.ramp(0, 1, self.registers.lanes)]
        for r, row in enumerate(sums):
            first: Expr = splat(0, "int32", registers.lanes)
            if self.sums is not None:
                first = bind(T.broadcast(self.sums((place.row - self.first_row + r) * self.count + q), registers.lanes))
            for acc in row:
                T.buffer_store(acc, first, every)
        with T.serial(0, weights.words // weights.together) as k:
            words = weights.load(slot, q, k, place.tiles.vectors, entries, self.total == place.rows)
            for (w, packed), (r, row) in ((a, b) for a in enumerate(words) for b in enumerate(sums)):
                at = self.base + (place.row - self.first_row + r) * self.depth + q * self.block
                activations = self._word(at + (k * weights.together + w) * registers.word)
                for acc, factor in zip(row, packed, strict=True):
                    found = registers.dot_swapped(acc.vload([0], dtype=registers.i32), activations, factor)
                    T.buffer_store(acc, found, every)

    def _word(self, at: Expr) -> Expr:
        """A word of a row in every lane."""
        kind = "" if self.registers.operand == "int16" else dtype(self.source)
        return self.registers.spread(self.registers.word_of(self.buffer, at, kind))

    def _raise(self, acc: Expr, factor: Expr, shift: Expr, wide: list[tuple[Expr, int]]) -> None:
        """Add ``(acc * factor) << shift`` to the sums of 64 bits; the shift is the factor's where 32 bits hold it."""
        if self.narrow:
            factor = bind(factor << T.broadcast(shift, self.registers.lanes))
        for (buffer, lanes), product in zip(wide, self.registers.products(acc, factor), strict=True):
            raised = product if self.narrow else product << T.broadcast(shift, lanes)
            known = buffer.vload([0], dtype=f"int64x{lanes}")
            T.buffer_store(buffer, known + raised, [T.ramp(0, 1, lanes)])

    def _finish(self, place: Place, slot: Expr, wide: Sums) -> None:
        """Add the bias; the rest is the epilogue's."""
        registers, lanes, sums = self.registers, self.registers.lanes, []
        for row in wide:
            for j, parts in enumerate(row):
                loaded = [bind(buffer.vload([0], dtype=f"int64x{n}")) for buffer, n in parts]
                natural = loaded[0] if len(loaded) == 1 else shuffle(loaded, registers.products_order())
                sums.append(bind(natural + self.bias.vload([(slot + j) * lanes], dtype=f"int64x{lanes}")))
        self.places.finish(place, {id(self.anchor.outputs[0]): sums}, "int64")
