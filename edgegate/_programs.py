"""What runs the program of an artifact on this machine, by the artifact's target."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

import numpy as np

from edgegate import _cpu
from edgegate._npz import Array
from edgegate._program import Program
from edgegate._staged_program import Runner, StagedProgram
from edgegate.artifact import Artifact
from edgegate.errors import FileError
from edgegate.stage_plan import is_staged, stages_of

PROGRAM = "program.so"
OTHERS = {
    "c": "edgegate._c_program:CProgram",
    "cuda": "edgegate._cuda_network:program_of",
    "verilog": "edgegate._verilog_program:VerilogProgram",
}
"""Target to ``module:function`` of those that are no libraries of TVM: of the files, the inputs and the outputs."""


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
    if is_staged(artifact):
        return StagedProgram(artifact, [_runner(stage, device, threads) for stage in stages_of(artifact)])
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


def _runner(stage: Artifact, device: str | None, threads: int) -> Runner:
    """One stage of an artifact of stages."""
    _cpu.check(stage.manifest.target)
    program = program_of(stage, device=device, threads=threads)

    def run(inputs: list[Array]) -> list[Array]:
        for buffer, array in zip(program.buffers, inputs, strict=True):
            np.copyto(buffer, array)
        return program.run()

    return Runner(run=run, outputs=stage.manifest.outputs)
