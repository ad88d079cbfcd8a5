"""Convolutions and products by constant weights, alone or as a gated pair, with what follows them.

The input's rows are copied into the form the dot product takes. For a kernel row the elements under the window
are contiguous there (channels last, dilation 1), so it is one *segment* of the reduction, cut into 32-bit words:
a word of a pixel is broadcast and multiplied with the packed weights of a tile of output channels, whose sums stay
in registers for a tile of pixels. Segments are padded to words with zero weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import Array, array, shape
from edgegate.targets.schedules._anchors import weights_of, window_of, zero_point_of
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._geometry import (
    Rows,
    Tiles,
    channel_starts,
    channel_tiles,
    shift_of,
    tasks,
    tile_rows,
)  # fmt: skip
from edgegate.targets.schedules._group import Group
from edgegate.targets.schedules._kernel import Builder, Kernel, Unsupported, dtype
from edgegate.targets.schedules._places import Place, Places
from edgegate.targets.schedules._registers import Expr, bind
from edgegate.targets.schedules._stages import Epilogue

COPY = 1 << 14
"""Elements of a copy of pixels of a 1x1 convolution: it should stay in the first cache."""


def contraction(group: Group, cpu: Cpu) -> Kernel:
    """The kernel of one or two Conv2d, Conv1d or MatMul and the elementwise ops behind them."""
    return Contraction(group, cpu).kernel()


class Contraction:
    """The state that the steps of one kernel share.

    Args:
        group: The nodes.
        cpu: What it may use.
        streams: Sums for each output channel; one for each anchor if not told.
    """

    def __init__(self, group: Group, cpu: Cpu, streams: int = 0) -> None:
        self.builder = Builder(group, cpu)
        self.registers = registers = self.builder.registers
        self.anchors = group.anchors
        self.streams = streams or len(group.anchors)
        self.weights = [weights_of(a) for a in self.anchors]
        self.window = window_of(self.anchors[0], self.weights[0])
        self.channels = len(self.weights[0])
        source = self.anchors[0].inputs[0]
        assert source is not None, "an anchor has a data input"
        self.source = source
        self.starts = channel_starts(self.channels, registers.lanes)
        lane = np.arange(registers.lanes)
        self.channel_of = np.minimum(self.starts[:, None] + lane, self.channels - 1).reshape(-1)
        self._cut_pixels()
        self._cut_channels(cpu)
        self._constants()

    def _cut_pixels(self) -> None:
        """Units of work: output rows, or for 1x1 convolutions stretches of pixels as long as the copy may be."""
        w = self.window
        rows, columns = w.output
        self.total = w.images * rows * columns
        if w.pointwise:
            self.units = -(-self.total // max(1, min(self.total, COPY // w.channels)))
            self.pixels = -(-self.total // self.units)
        else:
            self.units, self.pixels = w.images * rows, columns
        self.one_image = shape(self.anchors[0].outputs[0])[0] == 1
        self.work = self.total * sum(k.size for k in self.weights)

    def _cut_channels(self, cpu: Cpu) -> None:
        most = 4 if cpu.accumulators >= 16 else 2
        most = max(most, min(8, cpu.accumulators // self.pixels)) // self.streams
        most = max(most, 1)
        self.tiles = channel_tiles(self.channels, self.registers.lanes, most)

    def _constants(self) -> None:
        """Pack weights, fold the zero point into the bias."""
        builder, source = self.builder, dtype(self.source)
        zero_point = zero_point_of(self.anchors[0])
        operand = self.registers.operand
        taken_off = 0 if operand == "int16" else zero_point + shift_of(source, operand)
        self.zero_point = builder.constant(np.array([zero_point], np.int16))
        self.packed = builder.constant(self._pack(np.int16 if operand == "int16" else np.int8))
        self.biases, bounds = [], {}
        for anchor, kernel in zip(self.anchors, self.weights, strict=True):
            bias = array(anchor.inputs[2])
            if bias is None:
                raise Unsupported("a bias computed at run time")
            flat = kernel.reshape(self.channels, -1).astype(np.int64)
            folded = (bias.astype(np.int64) - taken_off * flat.sum(1)).astype(np.int32)
            self.biases.append(builder.constant(folded[self.channel_of]))
            bounds[id(anchor.outputs[0])] = int((np.abs(flat).sum(1) * 255 + np.abs(bias.astype(np.int64))).max())
        epilogue = Epilogue(builder, lambda data: data[self.channel_of], bounds)
        self.places = Places(epilogue, self.starts, self.channels, one_image=self.one_image)

    def _segments(self, kernel: Array) -> Array:
        """Weights as [outputs, segments, words, word]: kernel rows, or single taps where columns are dilated."""
        outputs, rows, columns, _ = kernel.shape
        joined = self.window.dilations[1] == 1
        segments = kernel.reshape(outputs, rows if joined else rows * columns, -1)
        word = self.registers.word
        padding = -segments.shape[2] % word
        segments = np.pad(segments, ((0, 0), (0, 0), (0, padding)))
        return segments.reshape(outputs, segments.shape[1], -1, word)

    def _pack(self, kind: type) -> Array:
        """Per tile [segments, words, anchors, registers, lanes, word], tiles one after the other."""
        lanes = self.registers.lanes
        segments = [self._segments(k)[self.channel_of] for k in self.weights]
        self.segments, self.words = segments[0].shape[1:3]
        parts = []
        for tile in self.tiles:
            for t in range(tile.count):
                first = (tile.first + t * tile.vectors) * lanes
                cut = np.stack([s[first : first + tile.vectors * lanes] for s in segments])
                cut = cut.reshape(len(segments), tile.vectors, lanes, *cut.shape[2:])
                parts.append(cut.transpose(3, 4, 0, 1, 2, 5).reshape(-1))
        return np.concatenate(parts).astype(kind)

    def kernel(self) -> Kernel:
        """Emit the function."""
        with self.builder.body():
            source = self.builder.flat(self.source)
            self.rows = Rows(
                self.registers,
                self.window,
                source,
                dtype(self.source),
                self.registers.operand,
                self.zero_point,
            )
            with tasks(self.registers.cpu, self.units, self.work) as (first, last):
                if not self.window.pointwise:
                    self._convolution(first, last)
                elif self.registers.operand == dtype(self.source) and self.window.channels % self.registers.word == 0:
                    self.rows.buffer = source
                    self._pixels(first, last, copy=False)
                else:
                    self.rows.allocate(self.pixels * self.window.channels)
                    self._pixels(first, last, copy=True)
        return self.builder.kernel()

    def _pixels(self, first: Expr, last: Expr, copy: bool) -> None:
        """A 1x1 convolution: stretches of pixels, the last one moved back to stay inside."""
        with T.serial(0, last - first) as i:
            start = bind(tirx.min((first + i) * self.pixels, self.total - self.pixels))
            if copy:
                self.rows.copy(0, start * self.window.channels, self.pixels * self.window.channels)
            self._channels([0 if copy else start * self.window.channels], start)

    def _convolution(self, first: Expr, last: Expr) -> None:
        """Output rows, each after the input rows it is the first to read."""
        w = self.window
        self.rows.allocate(w.span * w.row)
        offsets = T.alloc_buffer((self.segments,), "int32")
        with T.serial(0, last - first) as i:
            unit = bind(first + i)
            for row, start in enumerate(self.rows.advance(unit, i == 0)):
                taps = self.segments // w.kernel[0]
                for tap in range(taps):
                    T.buffer_store(offsets, start + tap * w.dilations[1] * w.channels, [row * taps + tap])
            self._channels(offsets, unit * self.pixels)

    def _channels(self, offsets: Sequence[Expr] | Expr, pixel: Expr) -> None:
        """All output channels of a stretch of pixels that starts at output pixel ``pixel``."""
        size = 0
        lanes, depth = self.registers.lanes, self.segments * self.words * len(self.anchors)
        for tile in self.tiles:
            with self._loop(tile) as t:
                rows = tile_rows(self.pixels, self.builder.registers.cpu.accumulators // (tile.vectors * self.streams))
                with T.serial(0, -(-self.pixels // rows)) as p:
                    x = bind(tirx.min(p * rows, self.pixels - rows))
                    weights = size + t * (tile.vectors * depth * lanes * self.registers.word)
                    sums = self._sums(tile, t, rows, offsets, x, bind(weights))
                    per_anchor = {id(a.outputs[0]): part for a, part in zip(self.anchors, sums, strict=True)}
                    self._finish(Place(tiles=tile, number=t, rows=rows, row=pixel + x), per_anchor)
            size += tile.count * tile.vectors * depth * lanes * self.registers.word

    def _finish(self, place: Place, sums: dict[int, list[Expr]]) -> None:
        """What happens to the sums of a tile."""
        self.places.finish(place, sums, "int32")

    @contextmanager
    def _loop(self, tile: Tiles) -> Iterator[Expr]:
        """Over equal tiles; on threads where there is one stretch of pixels only (a product by a vector)."""
        parallel = self.units == 1 and tile.count > 1 and self.registers.cpu.parallel(self.work)
        with (T.parallel if parallel else T.serial)(0, tile.count) as t:
            yield t

    def _sums(
        self, tile: Tiles, t: Expr, rows: int, offsets: Sequence[Expr] | Expr, x: Expr, weights: Expr
    ) -> list[list[Expr]]:
        """The accumulators of ``rows`` pixels from column ``x`` on: per anchor, row by row, register by register."""
        lanes, every = self.registers.lanes, [T.ramp(0, 1, self.registers.lanes)]
        vectors = len(self.anchors) * tile.vectors
        accumulators = [[T.alloc_buffer((lanes,), "int32") for _ in range(vectors)] for _ in range(rows)]
        for j in range(vectors):
            anchor, register = divmod(j, tile.vectors)
            slot = (tile.first + t * tile.vectors + register) * lanes
            bias = bind(self.biases[anchor].vload([slot], dtype=self.registers.i32))
            for row in accumulators:
                T.buffer_store(row[j], bias, every)
        stride = self.window.strides[1] * self.window.channels
        word = self.registers.word
        with T.serial(0, self.segments) as s:
            start = bind((offsets[0] if self.window.pointwise else offsets[s]) + x * stride)
            with T.serial(0, self.words) as k:
                at = bind(weights + (s * self.words + k) * (vectors * lanes * word))
                packed = [self._weights(at + j * lanes * word) for j in range(vectors)]
                for r, row in enumerate(accumulators):
                    activations = self.registers.spread(
                        self.registers.word_of(self.rows.buffer, start + k * word + r * stride)
                    )
                    for acc, w in zip(row, packed, strict=True):
                        T.buffer_store(
                            acc,
                            self.registers.dot(acc.vload([0], dtype=self.registers.i32), activations, w),
                            every,
                        )
        loaded = [[bind(acc.vload([0], dtype=self.registers.i32)) for acc in row] for row in accumulators]
        return [
            [v for row in loaded for v in row[a * tile.vectors : (a + 1) * tile.vectors]]
            for a in range(len(self.anchors))
        ]

    def _weights(self, at: Expr) -> Expr:
        count = self.registers.lanes * self.registers.word
        kind = "int16" if self.registers.operand == "int16" else "int8"
        return bind(self.packed.vload([at], dtype=f"{kind}x{count}"))
