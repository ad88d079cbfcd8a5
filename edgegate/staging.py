"""From one integer graph to an artifact of stages: each stage is compiled for a target of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import onnx_ir as ir

from edgegate import _json, interpreter, stages, vectors
from edgegate._staged_program import answers
from edgegate.artifact import Artifact
from edgegate.errors import CompileError
from edgegate.graph import Array
from edgegate.manifest import FileEntry, Target
from edgegate.options import CompileOptions
from edgegate.passes.split_stages import Choice, Piece, Split, split_stages
from edgegate.stage_plan import KIND, STAGES, Plan, Program
from edgegate.stage_plan import Choice as PlannedChoice
from edgegate.targets import names, target
from edgegate.targets._artifact import artifact_of, self_test
from edgegate.targets._edges import inputs_of
from edgegate.work import work

if TYPE_CHECKING:
    from edgegate.stages import Proof
    from edgegate.targets import Build

FILE = "stage{}.egate"


def staged(options: CompileOptions) -> Build:
    """What makes the artifact of stages that ``options.stage_targets`` ask for.

    Raises:
        ValueError: A target is unknown, or what it is given.
        ToolchainError: What one of them builds with is missing.
    """
    if options.steps is not None:
        raise ValueError("steps and stage_targets exclude each other: gates decide step by step")
    asked = [_options(options, text) for text in options.stage_targets]
    builds = [target(own.target)(own) for own in asked]

    def build(model: ir.Model, proof: Proof) -> Artifact:
        split = split_stages(model)
        _check_number(split, len(builds))
        known = _values(model, options)
        made = [_stage(piece, make, known) for piece, make in zip(split.pieces, builds, strict=True)]
        whole = artifact_of(model, proof, options, Target(kind=KIND), _files(split, made))
        return _with(whole, {vectors.VECTORS: _self_test(whole, split, known)})

    return build


def _options(options: CompileOptions, text: str) -> CompileOptions:
    """The options of one stage: those of all, and what stands behind the name of its target."""
    name, *rest = text.split(",")
    if name not in names():
        raise ValueError(f"a stage target must be one of {', '.join(names())}, got {name!r}")
    pairs = dict(part.partition("=")[::2] for part in rest)
    if unknown := sorted(set(pairs) - {"triple", "mcpu", "threads"}):
        raise ValueError(f"stage target {text!r}: expected triple=, mcpu= or threads=, got {unknown[0]!r}")
    return replace(
        options, target=name, stage_targets=(), calib=None, gate_data=None, state=(), steps=None,
        triple=pairs.get("triple", options.triple), mcpu=pairs.get("mcpu", options.mcpu),
        threads=int(pairs["threads"]) if "threads" in pairs else options.threads,
    )  # fmt: skip


def _check_number(split: Split, given: int) -> None:
    pieces = split.pieces
    if len(pieces) == given:
        return
    told = "; ".join(f"stage {i} {_when(piece)}" for i, piece in enumerate(pieces))
    what = f"has {len(pieces)} stages, and {given} stage targets were given: {told}"
    raise CompileError("the model", what, f"give {len(pieces)} stage targets, one for each")


def _when(piece: Piece) -> str:
    if not piece.when:
        return "runs always"
    return "runs where " + " and ".join(name if wanted else f"not {name}" for name, wanted in sorted(piece.when))


def _values(model: ir.Model, options: CompileOptions) -> list[dict[str, Array]]:
    """All values of the whole graph, on each vector of its self-test."""
    found = []
    for vector in self_test(model, options.calib):
        edges = zip(model.graph.inputs, inputs_of(model), strict=True)
        feed = {str(stored.name): vector.inputs[str(outer.name)] for outer, stored in edges}
        found.append(interpreter.run(model, feed, keep=True))
    return found


def _stage(piece: Piece, build: Build, known: Sequence[Mapping[str, Array]]) -> Artifact:
    """One stage, proved by itself; its self-test holds the whole graph's values, too."""
    made = build(piece.model, stages.prove(piece.model))
    inputs = [str(v.name) for v in piece.model.graph.inputs]
    outputs = [str(v.name) for v in piece.model.graph.outputs]
    more = [
        vectors.Vector(
            inputs={n: values[r] for n, r in zip(inputs, piece.reads, strict=True)},
            outputs={n: values[g] for n, g in zip(outputs, piece.gives, strict=True)},
        )
        for values in known
    ]
    return _with(made, {vectors.VECTORS: vectors.pack([*vectors.unpack(made.files[vectors.VECTORS]), *more])})


def _with(artifact: Artifact, contents: Mapping[str, bytes]) -> Artifact:
    files = {**artifact.files, **contents}
    entries = {name: FileEntry.of(data) for name, data in files.items()}
    return Artifact(replace(artifact.manifest, files=entries), files)


def _files(split: Split, made: Sequence[Artifact]) -> dict[str, bytes]:
    """What an artifact of stages holds beside what any artifact does."""
    files = {FILE.format(number): b"".join(artifact.packed()) for number, artifact in enumerate(made)}
    return {STAGES: _json.canonical(_plan(split).document()), **files}


def _self_test(whole: Artifact, split: Split, known: Sequence[Mapping[str, Array]]) -> bytes:
    """Vectors of all stages as one program, which answers as the whole graph does for samples that no gate stops."""
    plan, manifest = _plan(split), whole.manifest
    tests = []
    for values in known:
        feed = {spec.name: values[stored] for spec, stored in zip(manifest.inputs, plan.inputs, strict=True)}
        results = answers(plan, manifest, values, feed)
        named = {spec.name: result for spec, result in zip(manifest.outputs, results, strict=True)}
        tests.append(vectors.Vector(inputs=feed, outputs=named))
    return vectors.pack(tests)


def _plan(split: Split) -> Plan:
    steps: list[Program | PlannedChoice] = []
    for step in split.steps:
        if isinstance(step, Choice):
            steps.append(PlannedChoice(name=step.name, bit=step.bit, yes=step.yes, no=step.no))
            continue
        macs, elements = work(step.model, split.batch)
        number = sum(isinstance(s, Program) for s in steps)
        steps.append(
            Program(
                file=FILE.format(number), reads=step.reads, gives=step.gives, when=tuple(sorted(step.when)),
                macs=macs, elements=elements,
            )
        )  # fmt: skip
    return Plan(steps=tuple(steps), inputs=split.inputs, outputs=split.outputs, cuts=split.cuts, batch=split.batch)
