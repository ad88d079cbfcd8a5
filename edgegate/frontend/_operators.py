"""Ops that no ONNX knows, all at once: onnx's checker stops at the first and shows its name alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

import onnx
import onnx.inliner

from edgegate.errors import CompileError, Problem
from edgegate.frontend import _files, _protos
from edgegate.graph import DOMAIN

Dims = tuple[int | str, ...]

OPSET = 21
"""The opset that models are brought to."""
_ALIAS = "ai.onnx"
"""The long name of ONNX's own domain, which is otherwise called ""."""

_EXPORT_AGAIN = f"export the model with opset {OPSET}"
_REPLACE = "replace it by ops that ONNX has, or store what it means in the file, as a function"
_BEFORE = "give the model as it was before ONNX Runtime optimised or quantized it"


def short_domains(model: onnx.ModelProto) -> None:
    """Call ONNX's own domain "" everywhere in ``model``, as every other reader expects."""
    for part in (model, *model.functions):
        if any(o.domain == _ALIAS for o in part.opset_import):
            versions = {"" if o.domain == _ALIAS else o.domain: o.version for o in part.opset_import}
            del part.opset_import[:]
            part.opset_import.extend(onnx.helper.make_opsetid(d, v) for d, v in versions.items())
        for node in _protos.nodes_of(part.graph.node if part is model else part.node):
            if node.domain == _ALIAS:
                node.domain = ""


def expand(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model``, ops later than :data:`OPSET` written as ONNX defines them: Swish as Mul and Sigmoid.

    Attention, too, which becomes products and a Softmax.
    """
    parts = (model.graph.node, *(f.node for f in model.functions))
    later = [n for p in parts for n in _protos.nodes_of(p) if not n.domain and _is_later(n.op_type)]
    if not later:
        return model
    for node in later:
        given = {a.name for a in node.attribute}
        defaults = (a.default_value for a in onnx.defs.get_schema(node.op_type).attributes.values())
        node.attribute.extend(a for a in defaults if a.name and a.name not in given)  # the body reads every one
    _define(model, [n for n in later if onnx.defs.get_schema(n.op_type).has_context_dependent_function])
    names = sorted({(n.domain, n.op_type) for n in later})
    return onnx.inliner.inline_selected_functions(model, names, exclude=False, inline_schema_functions=True)


def _define(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Turn nodes whose meaning hangs on the types of their inputs (Attention) into calls of functions of the file."""
    types = {v.name: v.type for v in _typed(model)} if nodes else {}
    opset = next((o.version for o in model.opset_import if not o.domain), OPSET)
    for index, node in enumerate(nodes):
        schema = onnx.defs.get_schema(node.op_type, opset)
        given = [types[i].SerializeToString() if i in types else b"" for i in node.input]
        version = max(schema.context_dependent_function_opset_versions)
        body = schema.get_context_dependent_function_with_opset_version(version, node.SerializeToString(), given)
        if not body:
            raise ValueError(f"the types of what {node.op_type} {node.name} reads are not known")
        function = onnx.FunctionProto.FromString(body)
        function.domain, function.name = LATER, f"{node.op_type}{index}"
        del function.opset_import[:]
        function.opset_import.append(onnx.helper.make_opsetid("", opset))  # inlining asks for the file's
        model.functions.append(function)
        node.domain, node.op_type = function.domain, function.name
    if nodes:
        model.opset_import.append(onnx.helper.make_opsetid(LATER, 1))


LATER = "onnx.later"
"""The domain of what ops later than :data:`OPSET` mean."""


def _typed(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Every value of the main graph whose type the file says, or can be inferred."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    constants = [onnx.helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in graph.initializer]
    return [*graph.input, *graph.value_info, *constants]


def _is_later(op: str) -> bool:
    return _beginnings().get(op, 0) > OPSET


def check(model: onnx.ModelProto, name: str) -> None:
    """Every node's op exists at the opset of ``model``, or the file holds a function for it.

    Raises:
        CompileError: Names each node whose op does not, with its domain and the shapes of its inputs.
    """
    found = list(_unknown(model))
    if not found:
        return
    shapes = _shapes(model)
    problems = []
    for node, what, fix in found:
        where = node.name or next(iter(node.output), "") or "?"
        read = ", ".join(_show(shapes.get(i)) for i in node.input)
        problems.append(
            Problem(
                where=_files.printable(f"{where} ({node.op_type}, {name})"),
                what=f"{_files.printable(node.op_type)} of {read or 'nothing'}: {what}",
                fix=fix,
            )
        )
    raise CompileError.of(problems)


def ours(domain: str) -> bool:
    """Whether ``domain`` is one of this project's, whose functions stay whole."""
    return domain == DOMAIN or domain.startswith(f"{DOMAIN}.")


def _unknown(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, str, str]]:
    """Each node with an unknown op, what is wrong with it and what to do."""
    functions = {(f.domain, f.name) for f in model.functions}
    for part in (model, *model.functions):
        versions = {o.domain: o.version for o in part.opset_import}
        for node in _protos.nodes_of(part.graph.node if part is model else part.node):
            if (node.domain, node.op_type) not in functions and (reason := _reason(node, versions)):
                yield node, *reason


def _reason(node: onnx.NodeProto, versions: Mapping[str, int]) -> tuple[str, str] | None:
    domain, op = node.domain, node.op_type
    if ours(domain):
        return None
    if domain:
        shown = _files.printable(repr(domain))
        what = f"an op of the domain {shown}, for which the file holds no function"
        return what, _BEFORE if domain.startswith("com.microsoft") else _REPLACE
    version = versions.get("", 0)
    try:
        schema = onnx.defs.get_schema(op, max(version, 1), "")
    except onnx.defs.SchemaError:
        if first := _beginnings().get(op):
            return f"no op of ONNX opset {version}, but of opset {first}", _EXPORT_AGAIN
        return f"no op of ONNX opset {version}", _REPLACE
    if _is_later(op) and not (schema.has_function or schema.has_context_dependent_function):
        return f"an op of ONNX opset {_beginnings()[op]}, later than {OPSET}", _EXPORT_AGAIN
    return (f"no longer an op of ONNX opset {version}", _REPLACE) if schema.deprecated else None


@cache
def _beginnings() -> dict[str, int]:
    """The opset in which each of ONNX's own ops first appeared."""
    found: dict[str, int] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if not schema.domain:
            found[schema.name] = min(schema.since_version, found.get(schema.name, schema.since_version))
    return found


def _shapes(model: onnx.ModelProto) -> dict[str, Dims]:
    """The shape of every value of the main graph where the file says it, or where it can be inferred."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # it meets what the checker has not seen yet; the file's own words must do
        graph = model.graph
    shapes: dict[str, Dims] = {t.name: tuple(t.dims) for t in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            dims = value.type.tensor_type.shape.dim
            shapes[value.name] = tuple(d.dim_value if d.HasField("dim_value") else d.dim_param for d in dims)
    return shapes


def _show(dims: Dims | None) -> str:
    return "?" if dims is None else f"[{','.join(_files.printable(d, 20) or '?' for d in dims)}]"
