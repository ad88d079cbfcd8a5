"""AArch64 Advanced SIMD registers, with and without the dot product."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from edgegate.targets.schedules._registers import Expr, Registers, bind, intrinsic, splat, view


class Neon(Registers):
    """Table look-ups; LLVM finds smlal, smull and the narrowing moves by itself."""

    def lookup(self, table: Expr, index: Expr, dtype: str) -> Expr:
        """Four tbl over 64 entries each; an index beyond them gives 0, so the results are or-ed."""
        at = bind(view(self.i8, index))
        result = None
        for quarter in range(4):
            entries = [bind(view(self.i8, table.vload([64 * quarter + 16 * i], dtype=f"{dtype}x16"))) for i in range(4)]
            found = intrinsic(self.i8, "llvm.aarch64.neon.tbl4.v16i8", *entries, at)
            result = found if result is None else bind(result | found)
            at = bind(at - splat(64, "int8", self.block))
        return bind(view(f"{dtype}x{self.block}", result))


class NeonDot(Neon):
    """sdot: signed activations by signed weights, four products a lane."""

    word = 4
    operand = "int8"

    def spread(self, word: Expr) -> Expr:
        """Four bytes in every lane."""
        return bind(view(self.i8, T.broadcast(view("int32", word), self.lanes)))

    def dot(self, acc: Expr, activations: Expr, weights: Expr) -> Expr:
        """Four products a lane."""
        return T.call_llvm_pure_intrin(self.i32, "llvm.aarch64.neon.sdot.v4i32.v16i8", acc, activations, weights)

    def sixteen(self, table: Expr, index: Expr) -> Expr:
        """Tbl over one register."""
        return intrinsic(self.i8, "llvm.aarch64.neon.tbl1.v16i8", table, index)

    def dot4(self, acc: Expr, activations: Expr, weights: Expr) -> Expr:
        """The same instruction."""
        return bind(self.dot(acc, view(self.i8, activations), view(self.i8, weights)))
