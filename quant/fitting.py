"""Whether a Scheme that someone wrote, edited or kept is one for this model."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches

import onnx_ir as ir

from edgegate.errors import CompileError, Problem
from edgegate.quant.scheme import Scheme
from edgegate.quant.sharing import activations
from edgegate.quant.sites import impossible
from edgegate.quant.weights import Layer, layers

LISTED = 12
"""At most so many names are told; the rest is counted."""


def check_fit(model: ir.Model, scheme: Scheme) -> None:
    """Accept a scheme that says how every value and weight of ``model`` is stored, and speaks of no others.

    Raises:
        CompileError: With one problem for all that is missing, one for all that is unknown, and one for each
            entry whose axis or number of channels is not the model's.
    """
    found = layers(model)
    problems = [
        *_missing(model, scheme, found), *_unknown(model, scheme), *_misfits(scheme, found), *_unfit(scheme, found),
    ]  # fmt: skip
    if problems:
        raise CompileError.of(problems)


def _stored(found: list[Layer]) -> list[Layer]:
    """The layers whose weights are stored by the scheme; an Affine brings scales of its own."""
    return [layer for layer in found if layer.node.op_type != "Affine"]


def _missing(model: ir.Model, scheme: Scheme, found: list[Layer]) -> Iterator[Problem]:
    values = dict.fromkeys(str(v.name) for v in activations(model) if v.name not in scheme.values)
    stored = {*scheme.weights, *scheme.blocks}
    weights = dict.fromkeys(str(a.weight.name) for a in _stored(found) if str(a.weight.name) not in stored)
    if values or weights:
        parts = [f"{kind} {_listed(names)}" for kind, names in (("values", values), ("weights", weights)) if names]
        what = f"does not say how to store {' and '.join(parts)}"
        yield Problem(where="the scheme", what=what, fix="it is of another model, or cut: quantize this one again")


def _unknown(model: ir.Model, scheme: Scheme) -> Iterator[Problem]:
    """Names of the scheme that the model lacks: a slip of whoever edited it would have no effect otherwise."""
    known = {str(v.name) for v in model.graph.inputs} | set(model.graph.initializers)
    known |= {str(v.name) for node in model.graph for v in node.outputs}
    lost = [n for part in (scheme.values, scheme.weights, scheme.biases, scheme.blocks) for n in part if n not in known]
    if lost:
        near = get_close_matches(lost[0], sorted(known), n=1)
        hint = f"{lost[0]} may mean {near[0]}" if near else "take them out"
        yield Problem(where="the scheme", what=f"names {_listed(lost)}, which the model does not have", fix=hint)


def _misfits(scheme: Scheme, found: list[Layer]) -> Iterator[Problem]:
    for layer in _stored(found):
        name, dims = str(layer.weight.name), layer.data().shape
        storage, channels = scheme.weights.get(name), dims[layer.axis]
        if storage is not None and (storage.axis, len(storage.scales)) != (layer.axis, channels):
            what = f"has {len(storage.scales)} scales on axis {storage.axis} of {name}, which is {list(dims)}"
            yield Problem(where="the scheme", what=what, fix=f"give {channels} scales on axis {layer.axis}")
        bias = None if layer.bias is None else str(layer.bias.name)
        count = len(scheme.biases.get(bias or "", ()))
        if bias in scheme.biases and count != channels:
            what = f"has {count} corrections for {bias}, which belongs to {channels} channels"
            yield Problem(where="the scheme", what=what, fix="give one per channel, or leave the entry out")


def _unfit(scheme: Scheme, found: list[Layer]) -> Iterator[Problem]:
    for layer in found:
        storage = scheme.blocks.get(str(layer.weight.name))
        if storage is not None and (reason := impossible(layer)):
            what = f"stores {layer.weight.name} in {storage.weights}, but {reason}"
            yield Problem(where="the scheme", what=what, fix="give it an entry in weights instead")


def _listed(names: Collection[str]) -> str:
    rest = len(names) - LISTED
    return ", ".join(list(names)[:LISTED]) + (f" and {rest} more" if rest > 0 else "")
