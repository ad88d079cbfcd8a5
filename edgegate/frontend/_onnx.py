"""Opening ``.onnx`` files: hostile until checked, then one graph at the opset of this compiler."""

from __future__ import annotations

import os
from typing import Any

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx_ir.passes import common

from edgegate.errors import CompileError, FileError, Problem, UnsafeError
from edgegate.frontend import _files, _operators, _protos, _wire
from edgegate.frontend._operators import OPSET
from edgegate.frontend._quiet import quiet

_EXPORT_AGAIN = f"export the model with opset {OPSET}"


def load(data: bytes, path: str) -> ir.Model:
    """The model in the ONNX file ``data``: checked, its functions inlined, at opset 21.

    Args:
        data: The whole file.
        path: Where it lies; external data is looked for beside it.

    Raises:
        UnsafeError: It reaches for other files, claims more memory than it holds, or its functions
            or nodes grow without bound.
        FileError: Damaged, or rejected by onnx's checker.
        CompileError: Valid, but at an opset or with ops that cannot be converted or that do not exist, or an
            input has no rank.
    """
    name = _files.show(path)
    proto = _parse(data, name)
    _protos.check_functions(proto, name)
    folder = os.path.dirname(path)
    for tensor in _protos.check_tensors(proto, folder, name):
        _read_external(tensor, folder, name)
    if len(proto.opset_import) == 0 or len(proto.graph.output) == 0:
        raise FileError(f"{name}: no ONNX model (no opset or no outputs)")
    _operators.short_domains(proto)
    _operators.check(proto, name)
    _check_ranks(proto)
    try:
        _check(proto)
        model = ir.from_proto(_operators.expand(proto))
    except (onnx.checker.ValidationError, ir.serde.SerdeError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise FileError(f"{name}: not a valid ONNX model ({_files.printable(error)})") from None
    model = _modern(model, name)
    _detach(model)
    return model


def _detach(model: ir.Model) -> None:
    """Copy the small initializers: protobuf frees a file's memory once nothing of it is in use, large weights too."""
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is not None and tensor.nbytes <= LARGE and tensor.dtype != ir.DataType.STRING:
            value.const_value = ir.tensor(tensor.numpy().copy(), dtype=tensor.dtype, name=tensor.name)


LARGE = 1 << 20
"""Initializers of more bytes are checked alone: the checker makes two copies of what it is given."""


def _check(proto: onnx.ModelProto) -> None:
    """``onnx.checker.check_model``, at the cost of one tensor in memory, not of the model."""
    light, graph = onnx.ModelProto(), proto.graph
    for field, value in proto.ListFields():
        if field.name != "graph":
            _copy(light, field.name, value)
    for field, value in graph.ListFields():
        if field.name != "initializer":
            _copy(light.graph, field.name, value)
    given = {value.name for value in graph.input}
    for tensor in graph.initializer:
        if tensor.ByteSize() <= LARGE:
            light.graph.initializer.append(tensor)
            continue
        onnx.checker.check_tensor(tensor)
        if tensor.name not in given:
            light.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    onnx.checker.check_model(light)


def _copy(message: Any, name: str, value: Any) -> None:
    """Set a field of a message, whatever its kind."""
    field = getattr(message, name)
    if hasattr(field, "MergeFrom"):
        field.MergeFrom(value)
    else:
        setattr(message, name, value)


def _parse(data: bytes, name: str) -> onnx.ModelProto:
    try:
        count = _wire.count_nodes(data, _files.NODE_LIMIT)
        if count > _files.NODE_LIMIT:
            raise UnsafeError(f"{name}: more than {_files.NODE_LIMIT} nodes")
        return onnx.ModelProto.FromString(data)
    except ValueError as error:
        raise FileError(f"{name}: damaged or truncated ONNX file ({error})") from None
    except DecodeError:
        # the parser does not say which: its nesting limit is a hundred messages, about 30 Ifs
        raise FileError(f"{name}: damaged ONNX file, or subgraphs nested too deeply for protobuf") from None


def _read_external(tensor: onnx.TensorProto, folder: str, name: str) -> None:
    try:
        onnx.external_data_helper.load_external_data_for_tensor(tensor, folder)
    except onnx.checker.ValidationError as error:
        raise UnsafeError(f"{name}: external data refused ({_files.printable(error)})") from None
    except (OSError, ValueError) as error:
        raise FileError(f"{name}: external data cannot be read ({_files.printable(error)})") from None
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def _check_ranks(proto: onnx.ModelProto) -> None:
    """Inputs are tensors with a shape; onnx's checker would call one without damaged."""
    problems = []
    for value in proto.graph.input:
        kind = value.type.WhichOneof("value")
        if kind is not None and not (kind == "tensor_type" and value.type.tensor_type.HasField("shape")):
            what = "has no shape" if kind == "tensor_type" else f"is no tensor ({kind.removesuffix('_type')})"
            fix = "export the model with tensor inputs of known rank"
            problems.append(Problem(where=f"input {_files.printable(value.name)}", what=what, fix=fix))
    if problems:
        raise CompileError.of(problems)


def _modern(model: ir.Model, name: str) -> ir.Model:
    """The model with foreign functions inlined, at :data:`OPSET`."""
    from onnxscript.version_converter import convert_version

    opset = model.opset_imports.get("", 0)
    try:
        with quiet():
            common.RemoveInitializersFromInputsPass()(model)
            common.InlinePass(lambda function: not _operators.ours(function.domain))(model)
            if model.opset_imports.get("") != OPSET:
                convert_version(model, OPSET, fallback=True)
    except Exception as error:  # the converters raise whatever they meet first
        what = f"opset {opset} cannot be converted ({_files.printable(error)})"
        raise CompileError(name, what, _EXPORT_AGAIN) from error
    if model.opset_imports.get("") != OPSET:
        raise CompileError(name, f"opset {opset} cannot be converted to {OPSET}", _EXPORT_AGAIN)
    return model
