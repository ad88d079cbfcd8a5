"""Sums of bits, one register a bit, to rows of int32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import Array
from edgegate.logic import GroupSum
from edgegate.targets.schedules._bits import WORD, ones
from edgegate.targets.schedules._kernel import Builder, store
from edgegate.targets.schedules._registers import Expr, bind, splat
from edgegate.targets.schedules.logic._transpose import GROUP, transposed

BYTE = 8

CHOOSE = "edgegate_add_where"
"""The bytes ``known``, with ``more`` added where the bit of ``word`` is set."""
HELPER = f"""
define <64 x i8> @{CHOOSE}(i64 %word, <64 x i8> %known, i8 %more) {{
  %where = bitcast i64 %word to <64 x i1>
  %first = insertelement <64 x i8> poison, i8 %more, i32 0
  %every = shufflevector <64 x i8> %first, <64 x i8> poison, <64 x i32> zeroinitializer
  %sum = add <64 x i8> %known, %every
  %chosen = select <64 x i1> %where, <64 x i8> %sum, <64 x i8> %known
  ret <64 x i8> %chosen
}}
"""
"""TVM has no vector of bits; LLVM inlines this where it is called."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Planes:
    """Sums as bytes: which bits each byte of each sum is made of.

    Sixteen sums are made at a time, the last sixteen of them may have been made before. Byte ``b`` of sum ``i`` of
    the sixteen is row ``16 * b + i``.

    Attributes:
        starts: int32 [groups of sixteen * bytes * 16 + 1]: the first bit of each row.
        slots: int32 [bits].
        flips: uint64 [bits]: all ones where a bit counts if it is 0.
        values: uint8 [bits]: what a bit adds to its byte.
        offsets: int32 [groups of sixteen * 16].
        firsts: int32 [groups of sixteen]: the first sum of each.
        bytes: Bytes of a sum.
    """

    starts: Array
    slots: Array
    flips: Array
    values: Array
    offsets: Array
    firsts: Array
    bytes: int


def planes_of(sums: GroupSum, slots: Array, inverted: Array) -> Planes:
    """Powers of two of bits.

    Args:
        sums: Every weight is a power of two, and in each sum there is one bit at most of each.
        slots: Where each bit is.
        inverted: Whether the bit is 1 where the slot has 0.
    """
    count = sums.groups
    shift = np.log2(sums.weight).astype(np.int64)
    width = int(shift.max(initial=0)) // BYTE + 1
    firsts = np.minimum(np.arange(-(-count // GROUP)) * GROUP, max(count - GROUP, 0))
    rows, terms, offsets = list[Array](), list[Array](), list[int]()
    for first in firsts.tolist():
        offsets += [*sums.offset[first : first + GROUP].tolist(), *[0] * (first + GROUP - count)]
        low, high = np.searchsorted(sums.group, [first, first + GROUP])
        e = np.arange(low, high)
        row = shift[e] // BYTE * GROUP + sums.group[e] - first
        order = np.argsort(row, kind="stable")
        rows.append(row[order] + len(rows) * width * GROUP)
        terms.append(e[order])
    row, e = np.concatenate(rows), np.concatenate(terms)
    places = sums.member[e]
    return Planes(
        starts=np.searchsorted(row, np.arange(len(firsts) * width * GROUP + 1)).astype(np.int32),
        slots=slots[places].astype(np.int32), flips=ones(inverted[places]),
        values=(np.int64(1) << shift[e] % BYTE).astype(np.uint8), offsets=np.array(offsets, np.int32),
        firsts=firsts.astype(np.int32), bytes=width,
    )  # fmt: skip


class Counter:
    """Adds up blocks of samples.

    Args:
        builder: Of the kernel, whose result is int32 [samples * sums].
        planes: The sums.
        count: How many sums.
        slots: Memory, uint64.
        samples: How many there are in all.
        width: Words of a slot.
    """

    def __init__(self, builder: Builder, planes: Planes, count: int, slots: Expr, samples: int, width: int) -> None:
        self.slots, self.samples, self.width, self.count, self.planes = slots, samples, width, count, planes
        self.result = builder.flat(builder.group.output)
        self.starts, self.offsets = builder.constant(planes.starts), builder.constant(planes.offsets)
        self.firsts = builder.constant(planes.firsts)
        self.places = builder.constant(np.append(planes.slots, 0).astype(np.int32))
        self.flips = builder.constant(np.append(planes.flips, np.uint64(0)))
        self.values = builder.constant(np.append(planes.values, 0).astype(np.uint8))
        self.rows = T.alloc_buffer((planes.bytes * GROUP * WORD,), "uint8")
        self.turned = T.alloc_buffer((planes.bytes * GROUP * WORD,), "uint8")
        self.sum = T.alloc_buffer((WORD,), "uint8")

    def write(self, first: Expr) -> None:
        """Write the sums of the samples from ``first`` on, those that there are."""
        with T.serial(0, self.width) as w, T.serial(0, len(self.planes.firsts)) as group:
            self._bytes(group, w)
            self._turn()
            sample = bind(first + w * WORD)
            with T.serial(0, tirx.max(0, tirx.min(WORD, self.samples - sample))) as s:
                self._row(group, s, bind((sample + s) * self.count))

    def _bytes(self, group: Expr, w: Expr) -> None:
        """Every byte of every sum, of 64 samples."""
        kind, rows = f"uint8x{WORD}", self.planes.bytes * GROUP
        with T.serial(0, rows) as r:
            at = bind(group * rows + r)
            T.buffer_store(self.sum, splat(0, "uint8", WORD), [T.ramp(0, 1, WORD)])
            with T.serial(0, self.starts[at + 1] - self.starts[at]) as i:
                e = bind(self.starts[at] + i)
                word = bind(self.slots[self.places[e] * self.width + w] ^ self.flips[e])
                known = bind(self.sum.vload([0], dtype=kind))
                more = T.call_pure_extern(kind, CHOOSE, word, known, self.values[e])
                T.buffer_store(self.sum, more, [T.ramp(0, 1, WORD)])
            T.buffer_store(self.rows, self.sum.vload([0], dtype=kind), [T.ramp(r * WORD, 1, WORD)])

    def _turn(self) -> None:
        kind = f"uint8x{WORD}"
        with T.serial(0, self.planes.bytes) as b:
            rows = [bind(self.rows.vload([(b * GROUP + i) * WORD], dtype=kind)) for i in range(GROUP)]
            for c, row in enumerate(transposed(rows, WORD)):
                T.buffer_store(self.turned, row, [T.ramp((b * GROUP + c) * WORD, 1, WORD)])

    def _row(self, group: Expr, s: Expr, start: Expr) -> None:
        """The sums of one sample."""
        kind = f"int32x{GROUP}"
        place = bind(s % GROUP * WORD + s // GROUP * GROUP)
        total = bind(self.offsets.vload([group * GROUP], dtype=kind))
        for b in range(self.planes.bytes):
            part = bind(self.turned.vload([place + b * GROUP * WORD], dtype=f"uint8x{GROUP}"))
            total = bind(total + (part.astype(kind) << splat(BYTE * b, "int32", GROUP)))
        store(self.result, start + self.firsts[group], min(GROUP, self.count), total, lanes=GROUP)
