"""What a program takes, computes with and gives: float32 tensors, and integers and bools that are no numbers."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from edgegate.errors import CompileError, Problem
from edgegate.frontend._operators import OPSET
from edgegate.graph import where

_D = ir.DataType
_NAMES = {_D.FLOAT: "float32", _D.DOUBLE: "float64"}
_HALVES = (_D.FLOAT16, _D.BFLOAT16, _D.DOUBLE)
_OTHERWISE = "convert it to float32 before the model, and export with a float32 example"
_FIXES = {
    **dict.fromkeys(_HALVES, "call model.float() and export again with a float32 example"),
    _D.STRING: "turn text into numbers before the model, and export with a float32 example",
    **dict.fromkeys((_D.COMPLEX64, _D.COMPLEX128), "let the model take real and imaginary part as float32"),
}
TAKEN = "float32, int64, int32 or bool"
_QUANTIZED = ("DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")
"""Forms of a quantized model that do not say of each value what float number it stands for, or only as it runs."""
_HANDS_ON = ("Identity", "Dropout")


def check_inputs(model: ir.Model) -> None:
    """There are inputs, and each is a tensor of float32, of tokens or places in int64 or int32, or of bools.

    Raises:
        CompileError: Names each input that is not, its type, and what to do.
    """
    if not model.graph.inputs:
        raise CompileError("the model", "has no input, so its outputs are constants", "export it with an input")
    allowed = (_D.FLOAT, _D.INT64, _D.INT32, _D.BOOL)
    problems = [
        Problem(where=f"input {v.name}", what=f"is {_name(v.dtype)}, a program takes {TAKEN}", fix=_fix(v))
        for v in model.graph.inputs
        if isinstance(v.type, ir.TensorType) and v.dtype not in allowed
    ]
    if problems:
        raise CompileError.of(problems)


def _name(dtype: ir.DataType | None) -> str:
    return "of no type" if dtype is None else _NAMES.get(dtype, dtype.name.lower())


def _fix(value: ir.Value) -> str:
    if not value.uses():
        return "nothing reads it: leave it out of the model"
    return _OTHERWISE if value.dtype is None else _FIXES.get(value.dtype, _OTHERWISE)


def check_outputs(model: ir.Model) -> None:
    """Each output is computed from the inputs, and is listed once; needs folded constants.

    Raises:
        CompileError: Names each output that is an input, a constant, or another output again.
    """
    problems, met = [], set[ir.Value]()
    for value in model.graph.outputs:
        if what := _fault(source_of(value), value in met):
            fix = "leave it out of the model's outputs"
            problems.append(Problem(where=f"output {value.name}", what=what, fix=fix))
        met.add(value)
    if problems:
        raise CompileError.of(problems)


def _fault(source: ir.Value, again: bool) -> str:
    if source.is_graph_input():
        return f"is input {source.name} itself: there is nothing to compute"
    if source.is_initializer() or getattr(source.producer(), "op_type", "") == "Constant":
        return "is a constant, the same for every input"
    return "is listed twice" if again else ""


def source_of(value: ir.Value) -> ir.Value:
    """The value that ``value`` is under another name."""
    while (node := value.producer()) is not None and node.op_type in _HANDS_ON and not node.domain:
        source = node.inputs[0]
        if source is None or value is not node.outputs[0] or len(node.inputs) > 2:
            break
        value = source
    return value


def check_types(model: ir.Model) -> None:
    """Inputs that must have one type have one: torch exports a layer whose weights are halves and its input floats.

    Raises:
        CompileError: Names each node that mixes types, and the types.
    """
    problems = []
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if types := _mixed(node):
            what = f"{node.op_type} of {', '.join(map(_name, types))}: its inputs must have one type"
            fix = next((_FIXES[t] for t in types if t in _HALVES), "cast them to float32")
            problems.append(Problem(where=where(node), what=what, fix=fix))
    if problems:
        raise CompileError.of(problems)


def _mixed(node: ir.Node) -> list[ir.DataType]:
    """The types of those inputs that ONNX gives one type and the model several; or none."""
    if node.domain or not onnx.defs.has(node.op_type, OPSET, ""):
        return []
    found: dict[str, list[ir.DataType]] = {}
    formal = onnx.defs.get_schema(node.op_type, OPSET, "").inputs
    for index, value in enumerate(node.inputs):
        slot = formal[min(index, len(formal) - 1)]
        if value is None or value.dtype is None or not slot.is_homogeneous:
            continue
        types = found.setdefault(slot.type_str, [])
        if value.dtype not in types:
            types.append(value.dtype)
    return next((types for types in found.values() if len(types) > 1), [])


def check_values(model: ir.Model) -> None:
    """Every node computes in float32, and something; needs folded constants and static shapes.

    Raises:
        CompileError: Names the first node of a quantized model, and otherwise each node that turns to another
            float type, or makes a tensor without elements (empty parts of a Concat are no harm).
    """
    _check_float(model)
    problems = []
    for node in model.graph:
        for value in node.outputs:
            if value.dtype in _HALVES and not any(_is_same(i, value) for i in node.inputs):
                what = f"computes in {_name(value.dtype)}, a program in float32 alone"
                problems.append(Problem(where=where(node), what=what, fix=_FIXES[value.dtype]))
            if value.shape is not None and 0 in value.shape and not _is_empty_part(value):
                what = f"makes a tensor without elements, of shape {list(value.shape)}"
                problems.append(Problem(where=where(node), what=what, fix="leave it out of the model"))
    if problems:
        raise CompileError.of(problems)


def _is_same(source: ir.Value | None, value: ir.Value) -> bool:
    """Whether ``source`` is computed, in the type of ``value``."""
    return source is not None and source.producer() is not None and source.dtype == value.dtype


def _is_empty_part(value: ir.Value) -> bool:
    return bool(value.uses()) and all(n.op_type == "Concat" for n, _ in value.uses()) and not value.is_graph_output()


def _check_float(model: ir.Model) -> None:
    nodes = [n for n in ir.traversal.RecursiveGraphIterator(model.graph) if n.op_type in _QUANTIZED and not n.domain]
    if nodes:
        what = f"the model is quantized, but not by QuantizeLinear and DequantizeLinear ({len(nodes)} such nodes)"
        fix = "export it in QDQ format with static scales, or give the float model that it was made from"
        raise CompileError(where(nodes[0]), what, fix)
