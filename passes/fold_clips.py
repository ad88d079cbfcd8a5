"""A clip costs nothing where something clips already."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import DOMAIN, attribute, matches, only_user, set_attribute
from edgegate.ops import Interval
from edgegate.passes._integers import is_own, only_clips, stand_in
from edgegate.passes._rewrite import absorb, operand
from edgegate.stages import Proof, prove


def fold_clips(model: ir.Model) -> None:
    """Merge a Rescale that only clips into the Rescale, Add or GatedProduct before it, or drop it.

    A ReLU comes as such a Rescale, its bounds the stored zero and the greatest value. The op before it clips
    to bounds of its own, and clip(clip(v, a, b), c, d) is clip(v, clip(a, c, d), clip(b, c, d)) for a <= b and
    c <= d; the result fits the clip's type. That op must have no other reader. A clip whose input was proved
    to lie within its bounds hands on what it gets and goes, whoever reads it.
    """
    proof = prove(model)
    for node in matches(model, "Rescale", domain=DOMAIN):
        if only_clips(node) and not (_cuts_nothing(node, proof) and stand_in(node, operand(node))):
            _merge(node)


def _cuts_nothing(node: ir.Node, proof: Proof) -> bool:
    """Whether the clip's input has its type and, as was proved, lies within its bounds."""
    source = operand(node)
    assert source.dtype is not None, "every value of an integer model has a type"
    whole = Interval.of_dtype(source.dtype.numpy())
    low, high = proof.values.get(str(source.name), (whole.low, whole.high))
    within = attribute(node, "low") <= low and high <= attribute(node, "high")
    return within and attribute(node, "to") == source.dtype.value


def _merge(clip: ir.Node) -> None:
    """Give the clip's bounds and type to what makes its input, if that clips, too, and nobody else reads it."""
    source = operand(clip)
    before = source.producer()
    if before is None or not is_own(before, "Rescale", "Add", "GatedProduct") or only_user(source) is not clip:
        return
    low, high = (int(attribute(clip, name)) for name in ("low", "high"))
    for name in ("low", "high"):
        set_attribute(before, name, min(max(int(attribute(before, name)), low), high))
    set_attribute(before, "to", int(attribute(clip, "to")))
    source.type = clip.outputs[0].type
    absorb(clip, before)
