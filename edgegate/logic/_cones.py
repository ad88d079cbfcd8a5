"""Whether two literals of an and-inverter graph are equal: by truth table over a small cut, else by SAT.

A window is what lies between two literals and a cut below them. If they are equal for all values of the cut, they
are equal; if they are not, that says something only where the cut is inputs alone, so the window is made deeper.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field

from edgegate.errors import ToolchainError

LEAVES = 10
"""Widest cut that a truth table is made over."""
NEAR, FAR = 48, 1000
"""ANDs in a window for a truth table, and for the first question to the SAT solver."""
CONFLICTS = 2000
"""Conflicts of the SAT solver between two looks at the clock, and all that a node within the netlists gets."""
SOLVER = "minisat22"

Cut = dict[int, bool]
"""Values of input nodes; those that are not in it do not matter."""


def tables(count: int) -> list[int]:
    """The truth tables of ``count`` variables, as integers of 2**count bits."""
    return [((1 << (1 << count)) - 1) // ((1 << (1 << j)) + 1) << (1 << j) for j in range(count)]


TABLES = [tables(count) for count in range(LEAVES + 1)]


@dataclass
class Graph:
    """An and-inverter graph: node 0 is false, then come inputs, then ANDs.

    Attributes:
        inputs: Number of inputs.
        left: For each node, the first literal that it reads; nothing of meaning for inputs.
        right: The second.
    """

    inputs: int
    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left, self.right = [0] * (self.inputs + 1), [0] * (self.inputs + 1)


@dataclass(frozen=True)
class Window:
    """ANDs in topological order, and the nodes below them."""

    ands: list[int]
    leaves: list[int]


def window(graph: Graph, roots: tuple[int, ...], most: int, leaves: int | None = None) -> Window:
    """The window below ``roots``: the deepest of at most ``most`` ANDs, and of at most ``leaves`` leaves if given."""
    front = [-node for node in {*roots} if node]
    heapq.heapify(front)
    seen, ands = {*roots}, list[int]()
    best = Window([], [-node for node in front])
    while front and -front[0] > graph.inputs and len(ands) < most:
        node = -heapq.heappop(front)
        ands.append(node)
        for literal in (graph.left[node], graph.right[node]):
            below = literal >> 1
            if below and below not in seen:
                seen.add(below)
                heapq.heappush(front, -below)
        if leaves is not None and len(front) <= leaves:
            best = Window(ands[::-1], [-n for n in front])
        elif leaves is not None and len(front) > 2 * leaves:
            return best
    return best if leaves is not None else Window(ands[::-1], [-n for n in front])


@dataclass(frozen=True)
class Answer:
    """What is known of two literals: equal; or different, for these inputs; or neither."""

    equal: bool = False
    cut: Cut | None = None


UNKNOWN = Answer()


def by_table(graph: Graph, a: int, b: int) -> Answer:
    """Compare two literals by truth tables over a cut of at most :data:`LEAVES` nodes."""
    near = window(graph, (a >> 1, b >> 1), NEAR, LEAVES)
    if len(near.leaves) > LEAVES:
        return UNKNOWN
    every = (1 << (1 << len(near.leaves))) - 1
    value = dict(zip(near.leaves, TABLES[len(near.leaves)], strict=True))
    value[0] = 0
    for node in near.ands:
        x, y = graph.left[node], graph.right[node]
        value[node] = (value[x >> 1] ^ (every if x & 1 else 0)) & (value[y >> 1] ^ (every if y & 1 else 0))
    differ = value[a >> 1] ^ value[b >> 1] ^ (every if (a ^ b) & 1 else 0)
    if not differ:
        return Answer(equal=True)
    if max(near.leaves, default=0) > graph.inputs:
        return UNKNOWN
    address = (differ & -differ).bit_length() - 1
    return Answer(cut={node: bool(address >> j & 1) for j, node in enumerate(near.leaves)})


def by_sat(graph: Graph, a: int, b: int, *, deadline: float | None, most: int | None) -> Answer:
    """Compare two literals by SAT.

    Args:
        graph: Where they are.
        a: A literal.
        b: The other.
        deadline: Time of ``time.monotonic`` to give up at, or None.
        most: Conflicts to give up at, or None.
    """
    for depth in (FAR, len(graph.left)):
        if deadline is not None and time.monotonic() >= deadline:
            return UNKNOWN
        far = window(graph, (a >> 1, b >> 1), depth)
        answer = _solve(graph, far, a, b, deadline, most)
        if answer.equal or answer.cut is not None or len(far.ands) < depth:
            return answer
    return UNKNOWN


def _solve(graph: Graph, far: Window, a: int, b: int, deadline: float | None, most: int | None) -> Answer:
    variable = {node: i for i, node in enumerate([0, *far.leaves, *far.ands], 1)}

    def signed(literal: int) -> int:
        return -variable[literal >> 1] if literal & 1 else variable[literal >> 1]

    clauses = [[-1], [signed(a), signed(b)], [-signed(a), -signed(b)]]
    for node in far.ands:
        x, y, z = signed(graph.left[node]), signed(graph.right[node]), variable[node]
        clauses += [-z, x], [-z, y], [z, -x, -y]
    with solver()(name=SOLVER, bootstrap_with=clauses) as sat:
        found, spent = None, 0
        while found is None and (most is None or spent < most):
            sat.conf_budget(CONFLICTS)
            found, spent = sat.solve_limited(), spent + CONFLICTS
            if found is None and deadline is not None and time.monotonic() >= deadline:
                return UNKNOWN
        if found is False:
            return Answer(equal=True)
        if found is None or max(far.leaves, default=0) > graph.inputs:
            return UNKNOWN
        model = sat.get_model()
    return Answer(cut={node: model[variable[node] - 1] > 0 for node in far.leaves})


def solver() -> type:
    """The SAT solvers' class of python-sat.

    Raises:
        ToolchainError: It is not installed.
    """
    try:
        from pysat.solvers import Solver
    except ImportError as error:
        raise ToolchainError('python-sat is not installed: pip install "edgegate-compiler[compile]"') from error
    return Solver
