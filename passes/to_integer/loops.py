"""The marks of loops: what goes through them keeps how it is stored."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import attribute, shape
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored
from edgegate.passes.to_integer._scaling import match
from edgegate.stages.loops import LOOP, through


def mark(lowering: Lowering, node: ir.Node) -> None:
    """A Begin or End of stored integers, axes in float order."""
    pairs = through(node)
    inputs = [_ready(lowering, before, after) for before, after in pairs]
    outputs = []
    for (_, after), x in zip(pairs, inputs, strict=True):
        dtype = x.value.dtype
        assert dtype is not None, "stored values have a type"
        outputs.append((str(after.name), dtype, shape(after)))
    attributes = {name: attribute(node, name) for name in node.attributes}
    made = lowering.emit_many(node.op_type, [x.value for x in inputs], outputs, attributes, domain=LOOP)
    for (_, after), value, x in zip(pairs, made, inputs, strict=True):
        lowering.keep(after, Stored(value=value, storage=x.storage, order=tuple(range(len(shape(after))))))


def _ready(lowering: Lowering, before: ir.Value, after: ir.Value) -> Stored:
    """``before`` as ``after`` is stored."""
    if before.dtype != ir.DataType.FLOAT:
        raise NotLowerable(
            f"{before.name} goes through a loop as {before.dtype}", "let states and sequences be float32"
        )
    x = lowering.stored(before, tuple(range(len(shape(before)))), whole=True)
    target = lowering.storage(after)
    return x if x.storage == target else match(lowering, x, target, f"{before.name}.carried")
