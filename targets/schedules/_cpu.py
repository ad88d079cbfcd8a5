"""What a CPU offers to the kernels: how it multiplies bytes, how it looks them up, how wide its registers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Dot = Literal["vnni512", "words512", "vnni256", "avx2", "neon_dot", "neon", "generic"]
Gates = Literal["avx512", "avx2", "sse2", "neon", "rv64"]
Logic = Literal["code", "table"]
Lookup = Literal["vbmi", "pshufb", "tbl", "scalar"]

SERIAL = 1 << 17
"""Multiplications per lane below which a kernel does not share its work among threads: a few microseconds of work."""
_LANES: dict[Dot, int] = {
    "vnni512": 16, "words512": 16, "vnni256": 8, "avx2": 8, "neon_dot": 4, "neon": 4, "generic": 4,
}  # fmt: skip
_ACCUMULATORS: dict[Dot, int] = {
    "vnni512": 24,
    "words512": 24,
    "vnni256": 12,
    "avx2": 12,
    "neon_dot": 24,
    "neon": 16,
    "generic": 8,
}
_LOOKUPS: dict[Dot, tuple[Lookup, ...]] = {
    "vnni512": ("vbmi", "pshufb", "scalar"),
    "words512": ("vbmi", "pshufb", "scalar"),
    "vnni256": ("pshufb", "scalar"),
    "avx2": ("pshufb", "scalar"),
    "neon_dot": ("tbl", "scalar"),
    "neon": ("tbl", "scalar"),
    "generic": ("scalar",),
}


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """The features that the kernels choose their instructions by.

    Attributes:
        dot: How products of bytes are summed. ``vnni512`` and ``vnni256``: vpdpbusd, unsigned by signed bytes;
            ``words512``: vpdpwssd, of words of 16 bits, which is what products of int16 make of ``vnni512``;
            ``avx2``: vpmaddwd on bytes widened to 16 bits (vpmaddubsw would saturate); ``neon_dot``: sdot;
            ``neon``, ``generic``: whatever LLVM makes of a widening multiply and add.
        lookup: How a table of 256 bytes is read: ``vbmi`` vpermi2b, ``pshufb`` and ``tbl`` chains over 16 or 64
            entries, ``scalar`` one byte at a time.
        threads: How many threads share the work of a kernel; None: any number.
        logic: Whether networks of gates become code of their own, or data for one interpreter.
        gates: The instruction set of that code; None: there is none.
    """

    dot: Dot = "generic"
    lookup: Lookup = "scalar"
    threads: int | None = None
    logic: Logic = "code"
    gates: Gates | None = None

    def __post_init__(self) -> None:
        if self.lookup not in _LOOKUPS[self.dot]:
            raise ValueError(f"{self.dot} registers have no table look-up {self.lookup}; allowed: {_LOOKUPS[self.dot]}")

    @property
    def lanes(self) -> int:
        """int32 lanes of a register."""
        return _LANES[self.dot]

    @property
    def accumulators(self) -> int:
        """Registers that a kernel may hold sums in; the rest carry weights, activations and addresses."""
        return _ACCUMULATORS[self.dot]

    def parallel(self, work: int) -> bool:
        """Whether ``work`` multiplications are worth sharing among threads."""
        return self.threads != 1 and work >= SERIAL * self.lanes

    @classmethod
    def of(cls, target: Any, threads: int | None = None, logic: Logic = "code") -> Cpu:
        """The features of a ``tvm.target.Target`` of kind llvm, from its triple, mcpu and mattr."""
        from tvm.target import codegen

        features = {str(name) for name in codegen.llvm_get_cpu_features(target)}
        dot, lookup = _flavours(features)
        return cls(dot=dot, lookup=lookup, threads=threads, logic=logic, gates=_gates(features))


def _flavours(features: set[str]) -> tuple[Dot, Lookup]:
    """The best flavours among LLVM's feature names, for example ``{"avx2", "avxvnni"}``."""
    if {"avx512vnni", "avx512bw", "avx512vl"} <= features:
        return "vnni512", "vbmi" if "avx512vbmi" in features else "pshufb"
    if "avxvnni" in features:
        return "vnni256", "pshufb"
    if "avx2" in features:
        return "avx2", "pshufb"
    if "neon" in features:
        return "neon_dot" if "dotprod" in features else "neon", "tbl"
    return "generic", "scalar"


def _gates(features: set[str]) -> Gates | None:
    """What code of gates is written in."""
    needs: dict[Gates, set[str]] = {
        "avx512": {"64bit", "avx512bw", "avx512vl"}, "avx2": {"64bit", "avx2"}, "sse2": {"64bit", "sse2"},
        "neon": {"neon", "fp-armv8"}, "rv64": {"64bit", "i"},
    }  # fmt: skip
    return next((name for name, needed in needs.items() if needed <= features), None)
