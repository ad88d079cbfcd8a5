"""Logic gate networks of other packages, as the modules of :mod:`edgegate.nn` that they are once trained.

Layers are known by the name and the top-level package of their class. The packages are not imported and none of their
code runs: attributes are read, which also hold in versions that do not import here.

Sources: F. Petersen et al., "Deep Differentiable Logic Gate Networks", NeurIPS 2022 (arXiv 2210.08277); L. Ruettgers
et al., "Light Differentiable Logic Gate Networks" (arXiv 2510.03250); A. Bacellar et al., "Differentiable Weightless
Neural Networks", ICML 2024; and what the packages difflogic, torchlogix and torch_dwn do in eval mode.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch

from edgegate.errors import CompileError, Problem
from edgegate.frontend import _torch
from edgegate.frontend.logic import _difflogic, _dwn, _torchlogix
from edgegate.frontend.logic._layer import Reader, Refused, Wiring

__all__ = ["check_wiring", "is_foreign", "plain"]

_FAMILIES = {"difflogic": _difflogic, "torchlogix": _torchlogix, "torch_dwn": _dwn}
_READERS: dict[tuple[str, str], Reader] = {
    (package, name): reader for package, family in _FAMILIES.items() for name, reader in family.READERS.items()
}
_WIRINGS: dict[tuple[str, str], Wiring] = {
    (package, name): wiring for package, family in _FAMILIES.items() for name, wiring in family.WIRINGS.items()
}
_SAVE = (
    "where it was trained, save the module itself with edgegate.save(module, example, path), or register the wiring "
    "as a buffer (layer.register_buffer) before its state_dict is saved"
)


def plain(module: torch.nn.Module) -> torch.nn.Module:
    """``module`` with every logic layer of another package replaced by modules of :mod:`edgegate.nn`.

    Args:
        module: May hold layers of difflogic, torchlogix and torch_dwn anywhere; it stays as it is.

    Returns:
        A copy that computes what ``module`` does in eval mode for inputs of 0 and 1; ``module`` itself if it holds
        no such layer.

    Raises:
        CompileError: A layer lacks what decides its outputs, or does what no gate does; all such layers at once.
    """
    memo: dict[int, Any] = {}
    problems: list[Problem] = []
    for name, part, key in _layers(module):
        try:
            _check_untouched(part, key[0])
            memo[id(part)] = _like(_READERS[key](part), part).to(_device(part) or _device(module) or "cpu").eval()
        except Refused as error:
            problems.append(_problem(name, key, error.what, error.fix))
    if problems:
        raise CompileError.of(problems)
    if not memo:
        return module
    with _torch.translating(type(module).__name__):
        return copy.deepcopy(module, memo)


def is_foreign(module: torch.nn.Module) -> bool:
    """Whether ``module`` holds a logic layer of another package."""
    return any(True for _ in _layers(module))


def check_wiring(module: torch.nn.Module, name: str) -> None:
    """Refuse weights from a state_dict whose wiring stayed behind.

    difflogic, and torchlogix before 0.2, draw wiring at random when a layer is made and keep it out of the state_dict.
    A module made anew computes something else with the same weights.

    Args:
        module: Made by a factory, then given the weights of a file.
        name: The file, for error messages.

    Raises:
        CompileError: Names each layer whose wiring is not part of its state_dict.
    """
    stored = {t.untyped_storage().data_ptr() for t in module.state_dict().values() if isinstance(t, torch.Tensor)}
    problems = []
    for layer, part, key in _layers(module):
        drawn = _WIRINGS[key](part) if key in _WIRINGS else []
        if any(isinstance(t, torch.Tensor) and t.untyped_storage().data_ptr() not in stored for t in drawn):
            what = f"its wiring is drawn at random and not in {name}, as a state_dict of {key[0]} holds weights alone"
            problems.append(_problem(layer, key, what, _SAVE))
    if problems:
        raise CompileError.of(problems)


def _layers(module: torch.nn.Module) -> Iterator[tuple[str, Any, tuple[str, str]]]:
    """Name, layer and kind of what is to be replaced; objects that are no modules are found as attributes of one."""
    seen: set[int] = set()
    for name, part in module.named_modules():
        held = [(f"{name}.{a}".lstrip("."), thing) for a, v in vars(part).items() for thing in _things(a, v)]
        for place, thing in [(name, part), *held]:
            key = _key(thing)
            if key is not None and id(thing) not in seen:
                seen.add(id(thing))
                yield place, thing, key


def _things(name: str, value: object) -> list[Any]:
    """What an attribute holds outside torch's registry: a thermometer, or layers in a list."""
    if name.startswith("_"):
        return []
    if isinstance(value, (list, tuple)):
        return list(value)
    return list(value.values()) if isinstance(value, dict) else [value]


def _key(thing: object) -> tuple[str, str] | None:
    """The package and class that ``thing`` is known by, its own class before its bases."""
    found = ((c.__module__.partition(".")[0], c.__name__) for c in type(thing).__mro__)
    return next((key for key in found if key in _READERS), None)


def _check_untouched(layer: Any, package: str) -> None:
    """The layer does what its package does: no forward of the user's, no hooks."""
    owner = next((c for c in type(layer).__mro__ if {"forward", "binarize"} & set(vars(c))), None)
    if "forward" in vars(layer) or (owner is not None and owner.__module__.partition(".")[0] != package):
        raise Refused("has a forward of its own, which is not read", f"use the layer as {package} has it")
    if getattr(layer, "_forward_hooks", None) or getattr(layer, "_forward_pre_hooks", None):
        raise Refused("has forward hooks, which would be lost", "remove them (the handle's remove()) before compiling")


def _like(made: torch.nn.Module, layer: Any) -> torch.nn.Module:
    """``made`` with the layer's plain attributes: code around it may read in_dim or k."""
    for name, value in vars(layer).items():
        if isinstance(value, (bool, int, float, str)) and not name.startswith("_") and not hasattr(made, name):
            setattr(made, name, value)
    return made


def _device(module: Any) -> torch.device | None:
    """Where the module's first tensor is; None if it has none."""
    tensors = [*module.parameters(), *module.buffers()] if isinstance(module, torch.nn.Module) else []
    return tensors[0].device if tensors else None


def _problem(name: str, key: tuple[str, str], what: str, fix: str) -> Problem:
    where = f"{key[0]} {key[1]}"
    return Problem(where=f"{name} ({where})" if name else where, what=what, fix=fix)
