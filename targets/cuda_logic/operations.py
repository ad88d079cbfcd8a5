"""What a warp does with gates, as PTX: tables are constants of LOP3, and the way to them is one indexed branch.

The compiler makes a tree of comparisons of a switch statement; hence PTX, and ``brx.idx``. The barrier before a step
stands behind the branch and the addresses, so that warps come to it with nothing left to do but load.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgegate.targets.cuda_logic.plan import Plan
from edgegate.targets.cuda_logic.steps import Kind

MUX = 0xCA
"""LOP3: the second operand where the first is 1, else the third."""


def operations(plan: Plan) -> str:
    """The device function ``operate(head, memory, entry)`` of a plan."""
    return _Writer(
        vector=plan.shape.vector, size=4 * plan.shape.words, shared=plan.shape.shared,
        wide=plan.entries.shape[-1] == 4,
    ).function(plan.operations)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Writer:
    """PTX; the first operands are the head and the words of the entry, then come where the next are, and the memory.

    As soon as head and entry have been read they are replaced by those of a later step.

    Attributes:
        vector: Words that a thread reads at once.
        size: Bytes of a slot.
        shared: Whether slots lie in shared memory.
        wide: Whether an entry has four words.
    """

    vector: int
    size: int
    shared: bool
    wide: bool

    def function(self, tables: tuple[tuple[int, int], ...]) -> str:
        """All of it; ``tables`` are operands and table of the operations behind the kinds."""
        names = [f"{letter}{v}" for letter in "abcuw" for v in range(self.vector)]
        masks = [f"m{i}" for i in range(8)]
        cases = {Kind.REST: self._ready(), Kind.MIXED_TWO: self._mixed(2), Kind.MIXED_THREE: self._mixed(3)}
        bodies = [*cases.values(), *(self._gate(arity, table) for arity, table in tables)]
        labels = [f"K{int(kind)}" for kind in cases] + [f"T{i}" for i in range(len(tables))]
        unused = ["END"] * (int(Kind.ONE_TABLE) - len(cases))
        lines = [
            f".reg .b32 {', '.join([*names, *masks])}, s, t;", f".reg .b{32 if self.shared else 64} pa, pb, pc, pd;",
            ".reg .pred wait;", "setp.lt.s32 wait, %0, 0;", "and.b32 s, %0, 0xFFFF;",
            f"TO: .branchtargets {', '.join([*labels[: len(cases)], *unused, *labels[len(cases) :]])};",
            "brx.idx.uni s, TO;",
        ]  # fmt: skip
        for label, body in zip(labels, bodies, strict=True):
            lines += [f"{label}:", *body, "bra.uni END;"]
        text = "".join(f'    "{line}\\n\\t"\n' for line in lines)
        outputs = ", ".join(f'"+r"({name})' for name in ["head", *(f"e.w[{i}]" for i in range(self._words))])
        place = "r" if self.shared else "l"
        return (
            "__device__ __forceinline__ void operate(\n"
            "    word& head, Place memory, Entry& e, const word* program, const word* heads) {\n"
            f'  asm volatile("{{\\n\\t"\n{text}    "END: }}"\n    : {outputs}\n'
            f'    : "l"(program), "l"(heads), "{place}"(memory) : "memory");\n}}\n'
        )

    @property
    def _words(self) -> int:
        return 4 if self.wide else 2

    def _ready(self) -> list[str]:
        """Nothing is left to do but load: ask for what comes later, and wait for the others."""
        entry = ", ".join(f"%{1 + i}" for i in range(self._words))
        return [
            f"ld.global.nc.v{self._words}.u32 {{{entry}}}, [%{1 + self._words}];",
            f"ld.global.nc.u32 %0, [%{2 + self._words}];",
            "@wait bar.sync 0;",
        ]  # fmt: skip

    def _gate(self, arity: int, table: int) -> list[str]:
        """Gates of one table."""
        used = "abc"[:arity]
        # A table of two operands ignores the third, so that it may be any.
        third = "c" if arity == 3 else "b"
        made = [f"lop3.b32 a{v}, {third}{v}, b{v}, a{v}, {table};" for v in range(self.vector)]
        return [*self._places(used, 0xFFFF), *self._ready(), *self._loads(used), *made, self._store("a")]

    def _mixed(self, arity: int) -> list[str]:
        """Gates each with its own table: a tree of multiplexers over masks, one for each entry of the table."""
        used = "abc"[:arity]
        lines = [*self._places(used, 0x1FFF), *self._table(arity), *self._ready(), *self._loads(used)]
        for v in range(self.vector):
            lines += self._tree(v, 0, f"u{v}")
            if arity == 3:
                lines += [*self._tree(v, 4, f"w{v}"), f"lop3.b32 u{v}, c{v}, w{v}, u{v}, {MUX};"]
        return [*lines, self._store("u")]

    def _tree(self, v: int, first: int, to: str) -> list[str]:
        """Entries ``first`` to ``first + 3`` by operands a and b; ``s`` and ``t`` are in use no more."""
        return [
            f"lop3.b32 s, a{v}, m{first + 3}, m{first + 2}, {MUX};",
            f"lop3.b32 t, a{v}, m{first + 1}, m{first}, {MUX};",
            f"lop3.b32 {to}, b{v}, s, t, {MUX};",
        ]

    def _table(self, arity: int) -> list[str]:
        """The masks: each bit of the table in all places of a word.

        A product brings four bits to the signs of four bytes, and PRMT copies a sign to all places.
        """
        if self.wide:
            lines = ["shr.u32 t, %1, 24;"]
        else:
            lines = [
                "shr.u32 t, %1, 13;", "and.b32 t, t, 7;", "shr.u32 s, %1, 26;", "and.b32 s, s, 56;", "or.b32 t, t, s;",
                "shr.u32 s, %2, 7;", "and.b32 s, s, 192;", "or.b32 t, t, s;",
            ]  # fmt: skip
        lines += ["and.b32 s, t, 15;", "mul.lo.u32 s, s, 0x10204080;"]
        lines += [f"prmt.b32 m{i}, s, 0, {0x8888 + 0x1111 * i};" for i in range(4)]
        if arity == 3:
            lines += ["shr.u32 s, t, 4;", "mul.lo.u32 s, s, 0x10204080;"]
            lines += [f"prmt.b32 m{4 + i}, s, 0, {0x8888 + 0x1111 * i};" for i in range(4)]
        return lines

    def _places(self, used: str, mask: int) -> list[str]:
        """Where the operands and the target lie."""
        return [line for i, letter in enumerate("abcd") if letter in f"{used}d" for line in self._place(i, mask)]

    def _place(self, i: int, mask: int) -> list[str]:
        if self.wide:
            lines = [f"and.b32 s, %{1 + i}, 0xFFFFFF;"]
        elif i % 2:
            lines = [f"shr.u32 s, %{1 + i // 2}, 16;", *([f"and.b32 s, s, {mask};"] if mask < 0xFFFF else [])]
        else:
            lines = [f"and.b32 s, %{1 + i // 2}, {mask};"]
        form = "lo" if self.shared else "wide"
        return [*lines, f"mad.{form}.u32 p{'abcd'[i]}, s, {self.size}, %{3 + self._words};"]

    def _loads(self, used: str) -> list[str]:
        return [f"ld.{self._space} {self._group(letter)}, [p{letter}];" for letter in used]

    def _store(self, letter: str) -> str:
        return f"st.{self._space} [pd], {self._group(letter)};"

    @property
    def _space(self) -> str:
        kind = "u32" if self.vector == 1 else f"v{self.vector}.u32"
        return f"{'shared' if self.shared else 'global'}.{kind}"

    def _group(self, letter: str) -> str:
        names = ", ".join(f"{letter}{v}" for v in range(self.vector))
        return names if self.vector == 1 else f"{{{names}}}"
