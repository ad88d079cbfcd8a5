"""Whole sequences at once: the second program of an artifact, which runs a number of steps in one compiled loop.

It takes and gives the same stored integers as so many calls of the first:

    inputs      of a step, in its order: a state as it is before the first step, all else [T, *shape]
    outputs     of a step, in its order: a state as it is after the last step, all else [T, *shape];
                then [T, *shape] of each output that is a state and shown as well;
                then the last of each state that is an input in the next step
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edgegate._edges import entry
from edgegate._feed import as_array, check_shape, emit
from edgegate._npz import Array
from edgegate._program import Program
from edgegate.artifact import Artifact
from edgegate.errors import FileError, MismatchError
from edgegate.manifest import SEQUENCE, IOSpec, Manifest


def given(manifest: Manifest) -> list[IOSpec]:
    """What the program of a sequence takes."""
    held = dict(manifest.states)
    return [spec if spec.name in held else _longer(spec, manifest) for spec in manifest.inputs]


def made(manifest: Manifest) -> list[tuple[str, bool, IOSpec]]:
    """What it gives: (output, or state that it is the last of; whether it is that of all steps; what it is)."""
    outputs = {spec.name: spec for spec in manifest.outputs}
    after, shown = {name for _, name in manifest.states}, {spec.name for spec in manifest.shown}
    found = [(n, n not in after, s if n in after else _longer(s, manifest)) for n, s in outputs.items()]
    found += [(n, True, _longer(s, manifest)) for n, s in outputs.items() if n in after and n in shown]
    specs = {spec.name: spec for spec in manifest.inputs}
    return found + [(before, False, specs[before]) for before, name in manifest.states if name not in outputs]


def _longer(spec: IOSpec, manifest: Manifest) -> IOSpec:
    return replace(spec, shape=(manifest.steps, *spec.shape))


class Chunk:
    """The program of a sequence, loaded. Not for two threads at a time.

    Args:
        artifact: Of a step, with such a program.
        device: TVM's name of the device; None: the processor.
        threads: Threads of one call.

    Attributes:
        steps: Of one call.

    Raises:
        FileError: The artifact holds none, or none that loads.
    """

    def __init__(self, artifact: Artifact, *, device: str | None, threads: int) -> None:
        manifest = artifact.manifest
        if SEQUENCE not in artifact.files:
            raise FileError(f"the artifact holds no {SEQUENCE} for sequences of {manifest.steps} steps")
        self.steps, self._pairs = manifest.steps, manifest.states
        self._inputs, self._outputs = given(manifest), made(manifest)
        self._quantizers = [entry(spec) for spec in self._inputs]
        self._names = {spec.name for spec in manifest.outputs}
        self._shown = [spec.name for spec in manifest.shown]
        self._program = Program(artifact.files[SEQUENCE], self._inputs, device=device or "cpu", threads=threads)

    def taken(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """The inputs of all steps as arrays that fit.

        Raises:
            InputError: A wrong shape or dtype.
        """
        specs = {spec.name: spec for spec in self._inputs}
        arrays = {name: as_array(value, specs[name]) for name, value in feed.items()}
        for name, array in arrays.items():
            check_shape(array, specs[name])
        return arrays

    def run(
        self, feed: Mapping[str, Array], states: Mapping[str, Array], thresholds: Mapping[str, Array]
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """All steps of a call.

        Args:
            feed: As :meth:`taken` gives it.
            states: Before the first step, stored.
            thresholds: Of gates, the same in all steps.

        Returns:
            The outputs of all steps by name, and the states after the last.

        Raises:
            InputError: A NaN or an infinity.
        """
        self._fill({**feed, **states, **{n: np.stack([t] * self.steps) for n, t in thresholds.items()}})
        results: dict[str, Array] = {}
        last: dict[str, Array] = {}
        for (name, every, spec), stored in zip(self._outputs, self._run(), strict=True):
            if not every:
                last[name] = stored
            elif name in self._shown:
                results[name] = np.empty(spec.shape, spec.dtype)
                emit(stored, spec, results[name])
        held = {before: last[after if after in self._names else before] for before, after in self._pairs}
        return {name: results[name] for name in self._shown}, held

    def run_stored(self, inputs: Mapping[str, Array]) -> list[tuple[str, bool, Array]]:
        """All steps on stored integers by input name: each output as :func:`made` tells of it, and what it is."""
        self._fill(inputs)
        found = zip(self._outputs, self._run(), strict=True)
        return [(name, every, stored.copy()) for (name, every, _), stored in found]

    def _fill(self, arrays: Mapping[str, Array]) -> None:
        places = zip(self._inputs, self._quantizers, self._program.buffers, strict=True)
        for index, (spec, quantizer, buffer) in enumerate(places):
            array = arrays[spec.name]
            if quantizer and array.dtype == np.float32:
                quantizer(array, buffer)
            elif not self._program.borrow(index, array):
                np.copyto(buffer, array)

    def _run(self) -> list[Array]:
        try:
            outputs = self._program.run()
        except RuntimeError as e:  # the program checks what it is given
            raise MismatchError(f"the program of a sequence takes other inputs than its manifest says: {e}") from e
        found = [(o.dtype.name, o.shape) for o in outputs]
        if found != (expected := [(s.stored_dtype, s.stored_shape) for _, _, s in self._outputs]):
            raise MismatchError(f"the program of a sequence gives {found}, its manifest says {expected}")
        return outputs
