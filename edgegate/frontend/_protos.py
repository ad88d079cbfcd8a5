"""What must hold for the parts of an ONNX file before anything else looks at them.

onnx's own loader refuses escapes from the model's folder; its checker accepts negative offsets,
lengths beyond the file and shapes of 2^62 elements, so sizes are checked here first.
"""

from __future__ import annotations

import math
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath, PureWindowsPath

import onnx

from edgegate.errors import CompileError, FileError, UnsafeError
from edgegate.frontend import _files

_T = onnx.TensorProto
_FIELDS = {
    _T.FLOAT: "float_data", _T.DOUBLE: "double_data", _T.INT64: "int64_data",
    _T.UINT32: "uint64_data", _T.UINT64: "uint64_data",
    **dict.fromkeys(
        (_T.INT32, _T.INT16, _T.INT8, _T.UINT16, _T.UINT8, _T.BOOL, _T.FLOAT16, _T.BFLOAT16), "int32_data"
    ),
}  # fmt: skip
"""The dtypes that are read, and where a tensor without raw_data keeps its elements."""
_KEYS = ("location", "offset", "length", "checksum")


def check_functions(model: onnx.ModelProto, name: str) -> None:
    """Functions do not call themselves, and all calls expanded stay below the node limit.

    Expanding is exponential when each of 40 functions calls the next one twice, so sizes are
    computed on the graph of calls.

    Raises:
        UnsafeError: They do.
    """
    bodies = {(f.domain, f.name, f.overload): Counter(map(_key, nodes_of(f.node))) for f in model.functions}
    if len(bodies) != len(model.functions):
        raise UnsafeError(f"{name}: two functions of the model have one name")
    calls = {key: [k for k in body if k in bodies] for key, body in bodies.items()}
    sizes: dict[tuple[str, str, str], int] = {}
    try:
        for key in TopologicalSorter(calls).static_order():
            sizes[key] = sum(n * sizes.get(k, 1) for k, n in bodies[key].items())
    except CycleError as error:
        shown = _files.printable(error.args[1][0][1])
        raise UnsafeError(f"{name}: function {shown!r} of the model calls itself") from None
    total = sum(sizes.get(_key(n), 1) for n in nodes_of(model.graph.node))
    if max(total, *sizes.values(), 0) > _files.NODE_LIMIT:
        raise UnsafeError(f"{name}: more than {_files.NODE_LIMIT} nodes, function calls expanded")


def check_tensors(model: onnx.ModelProto, folder: str, name: str) -> list[onnx.TensorProto]:
    """Every tensor holds as many bytes as its shape says; returns those whose data is in other files.

    Raises:
        UnsafeError: A shape claims more than is stored, or external data lies outside ``folder``.
        FileError: External data is missing or contradicts itself.
        CompileError: A dtype or a sparse tensor that no pass knows.
    """
    external, claimed, files = [], 0, {}
    for tensor in tensors_of(model):
        where = f"{name}: tensor {_files.printable(tensor.name or '?')}"
        wanted = _wanted_bytes(tensor, where)
        if tensor.data_location == _T.EXTERNAL:
            file, count = _check_external(tensor, folder, wanted, where)
            external.append(tensor)
            claimed, files[file] = claimed + wanted, count
        else:
            _check_stored(tensor, wanted, where)
    if claimed > 4 * sum(files.values()):
        raise UnsafeError(f"{name}: external tensors share bytes to claim {_files.size(claimed)}")
    return external


def nodes_of(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """``nodes`` and all nodes in their subgraphs. Protobuf's own nesting limit bounds the depth."""
    for node in nodes:
        yield node
        for graph in _graphs(node):
            yield from nodes_of(graph.node)


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All dense tensors: initializers and attributes, of subgraphs and functions too."""
    yield from _tensors_of_graph(model.graph)
    for function in model.functions:
        yield from _tensors_of_nodes(function.node)


def _tensors_of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    if graph.sparse_initializer:
        raise CompileError(_files.printable(graph.name), "sparse initializers", "store weights densely")
    yield from graph.initializer
    yield from _tensors_of_nodes(graph.node)


def _tensors_of_nodes(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise CompileError(_files.printable(node.name), "a sparse constant", "store constants densely")
        for graph in _graphs(node):
            yield from _tensors_of_graph(graph)


def _graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _key(node: onnx.NodeProto) -> tuple[str, str, str]:
    return node.domain, node.op_type, node.overload


def _wanted_bytes(tensor: onnx.TensorProto, where: str) -> int:
    """Bytes that the tensor's shape and dtype stand for."""
    if tensor.data_type not in _FIELDS:
        known = tensor.data_type in _T.DataType.values()
        dtype = _T.DataType.Name(tensor.data_type) if known else f"dtype {tensor.data_type}"
        raise CompileError(where, f"{dtype} is not supported", "store it as float32 or an integer type")
    if any(d < 0 for d in tensor.dims):
        raise UnsafeError(f"{where} has a negative dimension")
    if tensor.HasField("segment"):
        raise UnsafeError(f"{where} is stored in segments")
    return math.prod(map(int, tensor.dims)) * _item_size(tensor)


def _item_size(tensor: onnx.TensorProto) -> int:
    return int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _check_stored(tensor: onnx.TensorProto, wanted: int, where: str) -> None:
    """The data inside the file: raw bytes, or one element per entry of the dtype's own field."""
    if tensor.HasField("raw_data"):
        stored = len(tensor.raw_data)
    else:
        stored = len(getattr(tensor, _FIELDS[tensor.data_type])) * _item_size(tensor)
    if stored != wanted:
        kind = UnsafeError if stored < wanted else FileError
        raise kind(f"{where} claims {_files.size(wanted)}, but {_files.size(stored)} are stored")


def _check_external(tensor: onnx.TensorProto, folder: str, wanted: int, where: str) -> tuple[str, int]:
    """The external file of ``tensor`` and its size; a plain file of its own below ``folder``."""
    entries = {e.key: e.value for e in tensor.external_data}
    if len(entries) != len(tensor.external_data) or any(k not in _KEYS for k in entries):
        raise UnsafeError(f"{where} describes its external data with unknown or double keys")
    location = entries.get("location", "")
    _check_location(location, where)
    path = _walk(folder, location, where)
    status = os.lstat(path)
    if status.st_nlink > 1:
        raise UnsafeError(f"{where} is stored in a hard link")
    offset, length = (_number(entries.get(k), where) for k in ("offset", "length"))
    start, count = offset or 0, wanted if length is None else length
    if count != wanted:
        raise UnsafeError(f"{where} claims {_files.size(wanted)}, but its external data has {_files.size(count)}")
    if start + count > status.st_size:
        raise UnsafeError(f"{where} claims {_files.size(start + count)} of a file of {_files.size(status.st_size)}")
    return path, status.st_size


def _check_location(location: str, where: str) -> None:
    shown = _files.printable(repr(location))
    windows = PureWindowsPath(location)
    if not location or "\0" in location or "\\" in location or windows.drive or windows.root:
        raise UnsafeError(f"{where} has external data at the unsafe path {shown}")
    parts = location.split("/")
    if PurePosixPath(location).is_absolute() or ".." in parts or "" in parts:
        raise UnsafeError(f"{where} has external data outside the model's folder: {shown}")


def _walk(folder: str, location: str, where: str) -> str:
    """The path of ``location`` below ``folder``, no component of which is a link."""
    path = folder or "."
    parts = location.split("/")
    for part in parts:
        path = os.path.join(path, part)
        try:
            mode = os.lstat(path).st_mode
        except OSError as error:
            raise FileError(f"{where}: external data {_files.show(path)}: {error.strerror}") from None
        if not (stat.S_ISREG(mode) or (part is not parts[-1] and stat.S_ISDIR(mode))):
            raise UnsafeError(f"{where} has external data in a link or a device: {_files.show(path)}")
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise UnsafeError(f"{where} has external data in a folder: {_files.show(path)}")
    return path


def _number(text: str | None, where: str) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise UnsafeError(f"{where} has external data at {_files.printable(repr(text))}, which is no position")
    return int(text)
