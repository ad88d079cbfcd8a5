"""The program of an artifact of stages: each stage runs for the samples that need it, in integers from end to end.

Samples that a gate has stopped have, in all outputs that later stages would have made, what stands for zero; a state
keeps what it was. The gates' own outputs say which samples these are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgegate._npz import Array
from edgegate.artifact import Artifact
from edgegate.manifest import IOSpec, Manifest
from edgegate.stage_plan import Choice, Plan, Program, holds, plan_of
from edgegate.storage import Storage


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A stage that runs.

    Attributes:
        run: Stored inputs of a whole call, in order, to stored outputs.
        outputs: What these are.
    """

    run: Callable[[list[Array]], list[Array]]
    outputs: tuple[IOSpec, ...]


def zero(spec: IOSpec) -> int:
    """The integer that stands for zero."""
    return spec.storage.zero_point if isinstance(spec.storage, Storage) else 0


class StagedProgram:
    """The stages of one artifact as one program. Not for two threads at a time.

    Args:
        artifact: Of stages.
        runs: The stages, in the order of the plan.

    Attributes:
        buffers: What the program reads, in its order: fill these before :meth:`run`.
        seen: The values of the last run, by name; of samples that were stopped, what they hold means nothing.
    """

    def __init__(self, artifact: Artifact, runs: Sequence[Runner]) -> None:
        self._plan, self._manifest = plan_of(artifact), artifact.manifest
        self._runs = dict(zip((p.file for p in self._plan.programs), runs, strict=True))
        self.buffers = [np.empty(s.stored_shape, s.stored_dtype) for s in artifact.manifest.inputs]
        self.seen: dict[str, Array] = {}

    def run(self) -> list[Array]:
        """Run on what the buffers hold; the outputs are new arrays."""
        inputs = dict(zip(self._plan.inputs, self.buffers, strict=True))
        self.seen = values(self._plan, self._runs, inputs, set(self._manifest.operating_point))
        return answers(self._plan, self._manifest, self.seen, dict(zip(self._names, self.buffers, strict=True)))

    @property
    def _names(self) -> list[str]:
        return [spec.name for spec in self._manifest.inputs]


def values(plan: Plan, runs: Mapping[str, Runner], inputs: Mapping[str, Array], fixed: set[str]) -> dict[str, Array]:
    """All values of one call, by name; those of samples for which nothing makes them are zero.

    Args:
        plan: The stages.
        runs: By file.
        inputs: Stored, by the plan's names.
        fixed: Inputs that are the same for all samples.
    """
    known = dict(inputs)
    for step in plan.steps:
        if isinstance(step, Choice):
            yes, no, bit = known[step.yes], known[step.no], known[step.bit].reshape(-1)
            known[step.name] = np.where(bit.reshape(-1, *[1] * (yes.ndim - 1)) if plan.batch > 1 else bit[0], yes, no)
            continue
        chosen = np.flatnonzero(holds(step.when, known, plan.batch))
        for name, made in zip(step.gives, _stage(plan, step, runs[step.file], known, chosen, fixed), strict=True):
            known[name] = made
    return known


def _stage(
    plan: Plan, step: Program, runner: Runner, known: Mapping[str, Array], chosen: Array, fixed: set[str]
) -> list[Array]:
    """What a stage gives: its samples are brought to the front of its call, and back to their places."""
    if not len(chosen):
        return [np.zeros((plan.batch,), np.bool_)] * len(step.gives)
    if len(chosen) == plan.batch:
        return runner.run([known[name] for name in step.reads])
    places = np.concatenate([chosen, np.repeat(chosen[:1], plan.batch - len(chosen))])
    made = runner.run([known[name] if name in fixed else known[name][places] for name in step.reads])
    results = [np.zeros_like(array) for array in made]
    for result, array in zip(results, made, strict=True):
        result[chosen] = array[: len(chosen)]
    return results


def answers(plan: Plan, manifest: Manifest, known: Mapping[str, Array], inputs: Mapping[str, Array]) -> list[Array]:
    """The outputs of the whole: of samples that were stopped, what stands for zero, or the state as it was.

    Args:
        plan: The stages.
        manifest: Of the whole.
        known: All values of one call, by the plan's names.
        inputs: The stored inputs, by the manifest's names.
    """
    before = {after: name for name, after in manifest.states}
    results = []
    for spec, name, when in zip(manifest.outputs, plan.outputs, plan.conditions(), strict=True):
        there = holds(when, known, plan.batch)
        blank = np.full(spec.stored_shape, zero(spec), spec.stored_dtype)
        if spec.name in before:
            blank = inputs[before[spec.name]].copy()
        if there.all():
            blank = known[name]
        elif there.any():
            blank[there] = known[name][there]
        results.append(blank)
    return results
