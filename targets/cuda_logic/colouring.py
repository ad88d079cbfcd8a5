"""Which bank a value goes to: so that gates that run together can be put in sets without conflicts.

Gates of one table in one phase fall apart into sets if each column of their operands holds all colours alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from functools import cache

import numpy as np

from edgegate.targets.cuda_logic.gates import WIDTH, Gates, symmetries
from edgegate.targets.cuda_logic.phases import Phase


@cache
def _alike(table: int) -> tuple[int, ...]:
    """For each column the first column that it may change places with."""
    return tuple(min(order[j] for order in symmetries(table)) for j in range(WIDTH))


class Colouring:
    """How often each colour is read, by column of what runs together.

    Args:
        gates: All gates.
        phases: What runs together.
        sums_of: By node, the sums that count it.
        colours: How many there are.
        rng: Breaks ties.
    """

    def __init__(
        self, gates: Gates, phases: Sequence[Phase], sums_of: dict[int, list[int]], colours: int,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self._rng = rng
        counts: defaultdict[Hashable, list[int]] = defaultdict(lambda: [0] * colours)
        self._readers: defaultdict[int, list[list[int]]] = defaultdict(list)
        arity, tables, operands = gates.arity.tolist(), gates.tables.tolist(), gates.operands.tolist()
        for number, phase in enumerate(phases):
            for g in phase.gates:
                for j in range(arity[g]):
                    place = (number, arity[g], tables[g], _alike(tables[g])[j])
                    self._readers[operands[g][j]].append(counts[place])
            for node in phase.counted:
                for k in sums_of.get(node, ()):
                    self._readers[node].append(counts[number, k])

    def best(self, node: int, colours: Sequence[int]) -> list[int]:
        """The colours, that first which the readers of a node have least of."""
        readers = self._readers[node]
        chance = self._rng.random(len(colours)).tolist()
        scores = {c: (sum(r[c] for r in readers), x) for c, x in zip(colours, chance, strict=True)}
        return sorted(colours, key=lambda c: scores[c])

    def settle(self, node: int, colour: int) -> None:
        """Note the colour of a node."""
        for reader in self._readers[node]:
            reader[colour] += 1
