"""The few moves that passes are made of.

A pass reads ``for node in matches(model, "Relu"): ...`` and changes the graph with
:func:`insert`, :func:`replace` and :func:`constant`; everything else is onnx_ir's own API.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

DOMAIN = "edgegate"
"""The ONNX domain of the project's own ops."""
LAYER, SOURCE = "edgegate.layer", "edgegate.source"
"""Metadata keys of a node: the torch module's dotted name, and the user's source line."""
GATE = "edgegate.gate"
"""Metadata key of an integer GatedProduct that is a gate: JSON with its kind, family, activation, value_activation."""

CODE = "edgegate.code"
"""Key of a node's ``meta``, which no file holds: what a target says of the code that it made, plain JSON values."""
GRID = "edgegate.grid"
"""Metadata key of a layer whose weights were quantized before: JSON with their ``bits`` and ``scales``."""
BLOCKS = "edgegate.blocks"
"""Metadata key of a layer that was trained in blocks: JSON with the formats of its ``weights`` and ``activations``."""
STATE, SHOWN = "edgegate.state", "edgegate.shown"
"""Metadata keys of the graph of a step: JSON of the pairs [input, what it is in the next step], by name, and of the
names of the outputs that are more than state."""
POINT = "edgegate.operating_point"
"""Metadata key of an integer graph: JSON of the inputs that are thresholds of gates, and what they are by default."""
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Linear")
"""Types of layers, which hand their grid on to the layer that takes their place."""

Array = np.ndarray[Any, np.dtype[Any]]


def matches(model: ir.Model, *op_types: str, domain: str = "") -> list[ir.Node]:
    """The main graph's nodes of these types, in order: a copy, so that the caller may edit the graph."""
    return [n for n in model.graph if n.op_type in op_types and n.domain == domain]


def array(value: ir.Value | None) -> Array | None:
    """The constant behind ``value`` (an initializer), or None if it is computed at run time."""
    if value is None or value.const_value is None or value.producer() is not None:
        return None
    return value.const_value.numpy()


def only_user(value: ir.Value) -> ir.Node | None:
    """The one node that reads ``value``; None if several do, none does, or it is a graph output."""
    users = {id(n): n for n, _ in value.uses()}
    return next(iter(users.values())) if len(users) == 1 and not value.is_graph_output() else None


def shape(value: ir.Value) -> tuple[int, ...]:
    """The static shape of ``value``; ValueError where it is unknown or symbolic."""
    if value.shape is None or not all(isinstance(d, int) for d in value.shape):
        raise ValueError(f"{value.name} has no static shape: {value.shape}")
    return tuple(int(d) for d in value.shape)  # type: ignore[arg-type]


def constant(model: ir.Model, name: str, data: Array) -> ir.Value:
    """A new initializer called ``name`` (made unique by a number) that holds ``data``."""
    taken = model.graph.initializers
    unique, n = name, 0
    while unique in taken:
        n += 1
        unique = f"{name}_{n}"
    value = ir.Value(name=unique, const_value=ir.tensor(np.ascontiguousarray(data).reshape(data.shape), name=unique))
    value.shape, value.dtype = ir.Shape(data.shape), ir.DataType.from_numpy(data.dtype)
    model.graph.register_initializer(value)
    return value


def insert(
    anchor: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, Any] | None = None,
    *,
    domain: str = DOMAIN,
    name: str,
    dtype: ir.DataType,
    dims: Sequence[int],
    after: bool = False,
) -> ir.Value:
    """Insert a node beside ``anchor`` and return its output.

    The node is called ``name`` and so is its output; it inherits the anchor's layer and source line, and, if it is
    an op of the anchor's type, what gate that is; a layer beside a layer has its grid, too.

    Args:
        anchor: The node that the new one stands before (or after).
        op_type: The new node's type, in ``domain``.
        inputs: Its inputs; None for an optional one left out.
        attributes: Plain Python values.
        domain: The op's domain.
        name: Name of the node and of its output.
        dtype: Of the output.
        dims: Shape of the output.
        after: Insert after the anchor instead of before it.
    """
    output = ir.Value(name=name, shape=ir.Shape(dims), type=ir.TensorType(dtype))
    kept = {k: anchor.metadata_props[k] for k in _handed_on(anchor, op_type) if k in anchor.metadata_props}
    node = ir.node(op_type, inputs, attributes or {}, domain=domain, outputs=[output], name=name, metadata_props=kept)
    graph = anchor.graph
    assert graph is not None, "anchor was removed from its graph"
    (graph.insert_after if after else graph.insert_before)(anchor, [node])
    return output


def _handed_on(anchor: ir.Node, op_type: str) -> list[str]:
    """The metadata that a node made beside ``anchor`` takes over."""
    gate = [GATE] if op_type == anchor.op_type else []
    grid = [GRID, BLOCKS] if op_type in WEIGHTED and anchor.op_type in WEIGHTED else []
    return [LAYER, SOURCE, *gate, *grid]


def replace(node: ir.Node, *values: ir.Value) -> None:
    """Let ``values`` stand for the node's outputs everywhere, and remove the node.

    A graph output keeps its name, dtype and shape.
    """
    graph = node.graph
    assert graph is not None, "node was removed already"
    for old, new in zip(node.outputs, values, strict=True):
        new.shape = new.shape or old.shape
        new.type = new.type or old.type
        if old.is_graph_output():
            name, old.name = old.name, None
            if new.producer() is not None and not new.is_graph_output():
                new.name = name
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def states(model: ir.Model) -> list[tuple[str, str]]:
    """The states of a step: (input, the output or other input that it is in the next step); none of most models."""
    return [(before, after) for before, after in json.loads(model.graph.metadata_props.get(STATE, "[]"))]


def operating_point(model: ir.Model) -> dict[str, int]:
    """The inputs of an integer graph that are thresholds of gates, with their defaults; none of most models."""
    return {name: int(threshold) for name, threshold in json.loads(model.graph.metadata_props.get(POINT, "{}")).items()}


def attribute(node: ir.Node, name: str, default: Any = None) -> Any:
    """The plain Python value of an attribute, or ``default``."""
    found = node.attributes.get(name)
    return default if found is None else found.value


def set_attribute(node: ir.Node, name: str, value: Any) -> None:
    """Set an attribute from a plain Python value."""
    node.attributes[name] = ir.convenience.convert_attribute(name, value)


def where(node: ir.Node) -> str:
    """How errors name a node: its layer or name, its type, and the torch source line."""
    layer = node.metadata_props.get(LAYER) or node.name or "?"
    source = node.metadata_props.get(SOURCE)
    return f"{layer} ({node.op_type}{', ' + source if source else ''})"
