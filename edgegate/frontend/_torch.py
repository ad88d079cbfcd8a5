"""torch modules and exported programs to ONNX, by torch's dynamo exporter."""

from __future__ import annotations

import importlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from onnx_ir.passes import common

from edgegate.errors import CompileError, FileError, Problem, ToolchainError
from edgegate.frontend import _attention, _files, _grouped, _logic, _names, _recurrent
from edgegate.frontend._operators import OPSET
from edgegate.frontend._quiet import quiet

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

OLDEST = (2, 10)
"""Below torch 2.10 even weights_only=True can corrupt the heap (CVE-2026-24747)."""

_REWRITE = "rewrite this line with operators that ONNX has"


def require() -> None:
    """Check that a safe torch is installed; ToolchainError names the package otherwise."""
    try:
        import torch
    except ImportError as error:
        fix = "pip install 'edgegate-compiler[compile]'"
        raise ToolchainError(f"reading this model needs torch ({error}); {fix}") from None
    if tuple(int(n) for n in re.findall(r"\d+", torch.__version__)[:2]) < OLDEST:
        raise ToolchainError(f"torch {torch.__version__} reads files unsafely; install torch>=2.10")


def tensors(example: object) -> tuple[torch.Tensor, ...]:
    """The example as a tuple of tensors; a single tensor or array stands for a tuple of one.

    Each is a copy: inputs that share memory would be one input to torch.export, and every use of it that of the first.
    """
    import numpy as np
    import torch

    items = example if isinstance(example, (tuple, list)) else (example,)
    for item in items:
        if not isinstance(item, (torch.Tensor, np.ndarray)):
            raise ValueError(f"the example must be tensors or arrays, got {type(item).__name__}")
    return tuple(torch.as_tensor(i).clone() for i in items)


def program(module: torch.nn.Module, example: Sequence[torch.Tensor], batch: bool = False) -> ExportedProgram:
    """``module`` in eval mode, exported for ``example``; its training mode is as before afterwards.

    Args:
        module: The network.
        example: Its inputs.
        batch: Leave the first dimension of every input open; they must agree in it.

    Raises:
        CompileError: torch cannot export it.
    """
    import torch

    shapes = None
    if batch:
        dim = torch.export.Dim("batch")
        example = [t if t.shape[0] != 1 else torch.cat([t, t]) for t in example]  # torch specialises size 1
        shapes = tuple({0: dim} for _ in example)
    fix = "if the batch is the problem, save with dynamic_batch=False" if batch else _REWRITE
    with _evaluating(module), translating(type(module).__name__, fix=fix), quiet():
        return torch.export.export(module, tuple(example), dynamic_shapes=shapes)


def to_onnx(exported: ExportedProgram) -> ir.Model:
    """``exported`` as an ONNX model at opset 21, not optimised, weights as numpy arrays.

    Raises:
        CompileError: An operator without a form in ONNX.
    """
    import numpy as np
    import torch

    _check_outputs(exported)
    with translating("the model", exported), quiet():
        result: Any = torch.onnx.export(
            exported,
            dynamo=True,
            opset_version=OPSET,
            optimize=False,
            verbose=False,
            custom_translation_table={
                **_logic.translations(),
                **_recurrent.translations(),
                **_attention.translations(),
                **_grouped.translations(),
            },
        )
        assert result is not None, "the dynamo exporter returns a program"
        model: ir.Model = result.model
        common.InlinePass()(model)
        for value in model.graph.initializers.values():
            weight = value.const_value
            assert weight is not None, "an initializer has a value"
            data = np.array(weight.numpy(), order="C")
            value.const_value = ir.Tensor(data, dtype=weight.dtype, name=value.name)
    return model


def _check_outputs(exported: ExportedProgram) -> None:
    """Every output is a tensor or None, which is left out; CompileError for a number."""
    problems = []
    for index, spec in enumerate(exported.graph_signature.output_specs):
        value = getattr(spec.arg, "value", None)
        if value is not None:
            what = f"is {_files.printable(repr(value), 40)}, no tensor"
            problems.append(Problem(where=f"output {index} of the model", what=what, fix="return tensors alone"))
    if problems:
        raise CompileError.of(problems)


def with_weights(factory: str, weights: Mapping[str, torch.Tensor], name: str) -> torch.nn.Module:
    """The module that ``factory`` makes, with ``weights`` in it.

    Args:
        factory: ``package.module:function`` that takes nothing and returns the module.
        weights: Its complete state_dict.
        name: The weights' file, for error messages.

    Raises:
        ValueError: The factory cannot be imported, called, or returns no module.
        CompileError: Names or shapes of the weights are not the module's.
    """
    import torch

    try:
        module = _find(factory)()
    except Exception as error:  # the user's own code
        what = f"{type(error).__name__}: {_files.printable(error)}"
        raise ValueError(f"--model {factory} failed ({what}), expected package.module:factory") from error
    if not isinstance(module, torch.nn.Module):
        raise ValueError(f"--model {factory} returned {type(module).__name__}, not a torch.nn.Module")
    own = module.state_dict()
    differences = [
        *(f"missing {k}" for k in own if k not in weights),
        *(f"unexpected {k}" for k in weights if k not in own),
        *(
            f"{k} is {list(weights[k].shape)}, not {list(own[k].shape)}"
            for k in own
            if k in weights and own[k].shape != weights[k].shape
        ),
    ]
    if differences:
        more = f" and {len(differences) - 4} more" if len(differences) > 4 else ""
        what = f"weights do not fit {factory}: {', '.join(differences[:4])}{more}"
        raise CompileError(name, _files.printable(what, 400), "give the factory that these weights were saved from")
    module.load_state_dict(dict(weights))
    return module


def write(exported: ExportedProgram, path: str | os.PathLike[str]) -> None:
    """Save ``exported`` as a torch.export archive that appears by one rename, or not at all.

    Raises:
        FileError: The folder cannot be written.
    """
    import torch

    buffer = BytesIO()
    with quiet():
        torch.export.save(exported, buffer)
    target = os.fspath(path)
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(target) or ".", suffix=".tmp")
        with open(descriptor, "wb") as file:
            file.write(buffer.getvalue())
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise FileError(f"{_files.show(target)}: {error.strerror or error}") from None


def _find(factory: str) -> Callable[[], Any]:
    module, separator, function = factory.partition(":")
    if not separator or not module or not function:
        raise ImportError("no colon between module and function")
    found: Any = importlib.import_module(module)
    for part in function.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{function} is not callable")
    return found  # type: ignore[no-any-return]


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, mode in modes:
            m.training = mode


@contextmanager
def translating(name: str, exported: ExportedProgram | None = None, fix: str = _REWRITE) -> Iterator[None]:
    """Torch's many export errors as one CompileError: the first cause, and every line that has it."""
    try:
        yield
    except Exception as error:
        chain: list[BaseException] = [error]
        while (cause := chain[-1].__cause__) is not None:
            chain.append(cause)
        found = next((f for e in chain if (f := _names.frame(str(e)))), None)
        lines = [_line(found)] if found else _lines_of(exported, "\n".join(map(str, chain)))
        what = f"torch cannot export it: {_files.printable(chain[-1], 200)}"
        places = [f"{name} ({line})" for line in lines] or [name]
        raise CompileError.of([Problem(where=p, what=what, fix=fix) for p in places]) from error


def _lines_of(exported: ExportedProgram | None, message: str) -> list[str]:
    """The user's lines with the operator that ``message`` names, by its name without underscores."""
    named = re.search(r"torch\.ops\.\w+\.(\w+)", message)
    if exported is None or named is None:
        return []
    found = []
    for node in exported.graph.nodes:
        operator = str(node.target).split(".")[1:2]
        frame = _names.frame(node.meta.get("stack_trace") or "")
        if frame and operator and operator[0].strip("_") == named[1].strip("_"):
            found.append(_line(frame))
    return list(dict.fromkeys(found))


def _line(frame: tuple[str, int, str]) -> str:
    return f"{frame[0]}:{frame[1]}: {frame[2]}"
