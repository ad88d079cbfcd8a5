"""Comparisons with constants become hard gates: one threshold on the logit, whatever function stands before it.

    sigmoid(z) > theta    where    z > log(theta / (1 - theta))

    HardGate(z, limit) <bounds, strict, below>        z > bound; z >= bound if not strict; the inverse of it if below

``bounds`` are the exact limits as fractions, those without one to 60 digits, in the order of the elements of ``limit``,
which is what float32 makes of them. So integers are compared with what was meant, and nothing is rounded twice.

Source: Li et al., arXiv 2303.08970, gates of Gated Compression layers: a sample goes on where its score is above theta.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import DOMAIN, Array, array, attribute, constant, insert, matches, shape, where
from edgegate.graph import replace as substitute
from edgegate.passes._chains import chains
from edgegate.passes._functions import declare
from edgegate.passes._inverse import Unreachable, inverse
from edgegate.passes._rewrite import is_float, operand, operands

COMPARISONS = {"Greater": (True, False), "GreaterOrEqual": (False, False), "Less": (False, True),
               "LessOrEqual": (True, True)}  # fmt: skip
"""Each comparison with a constant on its right: whether it is strict when it is a ``>`` or ``>=``, and inverted."""
MIRRORED = {"Greater": "Less", "GreaterOrEqual": "LessOrEqual", "Less": "Greater", "LessOrEqual": "GreaterOrEqual"}


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What is true where ``z`` is above its bound (or not below it), or where it is not.

    Attributes:
        z: The logit.
        bounds: Exact, one for each element of ``dims``.
        dims: A shape that broadcasts to that of ``z``.
        strict: Whether the bound itself is not above.
        below: Whether the condition is the inverse.
    """

    z: ir.Value
    bounds: tuple[Fraction, ...]
    dims: tuple[int, ...]
    strict: bool
    below: bool


def hard_gates(model: ir.Model) -> None:
    """Turn comparisons of floats with constants, and rounded sigmoids, into ``edgegate.HardGate``.

    A gate that is cast to float becomes ``Where(gate, 1, 0)``, and a product with it ``Where(gate, x, 0)``: what is
    chosen is not rounded. Comparisons inside of a function of one number, such as a softplus, are left to it.

    Raises:
        CompileError: A threshold that the function before it never reaches: the gate is always open, or never.
    """
    inner = {n for chain in chains(model) if not _is_step(chain.nodes[-1]) for n in chain.nodes}
    for node in (n for n in matches(model, *COMPARISONS) if n not in inner):
        if (condition := _condition(node)) is not None:
            substitute(node, _gate(model, node, condition))
    for node in matches(model, "Round"):
        _rounded(model, node)
    for node in matches(model, "Cast"):
        _chosen(model, node)
    for node in matches(model, "Mul"):
        _masked(model, node)


def _is_step(node: ir.Node) -> bool:
    """Whether a function that ends with ``node`` may be a comparison, and no more."""
    source = node.inputs[0]
    maker = None if source is None else source.producer()
    if node.op_type == "Round":
        return True
    return node.op_type == "Cast" and maker is not None and maker.op_type in COMPARISONS


def _condition(node: ir.Node) -> Condition | None:
    found = operands(node)
    if found is None or not is_float(found[0]) or shape(found[0]) != shape(node.outputs[0]):
        return None
    z, data = found
    if not np.isfinite(data).all():
        return None
    strict, below = COMPARISONS[node.op_type if operand(node) is z else MIRRORED[node.op_type]]
    bounds = tuple(map(Fraction, data.astype(np.float64).reshape(-1).tolist()))
    return _through(node, Condition(z=z, bounds=bounds, dims=data.shape, strict=strict, below=below))


def _through(node: ir.Node, condition: Condition) -> Condition:
    """The same condition on what stands before the monotone functions that make ``z``."""
    maker = condition.z.producer()
    step = None if maker is None else inverse(maker)
    if maker is None or step is None or shape(step.source) != shape(condition.z) or not is_float(step.source):
        return condition
    try:
        bounds = tuple(map(step.bound, condition.bounds))
    except Unreachable as e:
        what = f"compares {maker.op_type} with {float(e.value):.6g}, which no threshold on its input can do: {e}"
        raise CompileError(where(node), what, f"choose a threshold {step.range}") from e
    turned = replace(condition, z=step.source, bounds=bounds)
    if step.falls:  # f(z) > t where z < bound, f(z) >= t where z <= bound
        turned = replace(turned, strict=not condition.strict, below=not condition.below)
    return _through(node, turned)


def _gate(model: ir.Model, anchor: ir.Node, condition: Condition) -> ir.Value:
    """The HardGate of a condition, before ``anchor``, whose name it takes."""
    declare(model, DOMAIN, "HardGate")
    name = str(anchor.outputs[0].name)
    limit = np.array([float(b) for b in condition.bounds], np.float64).astype(np.float32).reshape(condition.dims)
    if not condition.strict:
        limit = np.nextafter(limit, np.float32(-np.inf), dtype=np.float32)
    attributes = {
        "bounds": [str(b) for b in condition.bounds], "strict": int(condition.strict), "below": int(condition.below),
    }  # fmt: skip
    given = [condition.z, constant(model, f"{name}.limit", limit)]
    dims = shape(condition.z)
    return insert(anchor, "HardGate", given, attributes, name=name, dtype=ir.DataType.BOOL, dims=dims)


def _rounded(model: ir.Model, node: ir.Node) -> None:
    """Round(sigmoid(z)) is one where the sigmoid is above a half, which rounds to zero, the even one."""
    source = operand(node)
    maker = source.producer()
    if maker is None or maker.op_type != "Sigmoid" or maker.domain:
        return
    half = Condition(z=source, bounds=(Fraction(1, 2),), dims=(), strict=True, below=False)
    gate = _gate(model, node, _through(node, half))
    name, gate.name = str(gate.name), f"{gate.name}.open"
    substitute(node, _where(model, node, gate, None, name))


def _chosen(model: ir.Model, node: ir.Node) -> None:
    gate = operand(node)
    if is_gate(gate) and is_float(node.outputs[0]):
        substitute(node, _where(model, node, gate, None, str(node.outputs[0].name)))


def _masked(model: ir.Model, node: ir.Node) -> None:
    """A product with Where(gate, 1, 0) is the other factor, or nothing."""
    if len(node.inputs) != 2 or not is_float(node.outputs[0]):
        return
    for x, other in ((operand(node, 0), operand(node, 1)), (operand(node, 1), operand(node, 0))):
        gate = _zero_or_one(other)
        if gate is not None and array(x) is None:
            substitute(node, _where(model, node, gate, x, str(node.outputs[0].name)))
            return


def _zero_or_one(value: ir.Value) -> ir.Value | None:
    """The gate that ``value`` is as a number, or None."""
    node = value.producer()
    if node is None or node.op_type != "Where" or node.domain or not is_gate(operand(node)):
        return None
    ends = [array(v) for v in node.inputs[1:]]
    plain = all(data is not None and data.size == 1 for data in ends)
    return operand(node) if plain and [float(d.reshape(())) for d in ends if d is not None] == [1.0, 0.0] else None


def is_gate(value: ir.Value) -> bool:
    """Whether ``value`` is a hard gate's."""
    node = value.producer()
    return node is not None and (node.domain, node.op_type) == (DOMAIN, "HardGate")


def _where(model: ir.Model, anchor: ir.Node, gate: ir.Value, x: ir.Value | None, name: str) -> ir.Value:
    """``x`` where the gate is open, else zero; one, if there is no ``x``."""
    ends = [x] if x is not None else [constant(model, f"{name}.one", np.array(1.0, np.float32))]
    given = [gate, *ends, constant(model, f"{name}.zero", np.array(0.0, np.float32))]
    dims = shape(anchor.outputs[0])
    return insert(anchor, "Where", given, domain="", name=name, dtype=ir.DataType.FLOAT, dims=dims)


def limits_of(node: ir.Node) -> tuple[list[Fraction], Array]:
    """The exact bounds of a HardGate, and its float limits, whose shape is theirs."""
    limit = array(node.inputs[1])
    assert limit is not None, "a hard gate has constant limits"
    return [Fraction(b) for b in attribute(node, "bounds")], limit
