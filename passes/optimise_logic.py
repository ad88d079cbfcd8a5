"""Every network of gates becomes one of few gates of three inputs, and remembers what it came from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, array, constant, matches, only_user, shape
from edgegate.logic import Netlist
from edgegate.logic.netlist import Array
from edgegate.logic.store import Imported
from edgegate.ops.group_sum import sums_of
from edgegate.ops.logic import layered, netlist_of
from edgegate.passes.logic import Optimised, optimise

IMPORTED = "edgegate.logic"
"""Key of ``model.meta``: name of a Logic node -> the :class:`~edgegate.logic.store.Imported` that it was made from."""


def optimise_logic(model: ir.Model) -> None:
    """Make the netlist of every Logic small, and let the GroupSum that alone reads it count each node once."""
    for node in matches(model, "Logic", domain=DOMAIN):
        if str(node.name) in model.meta.get(IMPORTED, {}):
            continue
        reader = only_user(node.outputs[0])
        counted = reader if reader is not None and reader.op_type == "GroupSum" else None
        netlist, sums = netlist_of(node), None if counted is None else sums_of(counted)
        found = _of_one_bit(optimise(netlist, sums))
        small = found.netlist.by_level()
        claims = _claims(found, small)
        model.meta.setdefault(IMPORTED, {})[str(node.name)] = Imported(netlist=netlist, sums=sums, claims=claims)
        _give(model, node, dict(zip(("fanins", "tables", "starts", "outputs"), layered(small), strict=True)))
        if counted is not None and found.sums is not None:
            bits = node.outputs[0]
            bits.shape = ir.Shape([*shape(bits)[:-1], len(small.outputs)])
            names = ("group", "member", "weight", "offset")
            _give(model, counted, {name: getattr(found.sums, name) for name in names})


def _of_one_bit(found: Optimised) -> Optimised:
    """What counts nothing counts one bit that is never true: no tensor of a graph is empty."""
    if found.sums is None or len(found.sums.member):
        return found
    never = np.zeros(1, np.int32)
    sums = replace(found.sums, bits=1, group=never, member=never, weight=never + np.int32(1))
    return replace(found, netlist=replace(found.netlist, outputs=never), sums=sums)


def _claims(found: Optimised, small: Netlist) -> Array:
    """The claims in the numbers that nodes have once they are sorted by level."""
    levels = found.netlist.levels[found.netlist.first :]
    renamed = np.arange(found.netlist.first + found.netlist.gates, dtype=np.int32)
    order = np.argsort(levels, kind="stable")
    renamed[small.first + order] = small.first + np.arange(small.gates, dtype=np.int32)
    return (2 * renamed[found.claims >> 1] + (found.claims & 1)).astype(np.int32)


def _give(model: ir.Model, node: ir.Node, constants: dict[str, Array]) -> None:
    """Let ``node`` read these constants behind its first input."""
    for place, (name, data) in enumerate(constants.items(), 1):
        old = node.inputs[place]
        assert old is not None and array(old) is not None, "what a network is made of is constant"
        node.replace_input_with(place, constant(model, f"{node.name}.{name}", data))
