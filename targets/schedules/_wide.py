"""Products of rows of int16 by constant int8 weights, and what follows them: sums of 48 bits.

The kernel is that of a product in blocks (:mod:`edgegate.targets.schedules._blocked`) whose exponents are all 0 and
whose scales are all 1. A block is as many products as int32 can sum, whatever the row holds: often all of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tvm import tirx

from edgegate.graph import Array, array, shape
from edgegate.targets.schedules._blocked import Blocked
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._geometry import Rows
from edgegate.targets.schedules._group import Group
from edgegate.targets.schedules._kernel import Builder, Kernel, Unsupported
from edgegate.targets.schedules._registers import Expr

SUM = ((1 << 31) - 1) >> 15
"""Greatest sum of the magnitudes of weights whose products with any int16 fit int32."""


def wide(group: Group, cpu: Cpu) -> Kernel:
    """The kernel of a MatMul16x8 and the elementwise ops behind it."""
    return _Wide(group, cpu).kernel()


class _Wide(Blocked):
    """The state that the steps of one kernel share."""

    def __init__(self, group: Group, cpu: Cpu) -> None:
        (self.anchor,) = group.anchors
        source, weights, bias = self.anchor.inputs[0], *(array(v) for v in self.anchor.inputs[1:])
        if source is None or weights is None or bias is None or weights.ndim != 2:
            raise Unsupported("weights computed at run time, or a batch of them")
        self.source, self.builder = source, Builder(group, _of_words(cpu))
        self.registers = self.builder.registers
        self.depth, self.channels = weights.shape
        self.count = _blocks(weights, self.registers.word)
        self.block = self.depth // self.count
        self.total = int(np.prod(shape(source)[:-1]))
        if self.registers.operand != "int16":
            raise Unsupported("registers that multiply bytes alone")
        self._cut(self.registers.cpu)
        self._constants(weights, np.ones((self.count, self.channels), np.int64), bias)

    def _shifts_narrow(self) -> bool:
        return True

    def _copy(self) -> Rows | None:
        """The rows are read where they stand."""
        return None

    def _exponent(self, row: Expr, q: Expr) -> Expr:
        return tirx.const(0, "int32")


def _of_words(cpu: Cpu) -> Cpu:
    """The processor as one that multiplies int16, which every one with wider products of bytes also is."""
    if cpu.dot == "vnni512":
        return replace(cpu, dot="words512")
    if not cpu.dot.startswith("vnni"):
        return cpu
    return replace(cpu, dot="avx2", lookup="scalar" if cpu.lookup == "scalar" else "pshufb")


def _blocks(weights: Array, word: int) -> int:
    """The least number of equal parts of the reduction that int32 can each sum."""
    depth = len(weights)
    for count in range(1, depth // word + 1):
        if depth % (count * word) == 0:
            sums = np.abs(weights.astype(np.int64)).reshape(count, -1, weights.shape[1]).sum(1)
            if sums.max(initial=0) <= SUM:
                return count
    raise Unsupported(f"rows of {depth}")
