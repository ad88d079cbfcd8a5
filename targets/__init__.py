"""The targets: to add one, write its file and name it here.

A target is a function of the options that gives a build function: what is wrong with the options, or missing on this
machine, is told before anything slow starts. Other packages add theirs through the entry-point group
``edgegate.targets``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgegate.artifact import Artifact
    from edgegate.options import CompileOptions
    from edgegate.stages import Proof

    Build = Callable[[ir.Model, Proof], Artifact]
    """From the integer graph, and what was proved of it, to the artifact."""
    Target = Callable[[CompileOptions], Build]

BUILT_IN = {
    "c": "edgegate.targets.c:c",
    "cuda": "edgegate.targets.cuda:cuda",
    "llvm": "edgegate.targets.llvm:llvm",
    "verilog": "edgegate.targets.verilog:verilog",
}
"""Name to ``module:function``: imported when asked for, since TVM takes seconds."""

SEQUENCES = frozenset({"llvm"})
"""The targets that make a program of whole sequences, where it is asked for."""


def names() -> list[str]:
    """Every target, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=__name__))})


def target(name: str) -> Target:
    """A target by its name.

    Raises:
        KeyError: There is no such target.
    """
    if name in BUILT_IN:
        module, _, function = BUILT_IN[name].partition(":")
        found: Target = getattr(import_module(module), function)
        return found
    for point in entry_points(group=__name__, name=name):
        loaded: Target = point.load()
        return loaded
    raise KeyError(name)
