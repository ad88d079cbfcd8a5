"""The stage of float graphs: after the frontend, and after every pass of ``passes.FLOAT``."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgegate.errors import CompileError, Problem
from edgegate.graph import DOMAIN, where
from edgegate.stages import loops
from edgegate.stages._sound import names, order, values


def floating(model: ir.Model) -> None:
    """Accept a sound float graph.

    Nodes stand in topological order and read only graph inputs, initializers with data, and outputs of
    earlier nodes; no two values share a name; every value has a dtype and a static shape; every domain
    has an opset import, and every node of a domain of ours a function that says what it means, but for the marks of
    loops, which are whole.

    Raises:
        CompileError: With every violation, not just the first.
    """
    problems = [*_imports(model), *order(model), *names(model), *_types(model), *_functions(model), *loops.sound(model)]
    if problems:
        raise CompileError.of(problems)


def _imports(model: ir.Model) -> Iterator[Problem]:
    for domain in sorted({node.domain for node in model.graph} - set(model.opset_imports)):
        yield Problem(where=domain, what="has no opset import", fix="import the domain")


def _types(model: ir.Model) -> Iterator[Problem]:
    for value in values(model):
        if isinstance(value.type, (ir.SequenceType, ir.OptionalType)):
            continue  # no tensor, so no shape; whoever cannot compile it says so
        if value.dtype is None:
            yield Problem(where=f"value {value.name}", what="has no dtype", fix="run shape inference")
        if value.shape is None or not all(isinstance(d, int) for d in value.shape):
            what = f"has no static shape: {value.shape}"
            yield Problem(where=f"value {value.name}", what=what, fix="bind every dimension to a number")


def _functions(model: ir.Model) -> Iterator[Problem]:
    for node in model.graph:
        ours = node.domain.split(".")[0] == DOMAIN and not loops.is_mark(node)
        if ours and node.op_identifier() not in model.functions:
            what = f"{node.domain}::{node.op_type} has no function in the model"
            yield Problem(where=where(node), what=what, fix="declare its float meaning")
