"""Reductions that keep channels apart: depthwise convolutions, sums and maxima over windows.

Lanes run along channels. Four kernel rows are interleaved so that each int32 lane holds four bytes of one channel,
which is what a dot product takes; the interleaved column of an input serves every output that reads it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import Array, array, attribute, shape
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._geometry import Rows, Window, channel_starts, shift_of, tasks
from edgegate.targets.schedules._group import Group
from edgegate.targets.schedules._kernel import Block, Builder, Kernel, Run, Unsupported, dtype
from edgegate.targets.schedules._registers import Expr, bind
from edgegate.targets.schedules._stages import Epilogue, Lanes

UNROLLED = 192
"""Dot products written out one by one; more taps than that are not worth the code."""


def channelwise(group: Group, cpu: Cpu) -> Kernel:
    """The kernel of a DepthwiseConv2d, SumPool2d or MaxPool2d and the elementwise ops behind it."""
    return _Channelwise(group, cpu).kernel()


class ChannelBlocks:
    """Blocks of channels of an NHWC tensor: the last one overlaps its neighbour, or stands alone and is padded.

    Args:
        channels: C.
        block: Channels of a block.
        order: Element of a block at [register, lane], flat.
    """

    def __init__(self, channels: int, block: int, order: Array) -> None:
        self.channels, self.block = channels, block
        starts = channel_starts(channels, block)
        self.count = len(starts)
        self.width = min(channels, block)
        self.channel_of = np.minimum(starts[:, None] + order, channels - 1).reshape(-1)

    def start(self, index: Expr) -> Expr:
        """First channel of a block."""
        return bind(tirx.min(index * self.block, max(0, self.channels - self.block)))

    def arrange(self, data: Array) -> Array:
        """An array over channels (its first axis) in the order of the blocks' slots."""
        return data[self.channel_of]

    def place(self, index: Expr, offset: Expr, image: Expr, lanes: int) -> Block:
        """The block whose first element is element ``offset`` of the output."""
        run = Run(offset=offset, image=image, lanes=self.block, count=self.width)
        return Block(runs=[run], slots=[index * self.block + q * lanes for q in range(4)], packed=True)


def _window(anchor: ir.Node, kernel: Sequence[int]) -> Window:
    assert anchor.inputs[0] is not None
    images, height, width, channels = shape(anchor.inputs[0])
    return Window(
        images=images, height=height, width=width, channels=channels, kernel=(kernel[0], kernel[1]),
        pads=tuple(attribute(anchor, "pads")), strides=tuple(attribute(anchor, "strides")),
        dilations=tuple(attribute(anchor, "dilations", (1, 1))),
    )  # fmt: skip


class _Channelwise:
    """The state that the steps of one kernel share."""

    def __init__(self, group: Group, cpu: Cpu) -> None:
        if len(group.anchors) != 1:
            raise Unsupported("two depthwise reductions in one group")
        self.builder = Builder(group, cpu)
        self.registers = self.builder.registers
        self.anchor = group.anchors[0]
        assert self.anchor.inputs[0] is not None
        self.source = self.anchor.inputs[0]
        self.maximum = self.anchor.op_type == "MaxPool2d"
        weights, bias = self._weights()
        self.window = _window(self.anchor, weights.shape[:2])
        order = self.registers.order(packed=True)
        self.blocks = ChannelBlocks(self.window.channels, self.registers.block, order)
        self._pixels()
        self._constants(weights, bias)

    def _weights(self) -> tuple[Array, Array]:
        """Weights as [rows, columns, C] and the bias; ones and zeros for a pool."""
        channels = shape(self.source)[-1]
        if self.anchor.op_type == "DepthwiseConv2d":
            weights, bias = array(self.anchor.inputs[1]), array(self.anchor.inputs[2])
            if weights is None or bias is None or weights.dtype != np.int8 or weights.shape[3] != 1:
                raise Unsupported("depthwise weights computed at run time, or a channel multiplier")
            return weights[..., 0], bias.astype(np.int64)
        rows, columns = attribute(self.anchor, "kernel")
        return np.ones((rows, columns, channels), np.int8), np.zeros(channels, np.int64)

    def _pixels(self) -> None:
        """Output pixels computed together: as many as registers and the size of the code allow."""
        rows, columns = self.window.kernel
        taps = columns if self.maximum else -(-rows // 4) * columns * 4
        most = min(self.registers.cpu.accumulators // 4, UNROLLED // taps, 4)
        if most < 1:
            raise Unsupported(f"a window of {rows} x {columns}")
        self.together = min(most, self.window.output[1])

    def _constants(self, weights: Array, bias: Array) -> None:
        builder, kind = self.builder, dtype(self.source)
        self.operand = kind if self.maximum else "uint8" if self.registers.unsigned else "int8"
        zero_point = int(np.iinfo(kind).min) if self.maximum else int(attribute(self.anchor, "input_zero_point"))
        self.zero_point = builder.constant(np.array([zero_point], np.int16))
        flat = weights.astype(np.int64).reshape(-1, weights.shape[2])
        value = self.anchor.outputs[0]
        bound = int((np.abs(flat).sum(0) * 255 + np.abs(bias)).max())
        if not self.maximum:
            folded = bias - (zero_point + shift_of(kind, self.operand)) * flat.sum(0)
            self.bias = builder.constant(self.blocks.arrange(folded.astype(np.int32)))
            self.packed = builder.constant(self._pack(weights))
        self.epilogue = Epilogue(builder, self.blocks.arrange, {} if self.maximum else {id(value): bound})

    def _pack(self, weights: Array) -> Array:
        """Per block [groups of four rows, columns, registers, lanes, four rows]; rows beyond the kernel are 0."""
        rows, columns, channels = weights.shape
        padded = np.pad(weights, ((0, -rows % 4), (0, 0), (0, 0)))
        taps = padded.reshape(-1, 4, columns, channels).transpose(3, 0, 2, 1)
        blocks = self.blocks.arrange(taps).reshape(self.blocks.count, self.registers.block, -1, columns, 4)
        return blocks.transpose(0, 2, 3, 1, 4).reshape(-1)

    def kernel(self) -> Kernel:
        """Emit the function."""
        w = self.window
        rows, columns = w.output
        work = w.images * rows * columns * w.channels * w.kernel[0] * w.kernel[1]
        with self.builder.body():
            source = self.builder.flat(self.source)
            self.rows = Rows(self.registers, w, source, dtype(self.source), self.operand, self.zero_point)
            with tasks(self.registers.cpu, w.images * rows, work) as (first, last):
                self.rows.allocate(w.span * w.row)
                with T.serial(0, last - first) as i:
                    unit = bind(first + i)
                    starts = self.rows.advance(unit, i == 0)
                    self._row(starts, bind(unit * columns), bind(unit // rows))
        return self.builder.kernel()

    def _row(self, starts: list[Expr], pixel: Expr, image: Expr) -> None:
        """One output row: for each block of channels all its pixels."""
        columns, together = self.window.output[1], self.together
        with T.serial(0, self.blocks.count) as b:
            channel = self.blocks.start(b)
            with T.serial(0, -(-columns // together)) as p:
                x = bind(tirx.min(p * together, columns - together))
                at = [bind(s + x * (self.window.strides[1] * self.window.channels) + channel) for s in starts]
                for i, sums in enumerate(self._maxima(at) if self.maximum else self._sums(at, b)):
                    offset = bind((pixel + x + i) * self.window.channels + channel)
                    block = self.blocks.place(b, offset, image * self.window.channels + channel, self.registers.lanes)
                    self.epilogue.finish(block, {id(self.anchor.outputs[0]): sums})

    def _readers(self) -> dict[int, list[tuple[int, int]]]:
        """For each input column, relative to the first, the (output pixel, kernel column) that read it."""
        readers: dict[int, list[tuple[int, int]]] = {}
        for pixel in range(self.together):
            for column in range(self.window.kernel[1]):
                key = pixel * self.window.strides[1] + column * self.window.dilations[1]
                readers.setdefault(key, []).append((pixel, column))
        return dict(sorted(readers.items()))

    def _sums(self, at: list[Expr], b: Expr) -> list[Lanes]:
        """Per output pixel the accumulators of a block."""
        registers, (rows, columns) = self.registers, self.window.kernel
        block, groups = registers.block, -(-rows // 4)
        bias = [bind(self.bias.vload([b * block + q * registers.lanes], dtype=registers.i32)) for q in range(4)]
        sums = [list(bias) for _ in range(self.together)]
        for group in range(groups):
            rows_at = [at[min(4 * group + i, rows - 1)] for i in range(4)]
            for column, users in self._readers().items():
                taps = registers.interleave([self._load(row, column) for row in rows_at])
                for pixel, kernel_column in users:
                    first = ((b * groups + group) * columns + kernel_column) * (4 * block)
                    for q in range(4):
                        weights = self.packed.vload([first + q * block], dtype=registers.i8)
                        weights = bind(T.reinterpret(registers.i32, weights))
                        sums[pixel][q] = registers.dot4(sums[pixel][q], taps[q], weights)
        return [Lanes(dtype="int32", registers=s) for s in sums]

    def _maxima(self, at: list[Expr]) -> list[Lanes]:
        """Per output pixel the greatest element of each channel."""
        best: list[Expr | None] = [None] * self.together
        for column, users in self._readers().items():
            for row in at:
                value = self._load(row, column)
                for pixel, _ in users:
                    known = best[pixel]
                    best[pixel] = value if known is None else bind(tirx.max(known, value))
        return [Lanes(dtype=self.operand, registers=[v]) for v in best]

    def _load(self, row: Expr, column: int) -> Expr:
        offset = row + column * self.window.channels
        return bind(self.rows.buffer.vload([offset], dtype=f"{self.operand}x{self.registers.block}"))
