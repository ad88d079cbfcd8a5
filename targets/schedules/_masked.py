"""Products by both halves of a masked matrix: a weight is read once, a bit says which halves' sums it goes to.

The sums of everything, and those of each mask, are held in registers side by side. A register of packed weights is
loaded, and again with zeros where a mask has none: one instruction where vectors have masks of bits (AVX-512).

Source: "Masked Gated Linear Unit", arXiv 2506.23225, section 4 (FlashMGLU), with integers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import Array, array, attribute
from edgegate.ops.masked_matmul import halves, unpacked
from edgegate.targets.schedules._contraction import Contraction
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._geometry import Tiles, shift_of
from edgegate.targets.schedules._group import Group
from edgegate.targets.schedules._kernel import Kernel, Unsupported, dtype, store
from edgegate.targets.schedules._places import Place
from edgegate.targets.schedules._registers import Expr, bind, splat, view

MOST_MASKS = 5
"""Masks beyond these have no registers for their sums."""


def masked(group: Group, cpu: Cpu) -> Kernel:
    """The kernel of a MaskedMatMul of bytes, alone."""
    anchor = group.nodes[0]
    masks, source = array(anchor.inputs[2]), anchor.inputs[0]
    if len(group.nodes) > 1 or masks is None or source is None or dtype(source) not in ("int8", "uint8"):
        raise Unsupported("a masked product of 16 bits, or with something behind it")
    if len(masks) > MOST_MASKS:
        raise Unsupported(f"{len(masks)} masks")
    return _Masked(group, cpu, masks).kernel()


class _Masked(Contraction):
    """A contraction whose sums are those of the whole, and one for each mask."""

    def __init__(self, group: Group, cpu: Cpu, masks: Array) -> None:
        self.output, self.masks = group.output, masks
        super().__init__(group, cpu, streams=1 + len(masks))

    def _constants(self) -> None:
        """Pack weights and masks; fold the zero point into what each sum begins with."""
        builder, anchor, source = self.builder, self.anchors[0], dtype(self.source)
        weight, bias = array(anchor.inputs[1]), array(anchor.inputs[3])
        if weight is None or bias is None:
            raise Unsupported("weights or a bias computed at run time")
        operand, zero_point = self.registers.operand, int(attribute(anchor, "x_zero_point"))
        taken_off = 0 if operand == "int16" else zero_point + shift_of(source, operand)
        self.zero_point = builder.constant(np.array([zero_point], np.int16))
        self.packed = builder.constant(self._pack(np.int16 if operand == "int16" else np.int8))
        self.bits = self._packed_bits(weight.shape[1])
        both, added = halves(weight, self.masks).astype(np.int64), bias.astype(np.int64).reshape(-1, 2, weight.shape[1])
        firsts = [-taken_off * part[0].sum(0) + start[0] for part, start in zip(both, added, strict=True)]
        begins = [-taken_off * weight.astype(np.int64).sum(0), *firsts]
        self.begins = [builder.constant(b.astype(np.int32)[self.channel_of]) for b in begins]
        rests = [(start[0] + start[1]).astype(np.int32)[self.channel_of] for start in added]
        self.rests = [builder.constant(r) for r in rests]

    def _packed_bits(self, columns: int) -> Expr:
        """For each register of packed weights an integer for each mask, a bit for each weight."""
        count, kept = self.registers.lanes * self.registers.word, self.weights
        if count % 8:
            raise Unsupported(f"masks of {count} bits")
        made = []
        for mask in unpacked(self.masks, columns):
            self.weights = [mask.T.astype(np.int8)[:, None, None, :]]
            made.append(np.packbits(self._pack(np.int8).reshape(-1, count).astype(bool), -1, bitorder="little"))
        self.weights, self.kind = kept, f"int{count}"
        return self.builder.constant(np.stack(made, 1).reshape(-1).view(self.kind))

    def _sums(
        self, tile: Tiles, t: Expr, rows: int, offsets: Sequence[Expr] | Expr, x: Expr, weights: Expr
    ) -> list[list[Expr]]:
        """The sums of ``rows`` rows: row by row, of everything and of each mask, register by register."""
        registers, every = self.registers, [T.ramp(0, 1, self.registers.lanes)]
        lanes, word, size = registers.lanes, registers.word, registers.lanes * registers.word
        sums = [[T.alloc_buffer((lanes,), "int32") for _ in range(self.streams * tile.vectors)] for _ in range(rows)]
        for j in range(self.streams * tile.vectors):
            stream, register = divmod(j, tile.vectors)
            slot = (tile.first + t * tile.vectors + register) * lanes
            begin = bind(self.begins[stream].vload([slot], dtype=registers.i32))
            for row in sums:
                T.buffer_store(row[j], begin, every)
        start = bind(offsets[0] + x * self.window.channels)
        with T.serial(0, self.words) as k:
            at = bind(weights + k * (tile.vectors * size))
            packed = self._streams(at, tile.vectors)
            for r, row in enumerate(sums):
                here = start + k * word + r * self.window.channels
                activations = registers.spread(registers.word_of(self.rows.buffer, here))
                for acc, factor in zip(row, packed, strict=True):
                    T.buffer_store(acc, registers.dot(acc.vload([0], dtype=registers.i32), activations, factor), every)
        return [[bind(acc.vload([0], dtype=registers.i32)) for row in sums for acc in row]]

    def _streams(self, at: Expr, vectors: int) -> list[Expr]:
        """The weights of a word from ``at`` on, all of them and then those of each mask."""
        size, count = self.registers.lanes * self.registers.word, len(self.masks)
        whole = [self._weights(at + j * size) for j in range(vectors)]
        first, parts = bind(at // size * count), list(whole)
        for i in range(count):
            for j, packed in enumerate(whole):
                bits = view(f"int1x{size}", bind(self.bits[first + (j * count + i)])) != splat(0, "int1", size)
                none = splat(0, "int16" if self.registers.operand == "int16" else "int8", size)
                parts.append(bind(tirx.Select(bits, packed, none)))
        return parts

    def _finish(self, place: Place, sums: dict[int, list[Expr]]) -> None:
        """Write the sums of a tile: of each mask, and what it leaves of the whole."""
        (registers,) = sums.values()
        output, lanes, vectors = self.builder.flat(self.output), self.registers.lanes, place.tiles.vectors
        width = 2 * len(self.masks) * self.channels
        moved = place.number * (vectors * lanes)
        for r in range(place.rows):
            row = registers[r * self.streams * vectors : (r + 1) * self.streams * vectors]
            for j in range(vectors):
                column = int(self.starts[place.tiles.first + j]) + moved
                for i, rest in enumerate(self.rests):
                    first = row[(1 + i) * vectors + j]
                    left = rest.vload([(place.first + j) * lanes], dtype=self.registers.i32)
                    at = bind((place.row + r) * width + 2 * i * self.channels + column)
                    for half, vector in enumerate((first, bind(row[j] - first + left))):
                        store(output, at + half * self.channels, min(lanes, self.channels), vector, lanes=lanes)
