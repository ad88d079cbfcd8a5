"""Modules with the classes, names and attributes of other packages, filled from what the real ones held.

Their code is not there: every method and property of a class fails, so that a test sees it if one runs.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

FIXTURES = Path(__file__).parent / "fixtures"
LABELS = sorted(path.stem for path in FIXTURES.glob("*.npz"))

ACTIVATIONS = {
    "sigmoid": torch.sigmoid,
    "sigmoid_st": torch.sigmoid,
    "sin_act": lambda x: 0.5 + 0.5 * torch.sin(x),
    "sin_st": lambda x: 0.5 + 0.5 * torch.sin(x),
    "linear_act": lambda x: x.clamp(0, 1),
}
"""The functions that a layer may hold."""


@cache
def cases(label: str) -> dict[str, tuple[Any, bytes]]:
    """By name, what one version of a package computes."""
    with np.load(FIXTURES / f"{label}.npz") as archive:
        found, data = json.loads(archive["cases"].tobytes()), archive["data"].tobytes()
    return {case["name"]: (case, data) for case in found["cases"]}


def case(label: str, name: str) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """A model, inputs, and what the real one made of them."""
    found, data = cases(label)[name]
    return build(found["model"], data), _tensor(found["x"], data), _tensor(found["y"], data)


def build(record: Any, data: bytes) -> Any:
    """The module or object of a record."""
    made = _class(record)()
    for name, value in record["attributes"].items():
        _set(made, name, value, data)
    return made


def stand_in(package: str, name: str, *bases: type, **attributes: Any) -> Any:
    """A layer of a class that ``package`` has, with these attributes: parameters where they are nn.Parameter."""
    layer = type(name, bases or (nn.Module,), {"__module__": package, "forward": _fail})()
    for key, value in attributes.items():
        setattr(layer, key, value)
    return layer


def _class(record: Any) -> Any:
    module, name = record["class"]
    if module.startswith("torch."):
        return {"Sequential": nn.Sequential, "Flatten": nn.Flatten, "ParameterList": nn.ParameterList}[name]
    bases: tuple[type, ...] = (nn.Module,) if record["module"] else (object,)
    for base_module, base in reversed(record["bases"]):
        bases = (type(base, bases, {"__module__": base_module}),)
    members = dict.fromkeys(record["methods"], _fail)
    members |= {key: property(_fail, _fail) for key in record["properties"]}
    return type(name, bases, {"__module__": module, **members})


def _fail(*_: Any, **__: Any) -> Any:
    raise AssertionError("code of the other package ran")


def _set(made: Any, name: str, value: Any, data: bytes) -> None:
    role = value.get("role", value.get("none")) if isinstance(value, dict) else None
    found = _value(value, data)
    if role == "parameter":
        made.register_parameter(name, None if found is None else nn.Parameter(found, requires_grad=False))
    elif role == "buffer":
        made.register_buffer(name, found)
    elif isinstance(found, nn.Module):
        made.add_module(name, found)
    else:
        vars(made)[name] = found


def _value(value: Any, data: bytes) -> Any:
    if not isinstance(value, dict):
        return value
    ((key, inside), *_) = value.items()
    if key == "tensor":
        return _tensor(value, data)
    if key in ("list", "tuple"):
        return {"list": list, "tuple": tuple}[key](_value(v, data) for v in inside)
    if key == "dict":
        return {k: _value(v, data) for k, v in inside.items()}
    if key in ("method", "function"):
        return ACTIVATIONS[inside]
    return None if key == "none" else build(value, data)


def _tensor(value: Any, data: bytes) -> torch.Tensor:
    name, shape, start = value["tensor"]
    count = int(np.prod(shape, dtype=int))
    return torch.from_numpy(np.frombuffer(data, name, count, start).reshape(shape).copy())
