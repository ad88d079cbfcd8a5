"""AVX2 and AVX-512 registers, with and without VNNI and VBMI."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import Array
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._registers import Expr, Registers, bind, intrinsic, shuffle, splat, view


class Avx(Registers):
    """What AVX2 and AVX-512 share: packs, 32-bit products in every second lane, byte shuffles."""

    def __init__(self, cpu: Cpu) -> None:
        super().__init__(cpu)
        wide = self.lanes == 16
        self.prefix = "llvm.x86.avx512." if wide else "llvm.x86.avx2."
        self.suffix = ".512" if wide else ""
        self.i64 = f"int64x{self.lanes // 2}"
        self.i16 = f"int16x{2 * self.lanes}"

    def narrow(self, wide: Sequence[Expr], dtype: str, packed: bool) -> Expr:
        """Two packs; they work inside 128-bit groups, so only the natural order needs a permutation."""
        final = "packsswb" if dtype == "int8" else "packuswb"
        halves = [intrinsic(self.i16, f"{self.prefix}packssdw{self.suffix}", *wide[i : i + 2]) for i in (0, 2)]
        packs = intrinsic(self.i8, f"{self.prefix}{final}{self.suffix}", *halves)
        if not packed:
            words = [4 * g + q for q in range(4) for g in range(self.lanes // 4)]
            packs = view(self.i8, shuffle([view(self.i32, packs)], words))
        return bind(view(f"{dtype}x{self.block}", packs))

    def pairs(self, values: Array) -> Array:
        """The even lanes of every register, then its odd ones."""
        return values.reshape(-1, self.lanes // 2, 2).transpose(0, 2, 1).reshape(-1)

    def high(self, acc: Expr, factor: Expr, offset: Expr) -> Expr:
        """Vpmuldq multiplies the even lanes; the odd ones are moved down first. No widening, no int64 shift."""
        half = self.lanes // 2
        bits = splat(32, "int64", half)
        lanes = view(self.i64, acc)
        products = []
        for k, source in enumerate(((lanes << bits) >> bits, lanes >> bits)):
            m, r = (shuffle([v], range(k * half, (k + 1) * half)) for v in (factor, offset))
            products.append(bind(view(self.i32, source * ((m << bits) >> bits) + r)))
        return shuffle(products, [k for i in range(1, self.lanes, 2) for k in (i, self.lanes + i)])

    def products(self, acc: Expr, factor: Expr) -> list[Expr]:
        """Vpmuldq of the even lanes, and of the odd ones moved down."""
        bits = splat(32, "int64", self.lanes // 2)
        a, b = (bind(view(self.i64, v)) for v in (acc, factor))
        return [((a << bits) >> bits) * ((b << bits) >> bits), (a >> bits) * (b >> bits)]

    def wide_buffers(self) -> list[tuple[Expr, int]]:
        """Even and odd lanes."""
        half = self.lanes // 2
        return [(T.alloc_buffer((half,), "int64"), half) for _ in range(2)]

    def products_order(self) -> list[int]:
        """An even one, an odd one."""
        return [part * (self.lanes // 2) + i for i in range(self.lanes // 2) for part in range(2)]

    def lookup(self, table: Expr, index: Expr, dtype: str) -> Expr:
        """vpermi2b, a chain of pshufb, or one byte at a time."""
        if self.cpu.lookup == "scalar":
            return super().lookup(table, index, dtype)
        find = self._vbmi if self.cpu.lookup == "vbmi" else self._pshufb
        return bind(view(f"{dtype}x{self.block}", find(table, view(self.i8, index), dtype)))

    def _vbmi(self, table: Expr, index: Expr, dtype: str) -> Expr:
        """Two look-ups among 128 entries, chosen between by the top bit."""
        quarter = [bind(view(self.i8, table.vload([64 * i], dtype=f"{dtype}x64"))) for i in range(4)]
        name = "llvm.x86.avx512.vpermi2var.qi.512"
        low, high = (intrinsic(self.i8, name, quarter[i], index, quarter[i + 1]) for i in (0, 2))
        return tirx.Select(index < splat(0, "int8", self.block), high, low)

    def _pshufb(self, table: Expr, index: Expr, dtype: str) -> Expr:
        """Sixteen look-ups among 16 entries.

        pshufb gives 0 for a negative index. Step i of a half looks up ``t[i] ^ t[i-1]`` at ``index - 16 i``: the
        steps up to the index's own one contribute, and their exclusive or is ``t`` at the index.
        """
        shuffle_bytes = f"{self.prefix}pshuf.b{self.suffix}"
        top = splat(-128, "int8", self.block)
        result = None
        for half, start in enumerate((index, bind(index ^ top))):
            at, before = start, None
            for i in range(8):
                entries = bind(view("int8x16", table.vload([128 * half + 16 * i], dtype=f"{dtype}x16")))
                step = entries if before is None else entries ^ before
                repeated = shuffle([bind(step)] * (self.block // 16), range(self.block))
                found = intrinsic(self.i8, shuffle_bytes, repeated, at)
                result = found if result is None else bind(result ^ found)
                at = intrinsic(self.i8, f"llvm.ssub.sat.v{self.block}i8", at, splat(16, "int8", self.block))
                before = entries
        return result


class Avx2(Avx):
    """vpmaddwd on activations widened to 16 bits: exact, where vpmaddubsw saturates."""

    word = 2

    def spread(self, word: Expr) -> Expr:
        """Two int16 in every lane."""
        return bind(view(self.i16, T.broadcast(view("int32", word), self.lanes)))

    def dot(self, acc: Expr, activations: Expr, weights: Expr) -> Expr:
        """Two products a lane."""
        return acc + self._madd(activations, weights)

    def dot4(self, acc: Expr, activations: Expr, weights: Expr) -> Expr:
        """The odd and the even bytes of each lane, widened by shifts."""
        eight = splat(8, "int16", 2 * self.lanes)
        a, w = (bind(view(self.i16, v)) for v in (activations, weights))
        odd = self._madd(bind(a >> eight), bind(w >> eight))
        even = self._madd(bind((a << eight) >> eight), bind((w << eight) >> eight))
        return bind(acc + odd + even)

    def _madd(self, a: Expr, b: Expr) -> Expr:
        return intrinsic(self.i32, "llvm.x86.avx2.pmadd.wd", a, b)


class VnniWords(Avx2):
    """vpdpwssd: words of 16 bits, two products a lane, added in the same instruction; no saturation."""

    def dot(self, acc: Expr, activations: Expr, weights: Expr) -> Expr:
        """Two products a lane."""
        return T.call_llvm_pure_intrin(self.i32, "llvm.x86.avx512.vpdpwssd.512", acc, activations, weights)

    def _madd(self, a: Expr, b: Expr) -> Expr:
        return intrinsic(self.i32, "llvm.x86.avx512.pmaddw.d.512", a, b)


class Vnni(Avx):
    """vpdpbusd: unsigned activations by signed weights, four products a lane, no saturation."""

    unsigned = True
    word = 4
    operand = "uint8"

    def spread(self, word: Expr) -> Expr:
        """Four bytes in every lane."""
        return bind(view(self.i8, T.broadcast(view("int32", word), self.lanes)))

    def dot(self, acc: Expr, activations: Expr, weights: Expr) -> Expr:
        """Four products a lane."""
        name = f"llvm.x86.avx512.vpdpbusd.{32 * self.lanes}"
        return T.call_llvm_pure_intrin(self.i32, name, acc, activations, weights)

    def dot_swapped(self, acc: Expr, activations: Expr, weights: Expr) -> Expr:
        """Unsigned weights come first; the words of signed activations may be broadcast as they are loaded."""
        return self.dot(acc, weights, activations)

    def sixteen(self, table: Expr, index: Expr) -> Expr:
        """Vpshufb looks up in each 128 bits."""
        return intrinsic(self.i8, f"{self.prefix}pshuf.b{self.suffix}", table, index)

    def dot4(self, acc: Expr, activations: Expr, weights: Expr) -> Expr:
        """The same instruction."""
        return bind(self.dot(acc, view(self.i8, activations), view(self.i8, weights)))


def table_for(index_offset: int, table: Array) -> Array:
    """The table as :meth:`Registers.lookup` wants it: entry b belongs to the byte whose bits, unsigned, are b."""
    return np.roll(table, -index_offset)
