"""From a design to a circuit: gates, counts of bits, the greatest of them.

Counts: a negative weight is taken as its inverse bit and an offset, ``-w * b = w * ~b - w``, so that all that is added
is not negative and every width is exact. The bits of one binary place are counted by a tree of adders that take a
carry as well, n bits in n - 1 of them at most; the counts of the places are added, and the offset last.

Argmax: the classes are halved at powers of two; the upper half wins only if it is greater, so that the lowest of
equals is the answer, and the winners' comparisons are the index, bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgegate.logic import GroupSum, Netlist
from edgegate.targets.rtl.circuit import FALSE, Circuit, Kind
from edgegate.targets.rtl.expression import expression, reduced

Literals = list[int]
"""``2 * signal + inverted`` each."""


@dataclass(kw_only=True)
class Builder:
    """A circuit under construction.

    Attributes:
        prefixes: Letter of a family of signals -> what their names begin with.
        circuit: What is built.
        numbers: Signals of each family so far.
        section: What the next signals belong to.
    """

    prefixes: dict[str, str]
    circuit: Circuit = field(default_factory=Circuit)
    numbers: dict[str, int] = field(default_factory=dict)
    section: str = ""

    def name(self, letter: str) -> str:
        """A new name of a family of signals."""
        number = self.numbers[letter] = self.numbers.get(letter, -1) + 1
        return f"{self.prefixes[letter]}{number}"

    def add(
        self, name: str, text: str, operands: Sequence[int], *, kind: Kind, width: int = 1, signed: bool = False
    ) -> int:
        """A new signal of the section; its number."""
        return self.circuit.add(
            name, text, operands, kind=kind, width=width, signed=signed, section=self.section
        )  # fmt: skip

    def width(self, number: int) -> int:
        """Of a signal."""
        return self.circuit.signals[number].width

    def gates(self, netlist: Netlist, inputs: Sequence[int]) -> Literals:
        """The netlist's outputs; ``inputs`` are the signals of its input bits.

        Constants, wires and inverters become no signals, and gates that have not all their inputs smaller ones.
        """
        known = [2 * FALSE, *(2 * i for i in inputs)]
        self.section = "look-up tables"
        for row, table in zip(netlist.fanins.tolist(), netlist.tables.tolist(), strict=True):
            known.append(self._gate(table, tuple(known[node] for node in row), len(known)))
        return [known[x >> 1] ^ (x & 1) for x in netlist.outputs.tolist()]

    def _gate(self, table: int, literals: tuple[int, ...], node: int) -> int:
        table, signals = reduced(table, literals)
        if not signals:
            return 2 * FALSE + table
        if len(signals) == 1:
            return 2 * signals[0] + (table == 0b01)
        text = expression(table, len(signals))
        name = f"{self.prefixes['n']}{node}"
        return 2 * self.add(name, text, signals, kind="gate")

    def sums(self, sums: GroupSum, bits: Literals) -> list[int]:
        """Every sum as a signal in two's complement, all of the same width."""
        low, high = sums.bounds()
        width = signed_width(int(low.min()), int(high.max()))
        ends = sums.group.searchsorted(range(sums.groups + 1)).tolist()
        terms = list(zip(sums.member.tolist(), sums.weight.tolist(), strict=True))
        return [
            self._sum([(bits[m], w) for m, w in terms[ends[k] : ends[k + 1]]], offset, width, k)
            for k, offset in enumerate(sums.offset.tolist())
        ]

    def _sum(self, terms: list[tuple[int, int]], offset: int, width: int, k: int) -> int:
        places: dict[int, Literals] = {}
        for x, weight in terms:
            if x >> 1 == FALSE:
                offset += weight * (x & 1)
                continue
            if weight < 0:
                offset, x, weight = offset + weight, x ^ 1, -weight
            for place in range(weight.bit_length()):
                if weight >> place & 1:
                    places.setdefault(place, []).append(x)
        name, self.section = self.name("y"), f"sum {k}"
        parts = [(place, *self.count(bits)) for place, bits in sorted(places.items())]
        if not parts:
            return self.add(name, f"{width}'d{offset % (1 << width)}", (), kind="wire", width=width, signed=True)
        total, place = self._add_places(parts)
        return self.plus(total, offset, width, name, shift=place)

    def count(self, bits: Literals) -> tuple[int, int]:
        """How many of the bits are 1: a literal, and its greatest value."""
        if len(bits) == 1:
            return bits[0], 1
        if len(bits) <= 3:
            return self._adder(bits, len(bits)), len(bits)
        half = (len(bits) - 1) // 2
        (left, a), (right, b) = self.count(bits[1 : 1 + half]), self.count(bits[1 + half :])
        return self._adder([left, right, bits[0]], a + b + 1), a + b + 1

    def _adder(self, operands: Literals, most: int, shifts: Sequence[int] = ()) -> int:
        """The sum of literals as a literal, in the bits that its greatest value ``most`` needs."""
        width, signals = most.bit_length(), [x >> 1 for x in operands]
        texts = [
            extended(f"{'~' * (x & 1)}{{{i}}}", self.width(x >> 1), width, shifts[i] if shifts else 0)
            for i, x in enumerate(operands)
        ]
        text = " + ".join(texts)
        return 2 * self.add(self.name("t"), text, signals, kind="adder", width=width)

    def _add_places(self, parts: list[tuple[int, int, int]]) -> tuple[int, int]:
        """The sum of (binary place, literal, greatest value), neighbours first: a literal and its binary place."""
        while len(parts) > 1:
            pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
            parts = [self._pair(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        place, total, _ = parts[0]
        return total, place

    def _pair(self, low: tuple[int, int, int], high: tuple[int, int, int]) -> tuple[int, int, int]:
        shift = high[0] - low[0]
        most = low[2] + (high[2] << shift)
        return low[0], self._adder([low[1], high[1]], most, shifts=(0, shift)), most

    def plus(self, total: int, offset: int, width: int, name: str, *, shift: int = 0) -> int:
        """A literal, moved to a binary place, and an offset: a signal in ``width`` bits of two's complement.

        The sum lies in these bits, so that adding may wrap around.
        """
        text, signal = "~{0}" if total & 1 else "{0}", self.circuit.signals[total >> 1]
        text = widened(signal.width, width) if signal.signed else extended(text, signal.width, width, shift)
        if offset:
            text += f" {'-' if offset < 0 else '+'} {width}'d{abs(offset) % (1 << width)}"
        kind: Kind = "adder" if offset else "wire"
        return self.add(name, text, (total >> 1,), kind=kind, width=width, signed=True)

    def argmax(self, scores: Sequence[int]) -> int | None:
        """The place of the greatest score, the lowest of equals, in the bits it needs; None for one score."""
        self.section = "argmax"
        return self._greatest(scores, last=True)[1]

    def _greatest(self, scores: Sequence[int], last: bool = False) -> tuple[int, int | None]:
        """The greatest score, not made if it is the ``last``, and its place."""
        if len(scores) == 1:
            return scores[0], None
        bits = (len(scores) - 1).bit_length() - 1
        (low, lower), (high, upper) = self._greatest(scores[: 1 << bits]), self._greatest(scores[1 << bits :])
        choice = self.add(self.name("c"), "{1} > {0}", (low, high), kind="compare")
        place = choice if lower is None else self._place(choice, lower, upper, bits)
        if last:
            return choice, place
        wide = self.width(low)
        text, operands = "{0} ? {2} : {1}", (choice, low, high)
        return self.add(self.name("v"), text, operands, kind="select", width=wide, signed=True), place

    def _place(self, choice: int, lower: int, upper: int | None, bits: int) -> int:
        """The comparison, and the place within the half that won."""
        width = 0 if upper is None else self.width(upper)
        above = f"{bits}'d0" if upper is None else extended("{2}", width, bits, 0)
        operands = (choice, lower) if upper is None else (choice, lower, upper)
        text = f"{{{{{{0}}, {{0}} ? {above} : {{1}}}}}}"
        return self.add(self.name("i"), text, operands, kind="select", width=1 + bits)


def extended(text: str, width: int, wide: int, shift: int) -> str:
    """An unsigned operand of ``width`` bits moved to binary place ``shift`` of a number of ``wide`` bits."""
    above, below = wide - width - shift, shift
    parts = [f"{above}'d0"] * (above > 0) + [text] + [f"{below}'d0"] * (below > 0)
    return "{{" + ", ".join(parts) + "}}" if len(parts) > 1 else text


def widened(width: int, wide: int) -> str:
    """Operand 0, of ``width`` bits of two's complement, in ``wide`` bits."""
    return f"{{{{{{{{{wide - width}{{{{{{0}}[{width - 1}]}}}}}}}}, {{0}}}}}}" if wide > width else "{0}"


def signed_width(low: int, high: int) -> int:
    """Bits of two's complement that hold every value from ``low`` to ``high``."""
    return 1 + max((-low - 1 if low < 0 else low).bit_length(), (-high - 1 if high < 0 else high).bit_length())
