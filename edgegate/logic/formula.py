"""The shortest formulas of the functions of three bits, for languages whose words know and, or, exclusive or, not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from heapq import heappop, heappush
from typing import TypeAlias

Formula: TypeAlias = "int | str | tuple[str, Formula] | tuple[str, Formula, Formula]"
"""A column 0 to 2; "0" or "1"; ("~", formula); or an operator "&", "|" or "^" and two formulas."""

COLUMNS = (0xAA, 0xCC, 0xF0)
"""The table of each column by itself."""
BINARY, NOT = 2, 1
"""Costs: half of the processors have an instruction that inverts an operand on the way."""


@cache
def formulas() -> tuple[Formula, ...]:
    """For each of the 256 tables a formula of least cost in which every column may stand more than once.

    Source:
        Knuth, A Generalization of Dijkstra's Algorithm, 1977: functions in order of their cost, each from two that
        are known.
    """
    found: dict[int, tuple[int, Formula]] = {}
    waiting: list[tuple[int, int, int, Formula]] = []

    def offer(cost: int, table: int, formula: Formula) -> None:
        if table not in found:
            heappush(waiting, (cost, len(waiting) + 1000 * len(found), table, formula))

    offer(0, 0, "0")
    offer(0, 0xFF, "1")
    for j, column in enumerate(COLUMNS):
        offer(0, column, j)
    while len(found) < 256:
        cost, _, table, formula = heappop(waiting)
        if table in found:
            continue
        found[table] = cost, formula
        offer(cost + NOT, 0xFF ^ table, ("~", formula))
        for other, (more, partner) in list(found.items()):
            total = cost + more + BINARY
            offer(total, table & other, ("&", partner, formula))
            offer(total, table | other, ("|", partner, formula))
            offer(total, table ^ other, ("^", partner, formula))
    return tuple(found[table][1] for table in range(256))


def columns(table: int) -> tuple[int, ...]:
    """The columns that a table depends on."""
    shifts = [(j, 1 << j, 0xFF & ~COLUMNS[j]) for j in range(3)]
    return tuple(j for j, shift, clear in shifts if (table >> shift ^ table) & clear)


def operations(formula: Formula) -> int:
    """How many operators a formula has."""
    return 1 + sum(map(operations, formula[1:])) if isinstance(formula, tuple) else 0


def written(formula: Formula, names: Sequence[str], zero: str = "0", one: str = "1") -> str:
    """The formula in C, Verilog and the like.

    Args:
        formula: What to write.
        names: Of the columns.
        zero: What is false everywhere.
        one: What is true everywhere.
    """
    if isinstance(formula, int):
        return names[formula]
    if isinstance(formula, str):
        return one if formula == "1" else zero
    operator, *parts = formula
    texts = [written(part, names, zero, one) for part in parts]
    grouped = [f"({t})" if isinstance(p, tuple) and len(p) == 3 else t for p, t in zip(parts, texts, strict=True)]
    return f"~{grouped[0]}" if operator == "~" else f"{grouped[0]} {operator} {grouped[1]}"
