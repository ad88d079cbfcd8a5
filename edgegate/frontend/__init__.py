"""From the user's model to the float ONNX graph that the passes work on.

:func:`load` takes a torch module, an exported program or a file; a file is hostile until its checks
passed. Nothing in a model file is ever executed or unpickled.

Exceptions by meaning: a file that would run code, reach for other files or take memory that its
bytes do not back is an :class:`~edgegate.errors.UnsafeError`; a missing, truncated or damaged one a
:class:`~edgegate.errors.FileError`; a sound model that cannot be compiled a
:class:`~edgegate.errors.CompileError`; a wrong argument a ValueError.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from edgegate.errors import CompileError, FileError, UnsafeError
from edgegate.frontend import _archive, _files

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch
    from torch.export import ExportedProgram

    Source: TypeAlias = str | os.PathLike[str] | torch.nn.Module | ExportedProgram

__all__ = ["load", "save"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for beside the model, as for :func:`load`."""

    batch: int
    states: Sequence[str]


def load(
    source: Source, *, example: Any = None, model: str | None = None, batch: int = 1,
    states: Sequence[str] = (),
) -> ir.Model:  # fmt: skip
    """The float ONNX model of ``source``: opset 21, static shapes, every node with its source line.

    Every value has a static shape. Every node carries the metadata ``graph.LAYER`` (dotted name of
    its torch module) and ``graph.SOURCE`` (the user's line) and no other; the same model gives the
    same bytes in every process.

    Args:
        source: A torch module, an exported program, or the path of a file: a torch.export archive,
            a state_dict (torch.save or safetensors; needs ``model``), ONNX, or a circuit in AIGER or BLIF.
            The kind is found in the file's content, its ending does not matter.
        example: A tuple of tensors or arrays, the inputs. Needed for a module and for a state_dict;
            otherwise it decides the symbolic dimensions.
        model: ``package.module:factory`` that makes the module of a state_dict.
        batch: Size of a symbolic first dimension where there is no example.
        states: "INPUT=OUTPUT" of a step, by name or place: the graph's metadata will name them, as
            :func:`edgegate.graph.states` reads.

    Raises:
        ValueError: A wrong argument.
        FileError: A missing, truncated or damaged file.
        UnsafeError: A file refused because opening it could run code or exhaust this machine.
        CompileError: A model that cannot be compiled, with the lines that stop it.
        ToolchainError: torch is missing or too old.
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    wanted = Wanted(batch=batch, states=states)
    if not isinstance(source, (str, os.PathLike)):
        return _from_torch(source, example, wanted)
    path = os.fspath(source)
    name, data = _files.show(path), _files.read(path)
    kind = _files.kind(data, path)
    if kind is _files.Kind.ONNX:
        from edgegate.frontend import _onnx

        made = _onnx.load(data, path)
        del data  # of the size of the model, which keeps nothing of it
        return _finish(made, name, _shapes(example), wanted)
    if kind in (_files.Kind.AIGER, _files.Kind.BLIF):
        return _finish(_from_circuit(data, kind, name, batch), name, None, wanted)
    return _from_torch(_torch_source(data, kind, name, model, example), example, wanted)


def save(module: torch.nn.Module, example: Any, path: str | os.PathLike[str], *, dynamic_batch: bool = True) -> None:
    """Save ``module`` as a torch.export archive that :func:`load` and ``edgegate compile`` read.

    The file appears by one rename, or not at all.

    Args:
        module: The trained network; it is exported in eval mode and left in its own mode.
        example: A tuple of input tensors or arrays.
        path: The file, ``.pt2`` by custom.
        dynamic_batch: Leave the first dimension of all inputs open.

    Raises:
        ValueError: The example is no tuple of tensors.
        CompileError: torch cannot export the module, it fixes the batch, brevitas quantizes in it, or it holds a
            logic layer that lacks something.
        FileError: The file cannot be written.
    """
    from edgegate.frontend import _brevitas, _torch

    _torch.require()
    if _brevitas.is_quantized(module):
        fix = "compile the module itself, edgegate.compile(module, example), or export it as ONNX with export_onnx_qcdq"
        what = "holds brevitas quantizers, whose scales a torch.export archive does not keep"
        raise CompileError(type(module).__name__, what, fix)
    from edgegate.frontend import logic

    _torch.write(_torch.program(logic.plain(module), _torch.tensors(example), dynamic_batch), path)


def _from_circuit(data: bytes, kind: _files.Kind, name: str, batch: int) -> ir.Model:
    """The model of a circuit in an AIGER or BLIF file."""
    from edgegate.frontend import _circuit
    from edgegate.logic import aiger, blif

    try:
        return _circuit.to_model((aiger if kind is _files.Kind.AIGER else blif).read(data), batch)
    except (FileError, UnsafeError) as error:
        raise type(error)(f"{name}: {error}") from error


def _torch_source(data: bytes, kind: _files.Kind, name: str, model: str | None, example: Any) -> Any:
    """The exported program in ``data``, or the module of ``model`` with the weights in ``data``."""
    from edgegate.frontend import _export_archive, _state_dict, _torch

    _torch.require()
    if kind is _files.Kind.ZIP:
        entries = _archive.read(data, name)
        if _export_archive.is_one(entries):
            return _export_archive.load(entries, name)
        weights = _state_dict.load_zip(entries, name)
    else:
        weights = _state_dict.load_safetensors(data, name)
    if model is None:
        raise ValueError(f"{name} holds weights only: give --model package.module:factory")
    if example is None:
        raise ValueError(f"{name} holds weights only: give an example input (--shape or --calib on the command line)")
    from edgegate.frontend import logic

    module = _torch.with_weights(model, weights, name)
    logic.check_wiring(module, name)
    return module


def _from_torch(source: Any, example: Any, wanted: Wanted) -> ir.Model:
    from edgegate.frontend import _torch

    _torch.require()
    import torch

    from edgegate.frontend import logic
    from edgegate.graph import DOMAIN
    from edgegate.passes import _functions

    if isinstance(source, torch.nn.Module):
        if example is None:
            raise ValueError("a torch module needs an example: a tuple of input tensors")
        source = _torch.program(_quantizers_in_onnx(logic.plain(source), example), _torch.tensors(example))
    if not isinstance(source, torch.export.ExportedProgram):
        raise ValueError(f"a model is a path, a torch module or an exported program, not {type(source).__name__}")
    made = _torch.to_onnx(source)
    if any(node.op_type == "InBlocks" for node in made.graph):
        _functions.declare(made, DOMAIN, "InBlocks")
    return _finish(made, "torch", _shapes(example), wanted)


def _quantizers_in_onnx(module: torch.nn.Module, example: Any) -> torch.nn.Module:
    """``module``, or where brevitas quantizes in it, a copy with ONNX's quantizers."""
    from edgegate.frontend import _brevitas, _torch

    return _brevitas.plain(module, _torch.tensors(example)) if _brevitas.is_quantized(module) else module


def _shapes(example: Any) -> list[tuple[int, ...]] | None:
    if example is None:
        return None
    items = example if isinstance(example, (tuple, list)) else (example,)
    return [tuple(int(d) for d in i.shape) for i in items]


def _finish(model: ir.Model, origin: str, example: list[tuple[int, ...]] | None, wanted: Wanted) -> ir.Model:
    """Annotate, make static, check, and drop whatever could differ between machines."""
    import onnx_ir as ir
    from onnx_ir.passes import common

    from edgegate.frontend import _edges, _logic, _names, _states, _static

    _logic.declare(model)
    _names.annotate(model, origin)
    _static.check_finite(model)  # while weights have the user's names ...
    _edges.check_inputs(model)
    _static.make_static(model, wanted.batch, example)
    _logic.check(model)
    _edges.check_values(model)
    states = _states.name(model, wanted.states)
    _edges.check_outputs(model)
    _static.check_finite(model)  # ... and what folding made of them
    common.RemoveUnusedOpsetsPass()(model)
    model.producer_name = model.producer_version = model.doc_string = model.graph.doc_string = None
    model.domain = model.model_version = None
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.graph.metadata_props.update(states)
    values = [*model.graph.inputs, *model.graph.initializers.values()]
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        values.extend(node.outputs)
    for value in values:
        value.metadata_props.clear()
        value.doc_string = None
    return model
