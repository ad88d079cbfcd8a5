"""States that forget so slowly that 16 bits lose what they should keep: they get 24, in int32.

A step is lost where it is less than half of what a stored integer is worth: with a decay ``a`` that is where
``(1 - a) |h|`` is. A state of 16 bits whose slowest channel forgets less than 2**-12 a step stands still instead.

A state's decay is what multiplies it on its way to itself: ``h' = a h + x``. Where it gets there without a product,
what multiplies its difference to something is what it forgets: ``h' = h + z (x - h)``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, shape, states
from edgegate.quant.given import in_powers
from edgegate.quant.histogram import fit
from edgegate.quant.ranges import WIDE_HEADROOM, Range
from edgegate.quant.sharing import GATE, Groups, is_move
from edgegate.quant.storage import Storage

LEAST_LEAK = 2.0**-12
"""The mean share of a state that its slowest channel forgets in a step, for 16 bits to be enough."""
SUMS = ("Add", "Sub")
UNSEEN = np.array([0.5])
"""The mean of a factor without channels, which nobody looks at: no slow one."""


@dataclass(frozen=True, kw_only=True)
class Recurrence:
    """How a state comes to what it is in the next step, by sums and products with what is not the state.

    Attributes:
        values: Everything on the way, both ends included, in the order in which it is made.
        factors: What multiplies the state, or a part of it, on the way.
        addends: What is added to it there.
        direct: Whether there is a way without a product.
    """

    values: tuple[ir.Value, ...]
    factors: tuple[ir.Value, ...]
    addends: tuple[ir.Value, ...]
    direct: bool

    def leak(self, means: Mapping[str, Array]) -> float:
        """What a step forgets of the slowest channel, on average; infinite where nothing multiplies the state.

        Factors one behind the other forget more than each of them; of two ways that meet, the slower one counts.

        Args:
            means: Per channel, of every factor that is computed, by name.
        """
        seen = {v: means.get(str(v.name), UNSEEN) if (data := array(v)) is None else data for v in self.factors}
        known = {value: np.abs(mean) for value, mean in seen.items()}
        if not known:
            return math.inf
        if self.direct:
            return min(float(mean.min()) for mean in known.values())
        kept = {self.values[0]: 1.0}
        for value in self.values[1:]:
            node = value.producer()
            assert node is not None, "only the state itself is an input"
            operands = _operands(node)
            factors = [float(known[v].max()) for v in operands if v in known] if _is_product(node) else []
            kept[value] = max(kept[v] for v in operands if v in kept) * math.prod(factors)
        return 1 - kept[self.values[-1]]


def recurrences(model: ir.Model) -> list[Recurrence]:
    """One for each state that comes back by sums and products; a queue, or a state behind layers, is none."""
    values = {str(v.name): v for v in (*model.graph.inputs, *(v for n in model.graph for v in n.outputs))}
    found = (_recurrence(model, values[before], values[after]) for before, after in states(model))
    return [recurrence for recurrence in found if recurrence is not None]


def _recurrence(model: ir.Model, before: ir.Value, after: ir.Value) -> Recurrence | None:
    ways = _behind(model, before)
    if after not in ways:
        return None
    waiting, met = [after], {after: None}
    factors, addends = dict[ir.Value, None](), dict[ir.Value, None]()
    while waiting:
        node = waiting.pop().producer()
        if node is None:
            continue
        operands = _operands(node)
        more = [v for v in operands if v in ways and v not in met]
        others = dict.fromkeys(v for v in operands if v not in ways)
        if _is_product(node) or _is_sum(node):
            (factors if _is_product(node) else addends).update(others)
        waiting += more
        met |= dict.fromkeys(more)
    if not addends:
        return None
    values = tuple(v for v in ways if v in met)
    return Recurrence(values=values, factors=tuple(factors), addends=tuple(addends), direct=ways[after])


def _behind(model: ir.Model, before: ir.Value) -> dict[ir.Value, bool]:
    """Every value that ``before`` is carried to, and whether by a way without a product."""
    found = {before: True}
    for node in model.graph:
        given = [found[v] for v in _operands(node) if v in found]
        if given:
            found |= dict.fromkeys(node.outputs, any(given) and not _is_product(node))
    return found


def _operands(node: ir.Node) -> list[ir.Value]:
    """What the node moves, joins, adds or multiplies; nothing of any other node."""
    joins = (node.domain, node.op_type) == ("", "Concat")
    count = 1 if is_move(node) else 2 if _is_product(node) or _is_sum(node) else len(node.inputs) * joins
    return [v for v in node.inputs[:count] if v is not None]


def _is_sum(node: ir.Node) -> bool:
    return not node.domain and node.op_type in SUMS


def _is_product(node: ir.Node) -> bool:
    return node.domain == GATE or (node.domain, node.op_type) in {("", "Mul"), (DOMAIN, "Affine")}


def seen_of(found: Iterable[Recurrence]) -> dict[str, int]:
    """The factors whose means decide, by name, and the axis of each that has most channels."""
    computed = {str(v.name): shape(v) for r in found for v in r.factors if array(v) is None}
    return {name: int(np.argmax(dims)) for name, dims in computed.items() if dims}


def slow(
    groups: Groups, found: Iterable[Recurrence], means: Mapping[str, Array], narrow: Collection[str]
) -> tuple[Recurrence, ...]:
    """The recurrences that get 24 bits.

    Args:
        groups: Of the model.
        found: All recurrences.
        means: Per channel, of every factor that is computed.
        narrow: The values that some reader can only read in 8 bits: they get no more than that.
    """
    members = groups.members()
    slowest = [r for r in found if r.leak(means) < LEAST_LEAK]
    return tuple(r for r in slowest if all(set(members[o]).isdisjoint(narrow) for o in owners(groups, r)))


def owners(groups: Groups, recurrence: Recurrence) -> list[str]:
    """What decides how the values on the way of a state are stored."""
    return list(dict.fromkeys(groups.owner(str(v.name)) for v in recurrence.values if v.name in groups))


def wide(groups: Groups, found: Iterable[Recurrence]) -> set[str]:
    """The owners that need 16 bits or more: what is on the way of a state, and what meets it there in every step."""
    met = {groups.owner(str(v.name)) for r in found for v in (*r.factors, *r.addends) if v.name in groups}
    return met | {name for r in found for name in owners(groups, r)}


def storages(
    groups: Groups, found: Iterable[Recurrence], slow: Iterable[Recurrence], ranges: Mapping[str, Range]
) -> dict[str, Storage]:
    """By owner, the storages that follow from being part of a recurrence.

    Constants that multiply a state have powers of two for a scale, as gates have, and so has whatever multiplies a
    slow one, without headroom: a product rounded to 16 bits would be wrong by as much as such a state forgets. All
    that is on the way of a slow state is int32 of one scale: products and sums then round to the step of the state, and
    to nothing else.

    Args:
        groups: Of the model.
        found: All recurrences.
        slow: Those that get 24 bits.
        ranges: By owner.
    """
    constants = {
        groups.owner(str(v.name)) for r in found for v in r.factors if v.name in groups and array(v) is not None
    }
    result = {name: in_powers(fit(*ranges[name], "int16")) for name in constants - set(groups.given)}
    for recurrence in slow:
        computed = [str(v.name) for v in recurrence.factors if v.name in groups and array(v) is None]
        owned = {groups.owner(name) for name in computed} - set(groups.given) - set(owners(groups, recurrence))
        result |= {name: _factor(ranges[name]) for name in owned}
        names = [name for name in owners(groups, recurrence) if name not in groups.given]
        scales = [fit(*ranges[name], "int32").scale for name in names]
        scales += [result[name].scale for name in names if name in result]
        result |= dict.fromkeys(names, Storage(dtype="int32", scale=max(scales, default=1.0)))
    return result


def _factor(roomy: Range) -> Storage:
    """Of what multiplies a slow state, from its range with headroom: one that reaches 1 is a Q0.15."""
    reach = max(map(abs, roomy)) / WIDE_HEADROOM
    storage = in_powers(fit(-reach, reach, "int16"))
    return replace(storage, scale=min(storage.scale, 2.0**-15)) if reach <= 1 else storage
