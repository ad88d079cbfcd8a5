"""Look-up tables as Verilog expressions: the shortest of & | ^ ~ up to three inputs, multiplexers of those above.

Expressions are templates: ``{0}`` stands for input 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import permutations, product

MASKS = (0xAA, 0xCC, 0xF0)
"""The tables of the three inputs themselves, as tables of three inputs."""
FULL = 0xFF


@dataclass(frozen=True, kw_only=True)
class Term:
    """An expression of up to three inputs.

    Attributes:
        cost: Operators of two sides count 4, inverters 1.
        text: The template.
        operator: The outermost operator: "" for an input, "~", "&", "|", "^", "?".
    """

    cost: int
    text: str
    operator: str

    def beside(self, operator: str) -> str:
        """The text as an operand of ``operator``."""
        return self.text if self.operator in ("", "~", operator) else f"({self.text})"


@cache
def shortest() -> dict[int, Term]:
    """The cheapest expression of every table of three inputs that is not constant: the least fixpoint of combining."""
    best = {mask: Term(cost=0, text=f"{{{i}}}", operator="") for i, mask in enumerate(MASKS)}
    best |= _multiplexers()
    fresh = dict(best)
    while fresh:
        found: dict[int, Term] = {}
        for table, term in _combined(best, fresh):
            known = found.get(table) or best.get(table)
            if table not in (0, FULL) and (known is None or term.cost < known.cost):
                found[table] = term
        best.update(found)
        fresh = found
    return best


def _multiplexers() -> dict[int, Term]:
    """One input chooses between the other two, which may be inverted."""
    made = {}
    for (choice, one, zero), flips in product(permutations(range(3)), product((0, 1), repeat=2)):
        high, low = (MASKS[i] ^ FULL * flip for i, flip in zip((one, zero), flips, strict=True))
        left, right = (f"{'~' * flip}{{{i}}}" for i, flip in zip((one, zero), flips, strict=True))
        table = MASKS[choice] & high | ~MASKS[choice] & low & FULL
        made[table] = Term(cost=8 + sum(flips), text=f"{{{choice}}} ? {left} : {right}", operator="?")
    return made


def _combined(best: dict[int, Term], fresh: dict[int, Term]) -> Iterator[tuple[int, Term]]:
    """What one more operator makes of the ``fresh`` terms, alone or with any of ``best``."""
    for table, term in fresh.items():
        if term.operator != "~":
            yield table ^ FULL, inverted(term)
    for (a, left), (b, right) in product(best.items(), fresh.items()):
        if left.cost + right.cost <= 12:  # a table of three inputs takes four operators at most
            yield a & b, joined("&", left, right)
            yield a | b, joined("|", left, right)
            yield a ^ b, joined("^", left, right)


def inverted(term: Term) -> Term:
    """The term with ``~`` before it; an inverted input without."""
    if term.operator == "~" and term.text[1] == "{":
        return Term(cost=term.cost - 1, text=term.text[1:], operator="")
    return Term(cost=term.cost + 1, text=f"~{term.beside('~')}", operator="~")


def joined(operator: str, left: Term, right: Term) -> Term:
    """Two terms and an operator."""
    text = f"{left.beside(operator)} {operator} {right.beside(operator)}"
    return Term(cost=left.cost + right.cost + 4, text=text, operator=operator)


def expression(table: int, k: int) -> str:
    """The template of a table of ``k`` inputs.

    Args:
        table: Bit ``i`` is the value at address ``i``; bit ``j`` of the address is input ``j``. Not constant.
        k: 1 to 6.
    """
    return _term(table, k).text


@lru_cache(maxsize=1 << 14)
def _term(table: int, k: int) -> Term:
    if k <= 3:
        whole = table
        for width in range(k, 3):
            whole |= whole << (1 << width)
        return shortest()[whole]
    return min((_split(table, k, place) for place in range(k)), key=lambda term: (term.cost, term.text))


def _split(table: int, k: int, place: int) -> Term:
    """Shannon's expansion of a table around one input, shorter where a half is constant or the other's inverse."""
    full = (1 << (1 << (k - 1))) - 1
    low, high = (cofactor(table, k, place, value) for value in (0, 1))
    choice = Term(cost=0, text=f"{{{place}}}", operator="")
    zero, one = (_half(half, k, place) for half in (low, high))
    if one is None:
        return _with_constant(choice, zero, high != 0, low)
    if zero is None:
        return _with_constant(inverted(choice), one, low != 0, high)
    if low == high:
        return zero
    if low ^ high == full:
        return joined("^", choice, zero)
    text = f"{choice.text} ? {one.beside('?:')} : {zero.beside('?:')}"
    return Term(cost=8 + one.cost + zero.cost, text=text, operator="?")


def _half(table: int, k: int, place: int) -> Term | None:
    """The term of a cofactor in the numbers of the whole table's inputs; None: it is constant."""
    if table in (0, (1 << (1 << (k - 1))) - 1):
        return None
    term = _term(table, k - 1)
    others = (f"{{{j}}}" for j in range(k) if j != place)
    return Term(cost=term.cost, text=term.text.format(*others), operator=term.operator)


def _with_constant(choice: Term, other: Term | None, value: bool, table: int) -> Term:
    """``value`` where ``choice`` holds, and ``other``, or the constant ``table``, elsewhere."""
    if other is None:
        return choice if value and not table else inverted(choice)
    return joined("|", choice, other) if value else joined("&", inverted(choice), other)


def cofactor(table: int, k: int, place: int, value: int) -> int:
    """The table of ``k - 1`` inputs that is left when input ``place`` is ``value``."""
    low = (1 << place) - 1
    found = 0
    for address in range(1 << (k - 1)):
        whole = (address & low) | (value << place) | (address & ~low) << 1
        found |= (table >> whole & 1) << address
    return found


@lru_cache(maxsize=1 << 16)
def reduced(table: int, literals: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """A table that reads each node once, no constant, no inverter and nothing that it does not depend on.

    Args:
        table: Over ``literals``, the first of them bit 0 of the address.
        literals: ``2 * node + inverted``; node 0 is false.

    Returns:
        The table and the nodes that it reads, smallest first.
    """
    nodes = sorted({x >> 1 for x in literals} - {0})
    found = 0
    for address in range(1 << len(nodes)):
        values = {0: 0, **{n: address >> i & 1 for i, n in enumerate(nodes)}}
        whole = sum((values[x >> 1] ^ (x & 1)) << j for j, x in enumerate(literals))
        found |= (table >> whole & 1) << address
    for node in reversed(list(nodes)):
        place, k = nodes.index(node), len(nodes)
        low, high = (cofactor(found, k, place, value) for value in (0, 1))
        if low == high:
            found = low
            nodes.remove(node)
    return found, tuple(nodes)
