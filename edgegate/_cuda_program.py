"""An artifact of target ``cuda`` as a program: needs NVIDIA's driver and numpy, nothing else."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgegate import _json, _npz
from edgegate._cuda_driver import Device, Memory, Module, Pointer
from edgegate._npz import Array
from edgegate.errors import FileError
from edgegate.manifest import IOSpec

PROGRAM = "cuda.json"
IMAGE = ("file", "capability", "plan", "threads", "blocks", "samples", "shared", "scratch")
FIELDS = ("images", "inputs", "outputs", "shown", "sums")
PACKED = 256
"""Samples that a block of the packing kernels takes."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """A compiled kernel: the file, what it was made for, how it is launched."""

    file: str
    capability: int
    plan: str
    threads: int
    blocks: int
    samples: int
    shared: int
    scratch: int

    @property
    def portable(self) -> bool:
        """Whether the driver compiles it for the device."""
        return self.file.endswith(".ptx")

    def runs_on(self, capability: int, shared: int) -> bool:
        """Machine code runs on its own generation, from its own minor version on; PTX on all that is newer."""
        fits = self.shared <= shared and self.capability <= capability
        return fits and (self.portable or self.capability // 10 == capability // 10)


class LogicKernel:
    """A logic gate network on a GPU; what it reads and writes lies in device memory.

    Args:
        contents: The artifact's files.
        device: The GPU.

    Raises:
        FileError: The artifact holds no program for this GPU.
        InputError: The driver refuses something: no memory, say.
    """

    def __init__(self, contents: Mapping[str, bytes], device: Device) -> None:
        program = _program(contents)
        images = [Image(**_json.record(image, IMAGE, "an image")) for image in program["images"]]
        fitting = [image for image in images if image.runs_on(device.capability, device.shared)]
        if not fitting:
            made = ", ".join(sorted({f"sm_{image.capability}" for image in images}))
            raise FileError(f"the program is for {made}, not for {device.name} (sm_{device.capability})")
        device.use()
        self.inputs, self.sums, self.shown = program["inputs"], program["sums"], program["shown"]
        self.outputs = program["outputs"]
        self.device, self.image = device, max(fitting, key=lambda image: (not image.portable, image.capability))
        module = Module(contents[self.image.file])
        self._kernel, self._bytes, self._bits = map(module.kernel, ("logic_net", "pack_bytes", "pack_bits"))
        self._kernel.allow_shared(self.image.shared)
        arrays = _npz.unpack(contents[self.image.plan])
        self._given = len(arrays["given"])
        self._arrays = {name: Memory.of(data) for name, data in arrays.items()}
        self._grid = device.multiprocessors * self.image.blocks
        self._scratch = Memory(self.image.scratch * self._grid)

    def run(
        self, packed: int, pitch: int, samples: int, *, counts: int = 0, classes: int = 0, bits: int = 0,
        stream: int | None = None,
    ) -> None:  # fmt: skip
        """Start the network; returns at once.

        Args:
            packed: Address of uint32 [inputs, pitch]: bit ``s % 32`` of word ``s // 32`` is of sample ``s``.
            pitch: Words of a row, at least ``samples / 32``; fastest if a multiple of 8.
            samples: Any number.
            counts: Address for int32 [samples, sums]; 0: not wanted.
            classes: Address for int64 [samples], the place of the greatest sum; 0: not wanted.
            bits: Address for uint8 [samples, shown]; needed where the network gives bits.
            stream: The driver's handle; None: the default stream.
        """
        if samples:
            a, grid = self._arrays, min(self._grid, -(-samples // self.image.samples))
            addresses = [packed, a["entries"].pointer, a["heads"].pointer, a["given"].pointer]
            first, *rest = map(Pointer, addresses)
            arguments = [
                first, ctypes.c_longlong(pitch), *rest, ctypes.c_int(self._given),
                *map(Pointer, (a["offset"].pointer, a["shown"].pointer, counts, classes, bits, self._scratch.pointer)),
                ctypes.c_longlong(samples),
            ]  # fmt: skip
            self._kernel.launch(grid, self.image.threads, arguments, shared=self.image.shared, stream=stream)

    def pack(self, rows: int, packed: int, pitch: int, samples: int, *, bits: bool = False) -> None:
        """Bring rows of samples into the form that :meth:`run` takes.

        Args:
            rows: Address of uint8 [samples, inputs], whatever is not 0 is true; or if ``bits`` of uint8
                [samples, ceil(inputs / 8)], eight bits a byte, the first the lowest.
            packed: Address for uint32 [inputs, pitch].
            pitch: Words of a row of ``packed``.
            samples: Any number.
            bits: Which of the two forms the rows have.
        """
        if samples:
            sizes = ctypes.c_longlong(samples), ctypes.c_int(self.inputs)
            arguments = [Pointer(rows), *sizes, Pointer(packed), ctypes.c_longlong(pitch)]
            (self._bits if bits else self._bytes).launch(-(-samples // PACKED), PACKED, arguments)


def pitch_of(samples: int) -> int:
    """Words of a row of packed samples."""
    return -(-samples // 256) * 8


class CudaProgram:
    """The artifact with its input buffers: rows in, rows out. Not for two threads at a time.

    Args:
        contents: The artifact's files.
        inputs: As the manifest has them.
        outputs: As the manifest has them.

    Raises:
        InputError: There is no driver or no GPU.
        FileError: The artifact holds no program for the GPU.
    """

    def __init__(self, contents: Mapping[str, bytes], inputs: Sequence[IOSpec], outputs: Sequence[IOSpec]) -> None:
        _program(contents)  # before the driver: a wrong artifact is told of on any machine
        self._device = Device()
        self._network = LogicKernel(contents, self._device)
        self.buffers: list[Array] = [np.zeros(s.stored_shape, s.stored_dtype) for s in inputs]
        """What the program reads, in its order: fill these before :meth:`run`."""
        self._outputs = outputs
        network = self._network
        self._samples = n = max(sum(b.size for b in self.buffers) // max(network.inputs, 1), 1)
        self._pitch = pitch_of(n)
        self._rows, self._packed = Memory(n * network.inputs), Memory(4 * network.inputs * self._pitch)
        self._counts, self._classes = Memory(4 * n * network.sums), Memory(8 * n)
        self._shown = Memory(n * network.shown)

    def run(self) -> list[Array]:
        """Run on what the buffers hold."""
        self._device.use()
        n, network = self._samples, self._network
        rows = np.concatenate([b.reshape(n, -1) != 0 for b in self.buffers], axis=1)
        self._rows.write(rows.view(np.uint8))
        network.pack(self._rows.pointer, self._packed.pointer, self._pitch, n)
        classes = self._classes.pointer if network.sums else 0
        network.run(
            self._packed.pointer, self._pitch, n,
            counts=self._counts.pointer, classes=classes, bits=self._shown.pointer,
        )  # fmt: skip
        counts = self._counts.read(np.empty((n, network.sums), np.int32))
        bits = self._shown.read(np.empty((n, network.shown), np.uint8))
        found = {"counts": counts, "bits": bits}
        return [self._output(spec, out, found) for spec, out in zip(self._outputs, network.outputs, strict=True)]

    def _output(self, spec: IOSpec, out: Mapping[str, Any], found: Mapping[str, Array]) -> Array:
        """One output of the model from what the kernel made."""
        start, stop = out["start"], out["start"] + out["size"]
        if out["kind"] != "class":
            return found[out["kind"]][:, start:stop].astype(spec.stored_dtype).reshape(spec.stored_shape)
        if out["size"] == self._network.sums:
            classes = self._classes.read(np.empty(self._samples, np.int64))
        else:
            classes = found["counts"][:, start:stop].argmax(1)
        return classes.astype(spec.stored_dtype).reshape(spec.stored_shape)


def _program(contents: Mapping[str, bytes]) -> dict[str, Any]:
    """What the artifact says of its program.

    Raises:
        FileError: It holds none.
    """
    if PROGRAM not in contents:
        raise FileError(f"the artifact holds no {PROGRAM}: no program for a GPU")
    try:
        return dict(_json.record(_json.parse(contents[PROGRAM]), FIELDS, PROGRAM))
    except ValueError as e:
        raise FileError(f"{PROGRAM}: {e}") from e
