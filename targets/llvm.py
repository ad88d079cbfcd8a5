"""Target ``llvm``: a shared library for a CPU, through TVM's LLVM back end."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
import tvm

from edgegate import files, vectors
from edgegate.artifact import Artifact
from edgegate.manifest import SEQUENCE
from edgegate.options import CompileOptions
from edgegate.stages import Proof
from edgegate.targets._artifact import artifact_of
from edgegate.targets._machine import Machine, machine
from edgegate.targets._sequence import check, sequence_of
from edgegate.targets._tvm import emit
from edgegate.targets.schedules import Cpu

if TYPE_CHECKING:
    from edgegate.targets import Build

LIMIT = 1 << 31
"""Largest program, in bytes."""


def llvm(options: CompileOptions) -> Build:
    """A shared library for x86-64, AArch64 or RISC-V CPUs under Linux, with kernels for their integer units.

    Args:
        options: ``triple``, ``mcpu``, ``threads`` and ``logic`` are read.

    Raises:
        ValueError: The triple or the processor is unknown.
        ToolchainError: No C compiler to link with.
    """
    made_for = machine(options.triple, options.mcpu)
    made_for.compiler()

    def build(model: ir.Model, proof: Proof) -> Artifact:
        models = {"program.so": model}
        if options.steps is not None:
            models[SEQUENCE] = sequence_of(model, options.steps)
        programs = {
            name: shared_library(executable(m, made_for, options.threads, options.logic), made_for)
            for name, m in models.items()
        }
        artifact = artifact_of(model, proof, options, made_for.described("llvm"), programs)
        if options.steps is not None:
            check(model, options.steps, vectors.unpack(artifact.files[vectors.VECTORS]))
        return artifact

    return build


def executable(model: ir.Model, made_for: Machine, threads: int | None = None, logic: str = "code") -> Any:
    """TVM's executable of the integer model, not linked yet; ``.mod`` gives the generated code.

    Args:
        model: The integer graph.
        made_for: The processor.
        threads: Threads that the kernels share their work among; None: any number.
        logic: What networks of gates become, "code" or "table".
    """
    target = made_for.target
    return tvm.compile(emit(model, Cpu.of(target, threads, "table" if logic == "table" else "code")), target)


def shared_library(compiled: Any, made_for: Machine) -> bytes:
    """The bytes of the linked program: the same for the same model, compiler and linker.

    Raises:
        ToolchainError: No C compiler, or it fails.
    """

    def link(output: str, objects: list[str], **_: Any) -> None:
        made_for.link(output, objects)

    with tempfile.TemporaryDirectory(prefix="edgegate-") as folder:
        path = os.path.join(folder, "program.so")
        compiled.export_library(path, fcompile=link)
        return files.read(path, LIMIT)
