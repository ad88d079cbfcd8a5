"""What runs the program of an artifact on this machine, by the artifact's target."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

from edgegate._npz import Array
from edgegate._program import Program
from edgegate.artifact import Artifact
from edgegate.errors import FileError

PROGRAM = "program.so"
OTHERS = {
    "c": "edgegate._c_program:CProgram",
    "cuda": "edgegate._cuda_program:CudaProgram",
    "verilog": "edgegate._verilog_program:VerilogProgram",
}
"""Target to ``module:class`` of those that are no libraries of TVM: made from the files, the inputs and the outputs."""


class Runnable(Protocol):
    """A program with its input buffers. Not for two threads at a time."""

    buffers: list[Array]

    def run(self) -> list[Array]:
        """Run on what the buffers hold; the outputs may share memory with the program until the next run."""


def program_of(artifact: Artifact, *, device: str | None, threads: int) -> Runnable:
    """The artifact's program, loaded.

    Raises:
        FileError: The artifact holds none, or none that loads.
        InputError: There is no such device.
        ToolchainError: A tool that runs it is missing.
    """
    manifest = artifact.manifest
    if manifest.target.kind in OTHERS:
        module, _, name = OTHERS[manifest.target.kind].partition(":")
        made: Any = getattr(import_module(module), name)
        program: Runnable = made(artifact.files, manifest.inputs, manifest.outputs)
        return program
    if PROGRAM not in artifact.files:
        raise FileError(f"the artifact is for {manifest.target.kind} and holds no {PROGRAM} to load")
    if device is None:
        device = "cuda" if manifest.target.kind == "cuda" else "cpu"
    return Program(artifact.files[PROGRAM], manifest.inputs, device=device, threads=threads)
