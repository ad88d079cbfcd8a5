"""A network as files: what to launch, the constants, and machine code for each architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate import _json, _npz
from edgegate.graph import Array
from edgegate.targets._nvcc import compiled
from edgegate.targets.cuda_network.launch import Argument, Map, Parameter, Part, Struct
from edgegate.targets.cuda_network.memory import ALIGNED, placed, spans, whole_of
from edgegate.targets.cuda_network.network import Network, network_of

PROGRAM, CONSTANTS = "cuda.json", "constants.npz"
ARENA, CONSTANT = "arena", "constants"
NEWEST = 89
"""The newest architecture whose kernels run, as PTX, on all that come after it."""


def program_of(model: ir.Model, capabilities: Sequence[int]) -> dict[str, bytes]:
    """The files of the program of an integer model.

    Args:
        model: The integer graph.
        capabilities: 10 times the major version of each architecture, plus the minor; beside them there is PTX.

    Raises:
        ToolchainError: nvcc is missing or fails.
    """
    contents: dict[str, bytes] = {}
    constants, described = Constants(), []
    portable = min(max(capabilities), NEWEST)
    for capability, ptx in (*((c, False) for c in capabilities), (portable, True)):
        network = network_of(model, capability)
        modules = {}
        for module, text in network.texts.items():
            name = f"{module}.ptx" if ptx else f"{module}_sm_{capability}.cubin"
            contents[name] = compiled(text, architecture(capability, text), ptx=ptx)
            modules[module] = name
        described.append({"capability": capability, "ptx": ptx, "modules": modules, **describe(network, constants)})
    contents[CONSTANTS] = _npz.pack({"constants": constants.data()})
    contents[PROGRAM] = _json.canonical({"kind": "network", "networks": described})
    return contents


def architecture(capability: int, text: str) -> str:
    """Nvcc's word for it: kernels with instructions of sm_90 alone need those by name."""
    return f"{capability}a" if capability == 90 and "wgmma" in text else str(capability)


def describe(network: Network, constants: Constants) -> dict[str, Any]:
    """The launches with their places, as plain JSON values; constants are put to the others."""
    outputs = [whole_of(v) for v in network.outputs if not isinstance(v, np.ndarray)]
    offsets, size = placed(spans(network.launches, network.inputs, outputs), network.sizes())

    def place(argument: Argument) -> list[Any]:
        if isinstance(argument, np.ndarray):
            return [CONSTANT, constants.place(argument)]
        return [ARENA, offsets[whole_of(argument)] + (argument.offset if isinstance(argument, Part) else 0)]

    launches = [
        {
            "module": n.module, "kernel": n.kernel, "grid": list(n.grid), "threads": n.threads, "shared": n.shared,
            "resident": n.resident, "arguments": [_described(a, place) for a in n.arguments],
        }
        for n in network.launches
    ]  # fmt: skip
    ends = {"inputs": [place(v) for v in network.inputs], "outputs": [place(v) for v in network.outputs]}
    return {"arena": size, "launches": launches, **ends}


def _described(parameter: Parameter, place: Callable[[Argument], list[Any]]) -> Any:
    """A parameter as plain JSON values: a number, a place, or a map or struct with places in it."""
    if isinstance(parameter, int):
        return parameter
    if isinstance(parameter, Map):
        p = parameter
        return ["map", place(p.place), p.rows, p.columns, p.box, p.item, p.width]
    if isinstance(parameter, Struct):
        pointers = [None if p is None else place(p) for p in parameter.pointers]
        return ["struct", pointers, list(parameter.numbers)]
    return place(parameter)


class Constants:
    """Arrays one behind the other, equal ones once."""

    def __init__(self) -> None:
        self._offsets: dict[bytes, int] = {}
        self._parts: list[bytes] = []
        self._size = 0

    def place(self, array: Array) -> int:
        """The offset of an array in bytes."""
        data = np.ascontiguousarray(array).tobytes()
        if data not in self._offsets:
            self._offsets[data] = self._size
            padded = data + bytes(-len(data) % ALIGNED)
            self._parts.append(padded)
            self._size += len(padded)
        return self._offsets[data]

    def data(self) -> Array:
        """All of them, uint8."""
        return np.frombuffer(b"".join(self._parts), np.uint8)
