"""A chain as an ONNX function of one value."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.graph import Array, array
from edgegate.passes._chains import Chain
from edgegate.passes._functions import UNARY


def formula(chain: Chain, opset: int) -> ir.Function:
    """The chain's nodes as an ``edgegate.unary`` function, constants inside, still without a proper name.

    Names inside depend on the structure alone, so that equal formulas have equal text.
    """
    x = ir.Value(name="x")
    inside: dict[ir.Value, ir.Value] = {chain.root: x}
    nodes: list[ir.Node] = []
    for node in chain.nodes:
        inputs = [None if v is None else _operand(v, inside, nodes) for v in node.inputs]
        attributes = {name: a.value for name, a in node.attributes.items()}
        inside[node.outputs[0]] = _append(nodes, node.op_type, inputs, attributes)
    graph = ir.Graph([x], [inside[chain.end]], nodes=nodes, opset_imports={"": opset})
    return ir.Function(UNARY, "Scalar", graph=graph, attributes=[])


def text(function: ir.Function) -> bytes:
    """The body without the name: equal for equal formulas."""
    return b"".join(ir.to_proto(node).SerializeToString(deterministic=True) for node in function)


def _operand(value: ir.Value, inside: dict[ir.Value, ir.Value], nodes: list[ir.Node]) -> ir.Value:
    data: Array | None = array(value)
    if data is None:
        return inside[value]
    return _append(nodes, "Constant", [], {"value": ir.tensor(data.reshape(()))})


def _append(
    nodes: list[ir.Node], op_type: str, inputs: list[ir.Value | None], attributes: dict[str, object]
) -> ir.Value:
    output = ir.Value(name=f"v{len(nodes)}")
    nodes.append(ir.node(op_type, inputs, attributes, outputs=[output], name=output.name))
    return output
