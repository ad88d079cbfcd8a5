"""EdgeGate compiles gated neural networks to integer-only programs.

    artifact = edgegate.compile("model.pt2", target="llvm")
    artifact.save("model.egate")
    y = edgegate.load("model.egate")(x)

Names are imported when they are first used, so that this import costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgegate.api import compile, load, quantize, save
    from edgegate.artifact import Artifact
    from edgegate.errors import (
        CompileError,
        EdgeGateError,
        FileError,
        InputError,
        MismatchError,
        Problem,
        ToolchainError,
        UnsafeError,
    )
    from edgegate.options import CompileOptions
    from edgegate.runtime import Session

    __version__: str

__all__ = [
    "Artifact",
    "CompileError",
    "CompileOptions",
    "EdgeGateError",
    "FileError",
    "InputError",
    "MismatchError",
    "Problem",
    "Session",
    "ToolchainError",
    "UnsafeError",
    "compile",
    "load",
    "quantize",
    "save",
]

_HOMES = {"Artifact": "artifact", "CompileOptions": "options", "Session": "runtime"}
_HOMES |= dict.fromkeys(("compile", "load", "quantize", "save"), "api")
_HOMES |= {name: "errors" for name in __all__ if name not in _HOMES}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("edgegate-compiler")
        except PackageNotFoundError:  # run from a source tree that is not installed
            return "0+source"
    if name not in _HOMES:
        raise AttributeError(f"module 'edgegate' has no attribute {name!r}")
    value = getattr(import_module(f"edgegate.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
