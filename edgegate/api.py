"""What ``import edgegate`` offers beyond its classes: one function per thing to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgegate.artifact import Artifact, load
from edgegate.errors import ToolchainError
from edgegate.options import CompileOptions

if TYPE_CHECKING:
    from edgegate.quant.scheme import Scheme

__all__ = ["compile", "load", "quantize", "save"]

EXTRA = frozenset({"brevitas", "matplotlib", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "safetensors", "torch"})
"""What the extra ``compile`` installs and the base installation lacks."""


def compile(source: Any, example: Any = None, **options: Any) -> Artifact:
    """Compile a model to an artifact that computes with integers only.

    Args:
        source: A torch module, an exported program, or the path of a .pt2, .pt, .safetensors or .onnx file.
        example: A tuple of input tensors or arrays; a module needs it.
        options: Fields of :class:`edgegate.options.CompileOptions`.

    Raises:
        ValueError: A wrong argument.
        CompileError: The model cannot be compiled, with every reason.
        FileError: The file is missing or damaged.
        UnsafeError: The file was refused because opening it could do harm.
        ToolchainError: The extra ``compile`` or a compiler is not installed.
    """
    with extra_needed():
        from edgegate.compiler import compile_model

        return compile_model(source, example, CompileOptions(**options))


def quantize(source: Any, example: Any = None, **options: Any) -> tuple[bytes, Scheme, dict[str, Any]]:
    """Quantize a model: its integer graph as ONNX bytes, the scheme that it follows, and a report.

    Arguments and errors are those of :func:`compile`.
    """
    with extra_needed():
        from edgegate.compiler import quantize_model

        return quantize_model(source, example, CompileOptions(**options))


def save(module: Any, example: Any, path: Any, **options: Any) -> None:
    """Save a torch module as a .pt2 file for ``edgegate compile``, as :func:`edgegate.frontend.save`."""
    with extra_needed():
        from edgegate import frontend

        frontend.save(module, example, path, **options)


@contextmanager
def extra_needed() -> Iterator[None]:
    """Turn the ImportError of a package that the extra ``compile`` brings into a ToolchainError."""
    try:
        yield
    except ModuleNotFoundError as e:
        package = (e.name or "").partition(".")[0]
        if package not in EXTRA:
            raise
        raise ToolchainError(f'{package} is not installed: pip install "edgegate-compiler[compile]"') from e
