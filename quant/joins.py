"""Values that are joined, and so may share one storage: a Rescale saved for each."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.quant.ranges import Range, union
from edgegate.quant.sharing import JOINS, Groups, is_float
from edgegate.quant.storage import Storage

JOIN_LOSS = 2.0
"""A storage shared by a Concat may be so many times wider than each input needs: one bit."""


def share(model: ir.Model, groups: Groups, ranges: dict[str, Range], wide: set[str], fixed: dict[str, Storage]) -> None:
    """Let the inputs of joins share their output's storage where that costs none of them much."""
    narrowest = {name: _width(ranges[name]) for name in groups.owners()}
    for node in model.graph:
        if node.domain or node.op_type not in JOINS or not is_float(node.outputs[0]):
            continue
        sources = [groups.owner(str(v.name)) for v in node.inputs if v is not None and v.name in groups]
        output = groups.owner(str(node.outputs[0].name))
        storages = {fixed.get(name) for name in sources}
        if len(storages) == 1 and None not in storages and output not in fixed:
            fixed[output] = fixed[sources[0]]
            continue
        for source in sources:
            output = groups.owner(output)
            if source == output or {source, output} & set(fixed) or (source in wide) != (output in wide):
                continue
            merged = union(ranges[source], ranges[output])
            least = min(narrowest[source], narrowest[output])
            if _width(merged) <= JOIN_LOSS * least:
                groups.join(source, output)
                ranges[output], narrowest[output] = merged, least


def _width(bounds: Range) -> float:
    return max(bounds[1], 0.0) - min(bounds[0], 0.0)
