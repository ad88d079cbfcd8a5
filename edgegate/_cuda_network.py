"""A network of integer ops on an NVIDIA GPU: all of its kernels in one CUDA graph, replayed with each call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edgegate import _json, _npz
from edgegate._cuda_driver import Device, Graph, Kernel, Memory, Module, Pointer, Stream
from edgegate._cuda_program import PROGRAM, CudaProgram
from edgegate._npz import Array
from edgegate.errors import FileError
from edgegate.manifest import IOSpec

FIELDS = ("kind", "images", "arena", "launches", "inputs", "outputs")
LAUNCH = ("kernel", "grid", "threads", "shared", "arguments")
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
        self._module = Module(contents[_image(program["images"], device)])
        self._arena = Memory(program["arena"])
        self._constants = Memory.of(_constants(contents))
        self._places = {"arena": self._arena, "constants": self._constants}
        self.inputs = [self._address(place) for place in program["inputs"]]
        self.outputs = [self._address(place) for place in program["outputs"]]
        self._kernels: dict[str, Kernel] = {}
        launches = [_launch(entry) for entry in program["launches"]]
        self._graph = Graph(self.stream, lambda: self._start(launches))

    def _address(self, place: Sequence[Any]) -> int:
        """Of something in the arena or among the constants."""
        where, offset = place
        if where not in self._places or not 0 <= offset <= self._places[where].size:
            raise FileError(f"cuda.json: nothing lies at {place}")
        return self._places[where].pointer + int(offset)

    def _start(self, launches: Iterable[Mapping[str, Any]]) -> None:
        for n in launches:
            arguments = [Pointer(self._address(place)) for place in n["arguments"]]
            kernel = self._kernel(n["kernel"], n["shared"])
            kernel.launch(
                tuple(n["grid"]), n["threads"], arguments, shared=n["shared"], stream=self.stream.handle
            )  # fmt: skip

    def _kernel(self, name: str, shared: int) -> Kernel:
        if name not in self._kernels:
            self._kernels[name] = self._module.kernel(name)
        if shared:
            self._kernels[name].allow_shared(shared)
        return self._kernels[name]

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
        if (len(program["inputs"]), len(program["outputs"])) != (len(inputs), len(outputs)):
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
    """What ``cuda.json`` says of a network.

    Raises:
        FileError: Something is missing, or is too much.
    """
    try:
        return dict(_json.record(program, FIELDS, "cuda.json"))
    except ValueError as e:
        raise FileError(f"cuda.json: {e}") from e


def _constants(contents: Mapping[str, bytes]) -> Array:
    if CONSTANTS not in contents:
        raise FileError(f"the artifact holds no {CONSTANTS}")
    found = _npz.unpack(contents[CONSTANTS]).get("constants")
    if found is None or found.dtype != np.uint8:
        raise FileError(f"{CONSTANTS} holds no bytes named constants")
    return found


def _launch(launch: Any) -> dict[str, Any]:
    try:
        return dict(_json.record(launch, LAUNCH, "a launch"))
    except ValueError as e:
        raise FileError(f"cuda.json: {e}") from e


def _image(images: Sequence[Mapping[str, Any]], device: Device) -> str:
    """The file for a GPU: machine code of its generation, from its own minor version on; PTX for what is newer."""
    own = [i for i in images if i["capability"] <= device.capability and not i["file"].endswith(".ptx")]
    same = [i for i in own if i["capability"] // 10 == device.capability // 10]
    fitting = same or [i for i in images if i["file"].endswith(".ptx") and i["capability"] <= device.capability]
    if not fitting:
        made = ", ".join(sorted({f"sm_{i['capability']}" for i in images}))
        raise FileError(f"the program is for {made}, not for {device.name} (sm_{device.capability})")
    return str(max(fitting, key=lambda i: i["capability"])["file"])
