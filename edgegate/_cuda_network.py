"""A network of integer ops on an NVIDIA GPU: all of its kernels in one CUDA graph, replayed with each call."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edgegate import _json, _npz
from edgegate._cuda_driver import Device, Kernel, Memory, Module, Pointer
from edgegate._cuda_graph import Graph, Stream, struct, tensor_map
from edgegate._cuda_program import PROGRAM, CudaProgram
from edgegate._npz import Array
from edgegate.errors import FileError
from edgegate.manifest import IOSpec

FIELDS = ("kind", "networks")
NETWORK = ("capability", "ptx", "modules", "arena", "launches", "inputs", "outputs")
LAUNCH = ("module", "kernel", "grid", "threads", "shared", "resident", "arguments")
CONSTANTS = "constants.npz"


class Network:
    """The network in device memory, ready to be replayed. Not for two threads at a time.

    Args:
        contents: The artifact's files.
        program: What ``cuda.json`` holds.
        device: The GPU.

    Raises:
        FileError: The artifact holds no program for this GPU, or a damaged one.
        InputError: The driver refuses something: no memory, say.
    """

    def __init__(self, contents: Mapping[str, bytes], program: Mapping[str, Any], device: Device) -> None:
        device.use()
        self.device, self.stream = device, Stream()
        network = _chosen(program["networks"], device)
        self._modules = {name: Module(_file(contents, file)) for name, file in network["modules"].items()}
        self._kernels: dict[tuple[str, str], Kernel] = {}
        pieces = {"arena": Memory(network["arena"]), "constants": Memory.of(_constants(contents))}
        self._pieces = pieces
        self.inputs = [self._address(place) for place in network["inputs"]]
        self.outputs = [self._address(place) for place in network["outputs"]]
        launches = [_record(entry, LAUNCH, "a launch") for entry in network["launches"]]
        self._graph = Graph(self.stream, lambda: self._start(launches))

    def _address(self, place: Sequence[Any]) -> int:
        """Of something in the arena or among the constants."""
        where, offset = place
        if where not in self._pieces or not 0 <= offset <= self._pieces[where].size:
            raise FileError(f"{PROGRAM}: nothing lies at {place}")
        return self._pieces[where].pointer + int(offset)

    def _start(self, launches: Iterable[Mapping[str, Any]]) -> None:
        for n in launches:
            across, *others = n["grid"]
            if n["resident"]:
                across = min(across, self.device.multiprocessors)
            kernel = self._kernel(n["module"], n["kernel"], n["shared"])
            arguments = [self._argument(a) for a in n["arguments"]]
            kernel.launch(
                (across, *others), n["threads"], arguments, shared=n["shared"], stream=self.stream.handle
            )  # fmt: skip

    def _kernel(self, module: str, name: str, shared: int) -> Kernel:
        if (module, name) not in self._kernels:
            self._kernels[module, name] = self._modules[module].kernel(name)
            self._kernels[module, name].allow_shared(shared)
        return self._kernels[module, name]

    def _argument(self, given: Any) -> Any:
        """A number, a pointer, a map or a struct, of ctypes."""
        if isinstance(given, int):
            return ctypes.c_int32(given)
        if given[0] == "map":
            return tensor_map(self._address(given[1]), *given[2:])
        if given[0] == "struct":
            pointers = [0 if place is None else self._address(place) for place in given[1]]
            return struct(pointers, given[2])
        return Pointer(self._address(given))

    def run(self, stream: int | None = None) -> None:
        """Start all of it on what lies at ``inputs``; returns at once.

        Args:
            stream: The driver's handle; None: the network's own.
        """
        self._graph.launch(self.stream.handle if stream is None else stream)


class NetworkProgram:
    """The network with buffers on the host: arrays in, arrays out. Not for two threads at a time.

    Args:
        contents: The artifact's files.
        program: What ``cuda.json`` holds.
        inputs: As the manifest has them.
        outputs: As the manifest has them.
    """

    def __init__(
        self, contents: Mapping[str, bytes], program: Mapping[str, Any], inputs: Sequence[IOSpec],
        outputs: Sequence[IOSpec],
    ) -> None:  # fmt: skip
        program = checked(program)
        ends = {(len(n["inputs"]), len(n["outputs"])) for n in program["networks"]}
        if ends != {(len(inputs), len(outputs))}:
            raise FileError("cuda.json has other inputs and outputs than the manifest")
        self.network = Network(contents, program, Device())
        self.buffers: list[Array] = [np.zeros(s.stored_shape, s.stored_dtype) for s in inputs]
        """What the program reads, in its order: fill these before :meth:`run`."""
        self._results = [np.zeros(s.stored_shape, s.stored_dtype) for s in outputs]

    def run(self) -> list[Array]:
        """Run on what the buffers hold."""
        network = self.network
        network.device.use()
        for buffer, address in zip(self.buffers, network.inputs, strict=True):
            network.stream.write(address, buffer)
        network.run()
        for result, address in zip(self._results, network.outputs, strict=True):
            network.stream.read(address, result)
        network.stream.synchronize()
        return self._results


def program_of(contents: Mapping[str, bytes], inputs: Sequence[IOSpec], outputs: Sequence[IOSpec]) -> Any:
    """The program of an artifact of target ``cuda``, a network of ops or one of logic gates.

    Raises:
        InputError: There is no driver or no GPU.
        FileError: The artifact holds no program, or none for this GPU.
    """
    if PROGRAM in contents:
        try:
            program = _json.parse(contents[PROGRAM])
        except ValueError as e:
            raise FileError(f"{PROGRAM}: {e}") from e
        if isinstance(program, dict) and program.get("kind") == "network":
            return NetworkProgram(contents, program, inputs, outputs)
    return CudaProgram(contents, inputs, outputs)


def checked(program: Mapping[str, Any]) -> dict[str, Any]:
    """What ``cuda.json`` says of a network, in its form for every architecture.

    Raises:
        FileError: Something is missing, or is too much.
    """
    found = _record(program, FIELDS, PROGRAM)
    return {**found, "networks": [_record(n, NETWORK, "a network") for n in found["networks"]]}


def _record(value: Any, fields: Sequence[str], what: str) -> dict[str, Any]:
    try:
        return dict(_json.record(value, fields, what))
    except ValueError as e:
        raise FileError(f"{PROGRAM}: {e}") from e


def _file(contents: Mapping[str, bytes], name: str) -> bytes:
    if name not in contents:
        raise FileError(f"the artifact holds no {name}")
    return contents[name]


def _constants(contents: Mapping[str, bytes]) -> Array:
    found = _npz.unpack(_file(contents, CONSTANTS)).get("constants")
    if found is None or found.dtype != np.uint8:
        raise FileError(f"{CONSTANTS} holds no bytes named constants")
    return found


def _chosen(networks: Sequence[dict[str, Any]], device: Device) -> dict[str, Any]:
    """The one for a GPU: machine code of its generation, from its own minor version on; PTX for what is newer."""
    older = [n for n in networks if n["capability"] <= device.capability]
    same = [n for n in older if not n["ptx"] and n["capability"] // 10 == device.capability // 10]
    fitting = same or [n for n in older if n["ptx"]]
    if not fitting:
        made = ", ".join(sorted({f"sm_{n['capability']}" for n in networks}))
        raise FileError(f"the program is for {made}, not for {device.name} (sm_{device.capability})")
    return max(fitting, key=lambda n: int(n["capability"]))
