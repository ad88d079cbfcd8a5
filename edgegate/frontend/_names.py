"""Where a node comes from: the torch module and the user's source line, as metadata of the node."""

from __future__ import annotations

import ast
import re
from pathlib import PurePosixPath

import onnx_ir as ir

from edgegate.frontend import _files
from edgegate.graph import LAYER, SOURCE

_FRAME = re.compile(r'File "([^"\n]+)", line (\d+), in ([^\n]*)(?:\n[ \t]+([^\n]*))?')
_OF_TORCH = re.compile(
    r"(^|/)torch/(nn|_|fx|export|utils|jit|functional|ao|autograd|onnx|library)|^<eval_with_key>|(^|/)brevitas/|edgegate/(frontend/(logic/)?_|nn/)"
)
"""Files of torch and brevitas, our own exporter and layers, and the code that it generates, whose names count up."""
QUANTIZERS = ("weight_quant", "bias_quant", "input_quant", "output_quant", "act_quant", "trunc_quant")
"""What brevitas calls the quantizers of a module."""
_QUANTIZER_CLASSES = ("brevitas.proxy.", "brevitas.core.")
_NO_MODULE = "_empty_nn_module_stack_from_metadata_hook"


def frame(trace: str) -> tuple[str, int, str] | None:
    """The innermost frame of a Python stack trace that is not inside torch: file, line, code.

    The file is its last path component only, so that models do not depend on the machine.
    """
    for path, line, _, code in reversed(_FRAME.findall(trace)):
        path = path.replace("\\", "/")
        if not _OF_TORCH.search(path):
            file = _files.printable(PurePosixPath(path).name).replace('"', "")
            return file, int(line[:9]), _files.printable(code)
    return None


def annotate(model: ir.Model, origin: str) -> None:
    """Give every node :data:`LAYER` and :data:`SOURCE`, and drop all other metadata.

    LAYER is the dotted name of the innermost torch module; for a node of a plain ONNX file, its name.
    SOURCE is ``file.py:12: code``; where no line of the user made the node (a layer inside
    nn.Sequential), the class of its torch module; for a plain ONNX file, ``origin``.
    """
    graphs: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for graph in graphs:
        for node in ir.traversal.RecursiveGraphIterator(graph):
            layer, source = _layer(node), _source(node, origin)
            node.metadata_props.clear()
            node.metadata_props.update({LAYER: layer, SOURCE: source})
            node.doc_string = None


def _layer(node: ir.Node) -> str:
    if LAYER in node.metadata_props:
        return _files.printable(node.metadata_props[LAYER])
    scopes = _strings(node, "pkg.torch.onnx.name_scopes")
    if scopes is None:
        return _files.printable(node.name or (node.outputs[0].name if node.outputs else "") or node.op_type)
    modules = [layer_of(s) for s in scopes[:-1] if s and s != _NO_MODULE]
    return _files.printable(modules[-1]) if modules else ""


def layer_of(scope: str) -> str:
    """The module that a dotted name means: its own, or that of a quantizer of brevitas in it, or of its parts."""
    parts = scope.split(".")
    first = next((n for n, part in enumerate(parts) if part in QUANTIZERS), len(parts))
    return ".".join(parts[:first])


def _source(node: ir.Node, origin: str) -> str:
    if SOURCE in node.metadata_props:
        return _files.printable(node.metadata_props[SOURCE], 200)
    found = frame(node.metadata_props.get("pkg.torch.onnx.stack_trace", ""))
    if found is not None:
        return f"{found[0]}:{found[1]}: {found[2]}"
    classes = _strings(node, "pkg.torch.onnx.class_hierarchy")
    if classes is None:
        return origin
    modules = [c for c in classes[:-1] if c and c != _NO_MODULE and not c.startswith(_QUANTIZER_CLASSES)]
    return _files.printable(modules[-1]) if modules else origin


def _strings(node: ir.Node, key: str) -> list[str] | None:
    """The list of strings that torch's exporter stores as Python text under ``key``."""
    text = node.metadata_props.get(key)
    if text is None or len(text) > 10_000:
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return [str(v) for v in value] if isinstance(value, (list, tuple)) else None
