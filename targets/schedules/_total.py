"""Sums over all pixels of an image (the squeeze of squeeze-and-excite), four pixels a dot product with ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import attribute, shape
from edgegate.targets.schedules._channelwise import ChannelBlocks
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._geometry import shift_of
from edgegate.targets.schedules._group import Group
from edgegate.targets.schedules._kernel import Builder, Kernel, Unsupported, dtype, load
from edgegate.targets.schedules._registers import Expr, bind, view
from edgegate.targets.schedules._stages import Epilogue, Lanes


def total(group: Group, cpu: Cpu) -> Kernel:
    """The kernel of a Sum over every axis between the first and the last, and the elementwise ops behind it."""
    return _Total(group, cpu).kernel()


class _Total:
    """The state that the steps of one kernel share."""

    def __init__(self, group: Group, cpu: Cpu) -> None:
        self.anchor = group.anchors[0]
        assert self.anchor.inputs[0] is not None
        self.source = self.anchor.inputs[0]
        self.kind = dtype(self.source)
        dims = shape(self.source)
        axes = sorted(int(a) % len(dims) for a in attribute(self.anchor, "axes"))
        if axes != list(range(1, len(dims) - 1)) or self.kind not in ("int8", "uint8"):
            raise Unsupported(f"a sum of {self.kind} over axes {axes} of {len(dims)}")
        self.images, self.pixels, self.channels = dims[0], int(np.prod(dims[1:-1])), dims[-1]
        if self.pixels * 255 >= 1 << 31:
            raise Unsupported(f"a sum of {self.pixels} bytes")
        self.builder = Builder(group, cpu)
        self.registers = self.builder.registers
        self.operand = "uint8" if self.registers.unsigned else "int8"
        self.blocks = ChannelBlocks(self.channels, self.registers.block, self.registers.order(packed=True))
        zero_point = int(attribute(self.anchor, "input_zero_point")) + shift_of(self.kind, self.operand)
        self.start = self.builder.constant(np.array([-zero_point * self.pixels], np.int32))
        bound = {id(self.anchor.outputs[0]): self.pixels * 255}
        self.epilogue = Epilogue(self.builder, self.blocks.arrange, bound)

    def kernel(self) -> Kernel:
        """Emit the function: blocks of channels of every image, each a loop over pixels."""
        shares = self.images * self.blocks.count
        parallel = shares > 1 and self.registers.cpu.parallel(self.images * self.pixels * self.channels)
        with self.builder.body(), (T.parallel if parallel else T.serial)(0, shares) as share:
            image, b = bind(share // self.blocks.count), bind(share % self.blocks.count)
            channel = self.blocks.start(b)
            sums = self._sums(bind(image * (self.pixels * self.channels) + channel))
            offset = bind(image * self.channels + channel)
            block = self.blocks.place(b, offset, offset, self.registers.lanes)
            self.epilogue.finish(block, {id(self.anchor.outputs[0]): Lanes(dtype="int32", registers=sums)})
        return self.builder.kernel()

    def _sums(self, at: Expr) -> list[Expr]:
        registers = self.registers
        start = bind(T.broadcast(self.start[0], registers.lanes))
        sums = [T.alloc_buffer((registers.lanes,), "int32") for _ in range(4)]
        for s in sums:
            T.buffer_store(s, start, [T.ramp(0, 1, registers.lanes)])
        if self.pixels >= 4:
            with T.serial(0, self.pixels // 4) as i:
                self._four(sums, [bind(at + (4 * i + j) * self.channels) for j in range(4)], 4)
        if self.pixels % 4:
            rest = range(self.pixels - self.pixels % 4, self.pixels)
            rows = [bind(at + j * self.channels) for j in rest]
            self._four(sums, rows + rows[-1:] * (4 - len(rest)), len(rest))
        return [bind(s.vload([0], dtype=registers.i32)) for s in sums]

    def _four(self, sums: Sequence[Expr], rows: list[Expr], count: int) -> None:
        """Add the first ``count`` of four pixels."""
        registers = self.registers
        ones = T.broadcast(tirx.const(int.from_bytes(b"\1" * count, "little"), "int32"), registers.lanes)
        for s, lanes in zip(sums, registers.interleave([self._load(row) for row in rows]), strict=True):
            T.buffer_store(
                s, registers.dot4(s.vload([0], dtype=registers.i32), lanes, ones), [T.ramp(0, 1, registers.lanes)]
            )

    def _load(self, at: Expr) -> Expr:
        """A block of one pixel as the dot product takes it; the top bit flipped where the sign differs."""
        block = self.registers.block
        value = load(self.builder.flat(self.source), at, self.blocks.width, block, self.kind)
        if self.kind != self.operand:
            top = tirx.const(-128 if self.kind == "int8" else 128, self.kind)
            value = view(f"{self.operand}x{block}", bind(value ^ T.broadcast(top, block)))
        return bind(value)
