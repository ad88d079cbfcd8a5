"""A network as files: what to launch, the constants, and machine code for each architecture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate import _json, _npz
from edgegate.graph import Array
from edgegate.targets._nvcc import compiled
from edgegate.targets.cuda_network.launch import Argument, Part
from edgegate.targets.cuda_network.memory import ALIGNED, placed, spans, whole_of
from edgegate.targets.cuda_network.network import Network, network_of

PROGRAM, CONSTANTS, PTX = "cuda.json", "constants.npz", "network.ptx"
ARENA, CONSTANT = "arena", "constants"


def program_of(model: ir.Model, capabilities: Sequence[int]) -> dict[str, bytes]:
    """The files of the program of an integer model.

    Args:
        model: The integer graph.
        capabilities: 10 times the major version of each architecture, plus the minor; the newest also as PTX.

    Raises:
        ToolchainError: nvcc is missing or fails.
    """
    network = network_of(model)
    contents, images = {}, []
    for capability in capabilities:
        name = f"network_sm_{capability}.cubin"
        contents[name] = compiled(network.text, str(capability))
        images.append({"file": name, "capability": capability})
    contents[PTX] = compiled(network.text, str(capabilities[-1]), ptx=True)
    images.append({"file": PTX, "capability": capabilities[-1]})
    described, constants = describe(network)
    contents[CONSTANTS] = _npz.pack({"constants": constants})
    contents[PROGRAM] = _json.canonical({"kind": "network", "images": images, **described})
    return contents


def describe(network: Network) -> tuple[dict[str, Any], Array]:
    """The launches with their places, as plain JSON values; and the constants."""
    outputs = [whole_of(v) for v in network.outputs if not isinstance(v, np.ndarray)]
    offsets, size = placed(spans(network.launches, network.inputs, outputs), network.sizes())
    constants = _Constants()

    def place(argument: Argument) -> list[Any]:
        if isinstance(argument, np.ndarray):
            return [CONSTANT, constants.place(argument)]
        return [ARENA, offsets[whole_of(argument)] + (argument.offset if isinstance(argument, Part) else 0)]

    launches = [
        {
            "kernel": n.kernel, "grid": list(n.grid), "threads": n.threads, "shared": n.shared,
            "arguments": [place(a) for a in n.arguments],
        }
        for n in network.launches
    ]  # fmt: skip
    ends = {"inputs": [place(v) for v in network.inputs], "outputs": [place(v) for v in network.outputs]}
    return {"arena": size, "launches": launches, **ends}, constants.data()


class _Constants:
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
