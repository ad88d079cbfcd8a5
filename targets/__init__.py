"""The targets: to add one, write its file and name it here.

Other packages add targets through the entry-point group ``edgegate.targets``: its value is a build function.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

BUILT_IN = {"llvm": "edgegate.targets.llvm:llvm"}
"""Name to ``module:function``: imported when asked for, since TVM takes seconds."""


def names() -> list[str]:
    """Every target, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=__name__))})


def target(name: str) -> Callable[..., Any]:
    """The build function ``build(model, scheme, proof, options) -> Artifact`` of a target.

    Raises:
        KeyError: There is no such target.
    """
    if name in BUILT_IN:
        module, _, function = BUILT_IN[name].partition(":")
        return getattr(import_module(module), function)
    for point in entry_points(group=__name__, name=name):
        return point.load()
    raise KeyError(name)
