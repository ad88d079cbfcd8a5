"""``edgegate compile``: a model in, an artifact out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from edgegate.cli import model as arguments
from edgegate.cli.output import Debug, Json, document, note, progress, writable

if TYPE_CHECKING:
    from edgegate.artifact import Artifact


Mcpu = Annotated[
    str, typer.Option("--mcpu", "--arch", help="LLVM's name of the processor; of GPUs: sm_87,sm_90, all without.")
]
Triple = Annotated[str, typer.Option("--triple", help="LLVM's target triple.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads to schedule for.")]
Logic = Annotated[str, typer.Option("--logic", help="Networks of gates as code (fast) or as table (small).")]
Pipeline = Annotated[
    int | None, typer.Option("--pipeline", metavar="N", min=1, help="Registers after every N levels of a circuit.")
]
Steps = Annotated[
    int | None, typer.Option("--steps", metavar="T", min=1, help="Also a program of T steps at once, for sequences.")
]
GateData = Annotated[
    str | None, typer.Option("--gate-data", metavar="FILE", help="Inputs and labels (.npz): where the gates decide.")
]
StageTarget = Annotated[
    list[str] | None,
    typer.Option("--stage-target", metavar="NAME[,mcpu=...]", help="Target of each stage, in order; repeatable."),
]
Recall = Annotated[float, typer.Option("--recall", help="Share of the positives that the gates let through.")]
Output = Annotated[
    str | None, typer.Option("--output", "-o", help="The artifact: a file, or a folder if it ends in /.")
]


def compile(
    source: arguments.Source,
    target: Annotated[str, typer.Option("--target", help="What to compile for; see edgegate targets.")] = "llvm",
    stage_target: StageTarget = None,
    calib: arguments.Calib = "none", output: Output = None, calib_method: arguments.Method = "mse",
    input_range: arguments.Range = None, scheme: arguments.SchemePath = None, int16: arguments.Int16 = None,
    activation_bits: arguments.Bits = None, sqnr: arguments.Sqnr = None,
    format: arguments.Format = None, transform: arguments.Transform = "auto",
    transform_bits: arguments.TransformBits = 6, rounding: arguments.Rounding = "nearest",
    keys: arguments.Keys = "none", model: arguments.Factory = None, shape: arguments.Shape = None,
    batch: arguments.Batch = 1, mcpu: Mcpu = "", triple: Triple = "", threads: Threads = None,
    logic: Logic = "code", pipeline: Pipeline = None, state: arguments.State = None,
    steps: Steps = None,
    gate_data: GateData = None, recall: Recall = 0.99, json: Json = False, debug: Debug = False,
) -> None:  # fmt: skip
    """Compile a model to an integer-only program."""
    from edgegate import api, artifact

    path = output or os.path.splitext(os.path.basename(source))[0] + ".egate"
    writable(path, keep=(source, calib, scheme, gate_data), check=artifact.check)
    options = arguments.options(
        stage_targets=stage_target or (),
        target=target, mcpu=mcpu, triple=triple, threads=threads, model=model, shape=shape, batch=batch, calib=calib,
        calib_method=calib_method, input_range=input_range, scheme=scheme, int16=int16, format=format, keys=keys,
        activation_bits=activation_bits, sqnr=sqnr,
        transform=transform, transform_bits=transform_bits, rounding=rounding,
        logic=logic, pipeline=pipeline, state=state or (), steps=steps, recall=recall,
        gate_data=None if gate_data is None else arguments.calibration(gate_data),
    )  # fmt: skip
    with api.extra_needed(), progress(f"compiling {source} for {target}"):
        from edgegate.compiler import compile_model

        _save(compile_model(source, options.example(), options), path, " ".join(stage_target or [target]), json)


def _save(artifact: Artifact, path: str, target: str, json: bool) -> None:
    """Write what was made, and tell of it, for programs and for people."""
    artifact.save(path)
    if json:
        document("compile", output=path, manifest=artifact.manifest.document())
    if proved := artifact.manifest.proof.get("summary"):
        note(f"proved: {proved}")
    note(f"{path}: {target}, {sum(map(len, artifact.files.values()))} bytes")
