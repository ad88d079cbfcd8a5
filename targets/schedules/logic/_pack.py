"""Rows of bytes to one register a bit."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.targets.schedules._kernel import load
from edgegate.targets.schedules._registers import Expr, bind, splat, view
from edgegate.targets.schedules.logic import _pack_x86
from edgegate.targets.schedules.logic._transpose import GROUP, gathered, transposed


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Samples as rows of bytes.

    Attributes:
        buffer: uint8 [samples * count]; not 0 is true.
        samples: How many.
        count: Bytes of a sample.
    """

    buffer: Expr
    samples: int
    count: int


class Packer:
    """Packs blocks of ``8 * width`` samples.

    Args:
        rows: The samples.
        slots: Memory, uint64: bit ``b`` goes to the ``width`` bytes of slot ``1 + b``.
        width: Bytes of a slot.
        lanes: Bytes of a vector, 16 at least.
    """

    def __init__(self, rows: Rows, slots: Expr, width: int, lanes: int) -> None:
        self.rows, self.slots, self.width, self.lanes = rows, slots, width, lanes
        self.columns = min(lanes, rows.count)
        self.bytes = T.alloc_buffer((width * lanes,), "uint8")
        self.turned = T.alloc_buffer((width * lanes,), "uint8")
        self.code = width == lanes == _pack_x86.LANES

    def pack(self, first: Expr) -> None:
        """Fill the slots with the samples from ``first`` on; those that are not there repeat the last one."""
        block, samples = 8 * self.width, self.rows.samples
        if samples % block == 0:
            self._all(first, whole=True)
        elif samples < block:
            self._all(first, whole=False)
        else:
            with T.If(first + block <= samples):
                with T.Then():
                    self._all(first, whole=True)
                with T.Else():
                    self._all(first, whole=False)

    def _all(self, first: Expr, *, whole: bool) -> None:
        if whole and self.code:
            start, size = first.astype("int64") * self.rows.count, tirx.const(self.rows.count, "int64")
            given = self.rows.buffer.data, start, size, self.slots.data
            T.evaluate(T.call_extern("int32", _pack_x86.NAME, *given))
            return
        with T.serial(0, -(-self.rows.count // self.columns)) as chunk:
            start = bind(tirx.min(chunk * self.columns, self.rows.count - self.columns))
            with T.serial(0, self.width) as j:
                self._eight(bind(first + 8 * j), start, j, whole)
            self._turn(start)

    def _eight(self, sample: Expr, start: Expr, j: Expr, whole: bool) -> None:
        """Byte ``j`` of the slots: a bit of each of eight samples."""
        kind, lanes = "uint8", self.lanes
        one, made = splat(1, kind, lanes), None
        base = bind(sample.astype("int64") * self.rows.count + start.astype("int64"))
        last = self.rows.samples - 1
        for t in range(7, -1, -1):
            at = base + t * self.rows.count if whole else bind(tirx.min(sample + t, last) * self.rows.count + start)
            bit = bind(tirx.min(load(self.rows.buffer, at, self.columns, lanes, kind), one))
            made = bit if made is None else bind(made + made + bit)
        T.buffer_store(self.bytes, made, [T.ramp(j * lanes, 1, lanes)])

    def _turn(self, start: Expr) -> None:
        """From bytes of many bits to bits of many bytes."""
        lanes, groups, kind = self.lanes, self.width // GROUP, f"uint8x{self.lanes}"
        with T.serial(0, groups) as r:
            rows = [bind(self.bytes.vload([(r * GROUP + i) * lanes], dtype=kind)) for i in range(GROUP)]
            for c, row in enumerate(transposed(rows, lanes)):
                T.buffer_store(self.turned, row, [T.ramp((r * GROUP + c) * lanes, 1, lanes)])
        with T.serial(0, min(GROUP, self.columns)) as c:
            parts = [bind(self.turned.vload([(r * GROUP + c) * lanes], dtype=kind)) for r in range(groups)]
            words = self.width // 8
            for at, made in enumerate(gathered(parts, lanes)[: -(-self.columns // GROUP)]):
                column = bind(GROUP * at + c)
                value = bind(view(f"uint64x{words}", made))
                with T.If(column < self.columns), T.Then():
                    T.buffer_store(self.slots, value, [T.ramp((start + 1 + column) * words, 1, words)])
