"""From one integer graph to an artifact of stages: each stage is compiled for a target of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from edgegate import _json, interpreter, payload, stages, vectors
from edgegate._staged_program import answers
from edgegate.artifact import Artifact
from edgegate.errors import CompileError
from edgegate.graph import Array, operating_point, shape, states
from edgegate.manifest import FileEntry, Target
from edgegate.options import CompileOptions
from edgegate.passes.split_stages import Choice, Piece, Split, split_stages
from edgegate.payload import Payload
from edgegate.stage_plan import KIND, STAGES, Plan, Program, holds
from edgegate.stage_plan import Choice as PlannedChoice
from edgegate.targets import names, target
from edgegate.targets._artifact import artifact_of, self_test
from edgegate.targets._edges import inputs_of
from edgegate.work import work

if TYPE_CHECKING:
    from edgegate.stages import Proof
    from edgegate.targets import Build

FILE = "stage{}.egate"
SAMPLES = 8
"""Calls of real data that payloads are chosen on."""


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
        known = _on_vectors(model, options)
        made = [_stage(piece, make, known) for piece, make in zip(split.pieces, builds, strict=True)]
        plan = _plan(split, _payloads(split, known[0], _on_data(model, options)))
        whole = artifact_of(model, proof, options, Target(kind=KIND), _files(plan, made))
        return _with(whole, {vectors.VECTORS: _self_test(whole, plan, known)})

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


def _on_vectors(model: ir.Model, options: CompileOptions) -> list[dict[str, Array]]:
    """All values of the whole graph, on each vector of its self-test."""
    found = []
    for vector in self_test(model, options.calib):
        edges = zip(model.graph.inputs, inputs_of(model), strict=True)
        feed = {str(stored.name): vector.inputs[str(outer.name)] for outer, stored in edges}
        found.append(interpreter.run(model, feed, keep=True))
    return found


def _on_data(model: ir.Model, options: CompileOptions) -> list[dict[str, Array]]:
    """All values of the whole graph, on some of the calibration data; nothing of a model with states."""
    if options.calib is None or states(model):
        return []
    point = {name: np.array([value]) for name, value in operating_point(model).items()}
    fed = [v for v in model.graph.inputs if v.name not in point]
    only = next(iter(options.calib.values()))
    data = {str(v.name): options.calib.get(str(v.name), only) for v in fed}
    size = shape(fed[0])[0]
    calls = min(SAMPLES, len(only) // size)
    feeds = [{name: array[i * size : (i + 1) * size] for name, array in data.items()} for i in range(calls)]
    return [interpreter.run(model, {**feed, **point}, keep=True) for feed in feeds]


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


def _files(plan: Plan, made: Sequence[Artifact]) -> dict[str, bytes]:
    """What an artifact of stages holds beside what any artifact does."""
    files = {FILE.format(number): b"".join(artifact.packed()) for number, artifact in enumerate(made)}
    return {STAGES: _json.canonical(plan.document()), **files}


def _self_test(whole: Artifact, plan: Plan, known: Sequence[Mapping[str, Array]]) -> bytes:
    """Vectors of all stages as one program, which answers as the whole graph does for samples that no gate stops."""
    manifest, tests = whole.manifest, []
    for values in known:
        feed = {spec.name: values[stored] for spec, stored in zip(manifest.inputs, plan.inputs, strict=True)}
        results = answers(plan, manifest, values, feed)
        named = {spec.name: result for spec, result in zip(manifest.outputs, results, strict=True)}
        tests.append(vectors.Vector(inputs=feed, outputs=named))
    return vectors.pack(tests)


def _payloads(
    split: Split, any_values: Mapping[str, Array], known: Sequence[Mapping[str, Array]]
) -> dict[tuple[int, str], Payload]:
    """How the values that come into each stage are sent: what takes the fewest bytes on calibration data.

    The zero that is not sent is the value that occurs most often.
    """
    found = {}
    for number, piece in enumerate(split.pieces[1:], 1):
        point = operating_point(piece.model)
        for name in (n for n in piece.reads if n not in point and any_values[n].dtype.name in payload.DTYPES):
            samples = [s for values in known for s in _samples(split, piece, values, name)]
            one = _of_sample(split, any_values[name])
            zero = _commonest(samples) if samples else 0
            found[number, name] = payload.chosen(one.shape, one.dtype.name, zero, samples)[0]
    return found


def _samples(split: Split, piece: Piece, values: Mapping[str, Array], name: str) -> list[Array]:
    """What each sample for which the piece runs has of a value."""
    there = np.flatnonzero(holds(sorted(piece.when), values, split.batch))
    return [_of_sample(split, values[name], int(place)) for place in there]


def _of_sample(split: Split, array: Array, place: int = 0) -> Array:
    return array if split.batch == 1 else array[place]


def _commonest(samples: Sequence[Array]) -> int:
    values, counts = np.unique(np.stack(samples), return_counts=True)
    return int(values[counts.argmax()])


def _plan(split: Split, payloads: Mapping[tuple[int, str], Payload]) -> Plan:
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
                payloads=tuple(payloads.get((number, name)) for name in step.reads),
                macs=macs, elements=elements,
            )
        )  # fmt: skip
    return Plan(steps=tuple(steps), inputs=split.inputs, outputs=split.outputs, cuts=split.cuts, batch=split.batch)
