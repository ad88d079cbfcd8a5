"""Rows of bytes to words of 64 samples a bit, and back.

Word ``w`` of a bit holds samples ``64 * w`` to ``64 * w + 63``, the first in the lowest place. The words of one bit
lie next to each other, so that one register holds a bit of many samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.targets.schedules._kernel import load, store
from edgegate.targets.schedules._registers import Expr, Registers, bind, shuffle, splat

WORD = 64
"""Samples of a word."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """Bits of a block of samples.

    Attributes:
        registers: Of the CPU.
        buffer: uint64: word ``w`` of the bit in slot ``s`` is element ``s * width + w``.
        width: Words of a bit.
        samples: Samples that there are in all.
    """

    registers: Registers
    buffer: Expr
    width: int
    samples: int

    @property
    def lanes(self) -> int:
        """Bytes of a register."""
        return self.registers.block

    @property
    def pieces(self) -> tuple[int, int]:
        """Words of a register, and registers that hold a bit."""
        each = min(self.width, self.lanes // 8)
        return each, self.width // each

    def load(self, slot: Expr, piece: int) -> Expr:
        """A register of the bit in a slot."""
        each, _ = self.pieces
        at = slot * self.width + piece * each
        return bind(self.buffer.vload([at], dtype=f"uint64x{each}" if each > 1 else "uint64"))

    def store(self, slot: Expr, piece: int, value: Expr) -> None:
        """Write a register of the bit in a slot."""
        each, _ = self.pieces
        at = slot * self.width + piece * each
        T.buffer_store(self.buffer, value, [T.ramp(at, 1, each) if each > 1 else at])

    def every(self, value: Expr) -> Expr:
        """A register with the uint64 in every lane."""
        each, _ = self.pieces
        return bind(T.broadcast(value, each)) if each > 1 else bind(value)

    def pack(self, source: Expr, count: int, first: Expr, w: Expr, slot: int = 1) -> None:
        """Fill word ``w`` of ``count`` bits, from slot ``slot`` on.

        Args:
            source: uint8 [samples * count]; not 0 is true.
            count: Bits of a sample.
            first: The first sample of the word; those that are not there repeat the last one.
            w: Which word.
            slot: The slot of the first bit.
        """
        block, lanes = min(self.lanes, count), self.lanes
        rows, words = T.alloc_buffer((8 * lanes,), "uint8"), T.alloc_buffer((lanes,), "uint64")
        byte, kind = T.alloc_buffer((lanes,), "uint8"), f"uint8x{lanes}"
        with T.serial(0, -(-count // block)) as chunk:
            start = bind(tirx.min(chunk * block, count - block))
            with T.serial(0, 8) as j:
                T.buffer_store(byte, splat(0, "uint8", lanes), [T.ramp(0, 1, lanes)])
                with T.serial(0, 8) as t:
                    row = bind(tirx.min(first + 8 * j + 7 - t, self.samples - 1))
                    given = load(source, row * count + start, block, lanes, "uint8")
                    known = bind(byte.vload([0], dtype=kind))
                    bit = tirx.min(given, splat(1, "uint8", lanes))
                    T.buffer_store(byte, known + known + bit, [T.ramp(0, 1, lanes)])
                T.buffer_store(rows, byte.vload([0], dtype=kind), [T.ramp(j * lanes, 1, lanes)])
            self._join(rows, words)
            with T.serial(0, block) as i:
                T.buffer_store(self.buffer, words[i], [(start + slot + i) * self.width + w])

    def _join(self, rows: Expr, words: Expr) -> None:
        """uint64 lanes from eight registers of their bytes, the lowest first."""
        each = self.lanes // 8
        with T.serial(0, 8) as q:
            total: Expr = None
            for j in range(8):
                part = bind(rows.vload([j * self.lanes + q * each], dtype=f"uint8x{each}"))
                wide = bind(part.astype(f"uint64x{each}") << splat(8 * j, "uint64", each))
                total = wide if total is None else bind(total | wide)
            T.buffer_store(words, total, [T.ramp(q * each, 1, each)])

    def unpack(self, slots: Expr, flips: Expr, count: int, first: Expr, w: Expr, result: Expr) -> None:
        """Write bits of word ``w`` as rows of bytes.

        Args:
            slots: int32 [count]: where the bits are.
            flips: uint64 [count]: all ones where a bit is inverted, else 0.
            count: Bits of a sample.
            first: The first sample of the word.
            w: Which word.
            result: uint8 [samples * count].
        """
        block, lanes = min(self.lanes, count), self.lanes
        each, one = lanes // 8, splat(1, "uint8", lanes)
        words, rest = T.alloc_buffer((lanes,), "uint64"), T.alloc_buffer((lanes,), "uint8")
        with T.serial(0, -(-count // block)) as chunk:
            start = bind(tirx.min(chunk * block, count - block))
            with T.serial(0, block) as i:
                T.buffer_store(words, self.buffer[slots[start + i] * self.width + w] ^ flips[start + i], [i])
            with T.serial(0, 8) as j:
                amount = bind(T.broadcast((8 * j).astype("uint64"), each))
                parts = [
                    bind((words.vload([q], dtype=f"uint64x{each}") >> amount).astype(f"uint8x{each}"))
                    for q in range(0, lanes, each)
                ]
                T.buffer_store(rest, shuffle(parts, range(lanes)), [T.ramp(0, 1, lanes)])
                row = bind(first + 8 * j)
                with T.serial(0, tirx.max(0, tirx.min(8, self.samples - row))) as t:
                    bits = bind(rest.vload([0], dtype=f"uint8x{lanes}"))
                    store(result, (row + t) * count + start, block, bind(bits & one), lanes=lanes)
                    T.buffer_store(rest, bits >> one, [T.ramp(0, 1, lanes)])

    def count(self, terms: Terms, first: Expr, w: Expr, result: Expr) -> None:
        """Write the sums of bits of word ``w``, int32 [samples * groups]."""
        lanes = self.registers.lanes
        kind = f"int32x{lanes}"
        sums = T.alloc_buffer((WORD,), "int32")
        place = bind(T.ramp(0, 1, lanes))
        with T.serial(0, terms.groups) as k:
            start = bind(T.broadcast(terms.offset[k], lanes))
            for q in range(0, WORD, lanes):
                T.buffer_store(sums, start, [T.ramp(q, 1, lanes)])
            with T.serial(0, terms.starts[k + 1] - terms.starts[k]) as i:
                e = bind(terms.starts[k] + i)
                word, weight = bind(self.buffer[terms.slots[e] * self.width + w]), bind(terms.weight[e])
                for q in range(0, WORD, lanes):
                    part = bind((word >> tirx.const(q, "uint64")).astype("int32"))
                    bit = bind((T.broadcast(part, lanes) >> place) & splat(1, "int32", lanes))
                    chosen = bind((splat(0, "int32", lanes) - bit) & T.broadcast(weight, lanes))
                    T.buffer_store(sums, sums.vload([q], dtype=kind) + chosen, [T.ramp(q, 1, lanes)])
            with T.serial(0, tirx.max(0, tirx.min(WORD, self.samples - first))) as s:
                T.buffer_store(result, sums[s], [(first + s) * terms.groups + k])


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Weighted sums of bits in slots, as buffers.

    Attributes:
        groups: Number of sums.
        starts: int32 [groups + 1]: the first term of each sum.
        slots: int32 [E].
        weight: int32 [E].
        offset: int32 [groups].
    """

    groups: int
    starts: Expr
    slots: Expr
    weight: Expr
    offset: Expr


def width_for(samples: int) -> int:
    """Words of a bit that suit a number of samples: up to eight, a power of two."""
    return next(w for w in (1, 2, 4, 8) if w == 8 or w * WORD >= samples)


def ones(inverted: np.ndarray) -> np.ndarray:
    """uint64: all ones where a bit is inverted."""
    return np.where(inverted, ~np.uint64(0), np.uint64(0)).astype(np.uint64)
