"""Vector registers in TIR: the few operations that integer kernels are made of, for every CPU.

A *block* is four registers of int32 lanes, or the one register of bytes that they narrow to. Where a register
holds several groups of 128 bits (AVX), unpacking and packing work inside each group, so a block of int32 has two
orders: *natural*, register q holds elements ``q*lanes ..``; *packed*, lane ``4*g + i`` of register q holds element
``16*g + 4*q + i``. With one group both are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import Array
from edgegate.targets.schedules._cpu import Cpu

Expr = Any
"""A TIR expression; vectors carry their lanes in the dtype."""


def bind(value: Expr) -> Expr:
    """Name a value so that it is computed once.

    TVM's simplifier copies a named expression to each of its uses: right for an index, but the code of a chain of
    vectors doubles with every use. So a vector goes through a local buffer, which LLVM turns back into a register.
    """
    if isinstance(value, int):
        return value
    name = str(value.ty.dtype)
    if "x" not in name:
        return T.bind(value)
    element, lanes = name.split("x")
    register = T.alloc_buffer((int(lanes),), element)
    T.buffer_store(register, value, [T.ramp(0, 1, int(lanes))])
    return register.vload([0], dtype=name)


def shuffle(vectors: Sequence[Expr], indices: Sequence[int]) -> Expr:
    """The elements ``indices`` of the vectors laid end to end."""
    return bind(tirx.Shuffle(list(vectors), list(indices)))


def splat(value: int, dtype: str, lanes: int) -> Expr:
    """``value`` in every lane."""
    return tirx.Broadcast(tirx.const(value, dtype), lanes)


def intrinsic(dtype: str, name: str, *arguments: Expr) -> Expr:
    """A call of an LLVM intrinsic without side effects."""
    return bind(T.call_llvm_pure_intrin(dtype, name, *arguments))


def view(dtype: str, vector: Expr) -> Expr:
    """The same bits under another type."""
    return T.reinterpret(dtype, vector)


def unpack(a: Expr, b: Expr, half: int, bits: int, lanes: int) -> Expr:
    """Interleave the low (``half`` 0) or high (1) half of every 128-bit group of ``a`` and ``b``.

    Args:
        a: Gives the even elements.
        b: Gives the odd ones.
        half: Which half.
        bits: Width of an element.
        lanes: Elements of ``a``.
    """
    group = 128 // bits
    first = [g + half * (group // 2) + i for g in range(0, lanes, group) for i in range(group // 2)]
    return shuffle([a, b], [k for i in first for k in (i, lanes + i)])


class Registers:
    """The portable operations; subclasses name instructions where LLVM would not find them.

    Attributes:
        cpu: The features.
        lanes: int32 lanes of a register.
        block: Bytes of a register, elements of a block.
        unsigned: Whether the dot product takes activations as uint8 (else int8).
        word: Activations a 32-bit word of a convolution's operand holds.
        operand: dtype of that operand. int16 has the zero point taken off already.
    """

    unsigned = False
    word = 1
    operand = "int16"

    def __init__(self, cpu: Cpu) -> None:
        self.cpu = cpu
        self.lanes = cpu.lanes
        self.block = 4 * cpu.lanes
        self.i32 = f"int32x{self.lanes}"
        self.i8 = f"int8x{self.block}"

    def order(self, packed: bool) -> Array:
        """Which element of a block sits at [register, lane], flat."""
        if not packed:
            return np.arange(self.block)
        q, g, i = np.meshgrid(np.arange(4), np.arange(self.lanes // 4), np.arange(4), indexing="ij")
        return (16 * g + 4 * q + i).reshape(-1)

    def spread(self, word: Expr) -> Expr:
        """A word of activations in every lane, for :meth:`dot`."""
        return bind(T.broadcast(word.astype("int32"), self.lanes))

    def dot(self, acc: Expr, activations: Expr, weights: Expr) -> Expr:
        """``acc + activations * weights`` summed over the word of each lane."""
        return acc + activations * weights.astype(self.i32)

    def dot4(self, acc: Expr, activations: Expr, weights: Expr) -> Expr:
        """``acc`` plus the products of four signed bytes in each int32 lane."""
        for byte in range(4):
            left, right = splat(24 - 8 * byte, "int32", self.lanes), splat(24, "int32", self.lanes)
            acc = acc + ((activations << left) >> right) * ((weights << left) >> right)
        return bind(acc)

    def interleave(self, rows: Sequence[Expr]) -> list[Expr]:
        """Four registers of bytes to a block of int32 whose lanes hold one byte of each row; packed order."""
        pairs = [[unpack(a, b, h, 8, self.block) for h in (0, 1)] for a, b in (rows[:2], rows[2:])]
        words = f"int16x{self.block // 2}"
        return [
            bind(
                view(
                    self.i32,
                    unpack(view(words, pairs[0][h]), view(words, pairs[1][h]), k, 16, self.block // 2),
                )
            )
            for h in (0, 1)
            for k in (0, 1)
        ]

    def widen(self, narrow: Expr, dtype: str, packed: bool) -> list[Expr]:
        """A register of int8 or uint8 to a block of int32."""
        if not packed:
            pieces = [shuffle([narrow], range(q * self.lanes, (q + 1) * self.lanes)) for q in range(4)]
            return [bind(p.astype(self.i32)) for p in pieces]
        zero = T.broadcast(tirx.const(0, dtype), self.block)
        shifted = [bind(view(f"uint32x{self.lanes}", v)) for v in self.interleave([zero, zero, zero, narrow])]
        kind = self.i32 if dtype == "int8" else f"uint32x{self.lanes}"
        bits = tirx.Broadcast(tirx.const(24, kind.split("x")[0]), self.lanes)
        return [bind(view(self.i32, view(kind, v) >> bits)) for v in shifted]

    def narrow(self, wide: Sequence[Expr], dtype: str, packed: bool) -> Expr:
        """A block of int32 to a register of ``dtype`` (int8 or uint8), saturating."""
        low, high = (-128, 127) if dtype == "int8" else (0, 255)
        kept = [
            bind(tirx.min(tirx.max(v, splat(low, "int32", self.lanes)), splat(high, "int32", self.lanes))) for v in wide
        ]
        return shuffle([bind(v.astype(f"{dtype}x{self.lanes}")) for v in kept], self.order(packed).argsort().tolist())

    def pairs(self, values: Array) -> Array:
        """How int64 constants (flat, a multiple of ``lanes`` long) are stored for :meth:`high`."""
        return values

    def high(self, acc: Expr, factor: Expr, offset: Expr) -> Expr:
        """``(acc * factor + offset) >> 32`` for int32 ``acc`` and ``factor``, int64 ``offset``."""
        wide = f"int64x{self.lanes}"
        product = bind(acc.astype(wide) * ((factor << _n(32, self.lanes)) >> _n(32, self.lanes)) + offset)
        return bind((product >> _n(32, self.lanes)).astype(self.i32))

    def products(self, acc: Expr, factor: Expr) -> list[Expr]:
        """The int64 products of int32 lanes, in :meth:`wide_buffers`; laid end to end in :meth:`products_order`."""
        wide = f"int64x{self.lanes}"
        return [acc.astype(wide) * factor.astype(wide)]

    def wide_buffers(self) -> list[tuple[Expr, int]]:
        """Local buffers for one register's :meth:`products`, with their lanes."""
        return [(T.alloc_buffer((self.lanes,), "int64"), self.lanes)]

    def products_order(self) -> list[int]:
        """Where each lane's product stands."""
        return list(range(self.lanes))

    def word_of(self, buffer: Expr, at: Expr, kind: str = "") -> Expr:
        """The word at ``at``, for :meth:`spread`; ``kind`` is the dtype of a buffer that is not the operand's."""
        if self.word == 1:
            return buffer[at]
        return view("int32", buffer.vload([at], dtype=f"{kind or self.operand}x{self.word}"))

    def dot_swapped(self, acc: Expr, activations: Expr, weights: Expr) -> Expr:
        """As :meth:`dot`, with signed activations, and unsigned weights where :meth:`dot` has unsigned activations."""
        return self.dot(acc, activations, weights)

    def sixteen(self, table: Expr, index: Expr) -> Expr:
        """The entries of a table at a register of bytes in [0, 16); the table is sixteen bytes, again and again."""
        raise NotImplementedError("registers that multiply words of four bytes look up bytes")

    def lookup(self, table: Expr, index: Expr, dtype: str) -> Expr:
        """The entries of a byte table at a register of bytes (their bits read as uint8).

        Args:
            table: Buffer of 256 bytes of ``dtype``.
            index: Register of bytes.
            dtype: int8 or uint8.
        """
        where = T.alloc_buffer((self.block,), "uint8")
        found = T.alloc_buffer((self.block,), dtype)
        T.buffer_store(where, view(f"uint8x{self.block}", index), [T.ramp(0, 1, self.block)])
        with T.serial(0, self.block) as i:
            T.buffer_store(found, table[where[i].astype("int32")], [i])
        return bind(found.vload([0], dtype=f"{dtype}x{self.block}"))


def _n(value: int, lanes: int) -> Expr:
    return splat(value, "int64", lanes)
