"""Running an artifact: numpy in, numpy out, everything checked on the way in."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from edgegate import _cpu, point, sequences
from edgegate._edges import entry
from edgegate._feed import as_array, by_name, check_names, check_shape, emit
from edgegate._npz import Array
from edgegate._program import Program, aligned, processors
from edgegate._programs import program_of
from edgegate._staged_program import StagedProgram
from edgegate.artifact import Artifact
from edgegate.chunks import Chunk
from edgegate.errors import InputError, MismatchError
from edgegate.files import Path
from edgegate.manifest import IOSpec
from edgegate.memory import Memory


class Session:
    """An artifact loaded for running. Threads may share it; they take turns.

    Args:
        artifact: What to run.
        threads: Threads of one call; None: every processor this process may use.
        device: TVM's name of the device; None: the one that the artifact was compiled for.
        operating_point: Where the gates decide, as :func:`edgegate.point.thresholds` takes it; None: where the
            artifact says.

    Attributes:
        thresholds: Of the gates, by input name: arrays of one integer, which may be changed between calls.
        chunk: The program of a sequence, if there is one.

    Raises:
        UnsafeError: This machine's processor cannot execute the program.
        FileError: The artifact holds no program that loads, or TVM refuses it.
        InputError: There is no such device.
        ToolchainError: What runs the program is missing: a C compiler, for one in C.
        ValueError: ``threads`` is below 1.
    """

    def __init__(
        self, artifact: Artifact, *, threads: int | None = None, device: str | None = None,
        operating_point: str | Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        manifest = artifact.manifest
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        _cpu.check(manifest.target)
        self.artifact, self.inputs, self.outputs = artifact, manifest.inputs, manifest.outputs
        count = threads or len(processors())
        self._program = program_of(artifact, device=device, threads=count)
        self.chunk = Chunk(artifact, device=device, threads=count) if manifest.steps else None
        self._quantizers = [entry(spec) for spec in self.inputs]
        self.thresholds = point.thresholds(artifact, operating_point)
        self._given = [spec for spec in self.inputs if spec.name not in self.thresholds]
        self._batch = _batch(self._given, self.outputs, manifest.batch)
        self._lock = threading.Lock()
        self.memory, self._pairs, self._shown = Memory(manifest), manifest.states, manifest.shown
        self._fresh = [spec for spec in self._given if spec.name not in dict(self._pairs)]
        self._kept = {after for _, after in self._pairs}

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Run the program.

        Args:
            arrays: The inputs in order: numpy arrays, or whatever has ``__array__`` or ``__dlpack__``, of
                the spec's shape and dtype. Integers of the storage dtype are taken as already stored.
                If the first dimension is the batch, any number of samples.
            named: Inputs by name.

        Returns:
            The output; a tuple if there are several.

        Raises:
            InputError: A wrong name, shape or dtype, a NaN or an infinity.
        """
        outputs = tuple(self.run(by_name(self._given, arrays, named)).values())
        return outputs[0] if len(outputs) == 1 else outputs

    def step(self, *arrays: Any, **named: Any) -> Any:
        """Run one step: the states come from the step before, and stay for the next.

        Args:
            arrays: The inputs in order, states left out, as for :meth:`__call__`; of one call.
            named: Inputs by name.

        Returns:
            The output; a tuple if there are several; states left out.

        Raises:
            InputError: A wrong name, shape or dtype, a NaN or an infinity. The states are as before.
        """
        outputs = tuple(self.advance(by_name(self._fresh, arrays, named)).values())
        return outputs[0] if len(outputs) == 1 else outputs

    def advance(self, feed: Mapping[str, Any]) -> dict[str, Array]:
        """One :meth:`step` on inputs by name; the outputs by name."""
        check_names(self._fresh, feed)
        arrays = [as_array(feed[spec.name], spec) if spec.name in feed else None for spec in self.inputs]
        for array, spec in zip(arrays, self.inputs, strict=True):
            if array is not None:
                check_shape(array, spec)
        results = {spec.name: np.empty(spec.shape, spec.dtype) for spec in self._shown}
        with self._lock:
            held = {**self.memory.arrays, **self.thresholds}
            fed = [held[s.name] if a is None else a for a, s in zip(arrays, self.inputs, strict=True)]
            self._fill(fed)
            stored = self._run()
            self._remember(fed, stored)
            for spec, output in zip(self.outputs, stored, strict=True):
                if spec.name in results:
                    emit(output, spec, results[spec.name])
        return results

    def steps(self, *arrays: Any, **named: Any) -> Any:
        """Run a sequence, step by step, from the states as they are.

        Args:
            arrays: The inputs over time, as :func:`edgegate.sequences.over_time` takes them: of one run.
            named: Inputs by name.

        Returns:
            The output of all steps, [T, *shape]; a tuple if there are several.

        Raises:
            InputError: As :meth:`step`; steps before the one that failed have been done.
        """
        outputs = tuple(self.run_steps(by_name(self._fresh, arrays, named)).values())
        return outputs[0] if len(outputs) == 1 else outputs

    def run_steps(self, feed: Mapping[str, Any]) -> dict[str, Array]:
        """:meth:`steps` on inputs by name; the outputs by name."""
        data = {name: np.asarray(given) for name, given in feed.items()}
        timed, count, steps = sequences.timed(data, {spec.name: spec.shape for spec in self._fresh})
        if count != 1:
            raise InputError(f"expected one sequence, got {count}: reset the states between them")
        size, made = self.chunk.steps if self.chunk else steps, []
        for start in range(0, steps, size):
            made += self._chunked({name: array[0, start : start + size] for name, array in timed.items()})
        return {spec.name: np.concatenate([results[spec.name] for results in made]) for spec in self._shown}

    def _chunked(self, feed: Mapping[str, Array]) -> list[dict[str, Array]]:
        """Some steps: at once, if they are as many as one program does, else one by one."""
        count = len(next(iter(feed.values())))
        if self.chunk and count == self.chunk.steps:
            with suppress(InputError):  # is raised again by the step that it is about
                taken = self.chunk.taken(feed)
                with self._lock:
                    results, held = self.chunk.run(taken, self.memory.arrays, self.thresholds)
                    self.memory.arrays.update(held)
                return [results]
        steps = (self.advance({name: array[i] for name, array in feed.items()}) for i in range(count))
        return [{name: array[None] for name, array in results.items()} for results in steps]

    def _remember(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Keep what the next step needs of this one."""
        own = isinstance(self._program, Program)  # its outputs are new arrays each time, which the next run may borrow
        made = {s.name: o if own else o.copy() for s, o in zip(self.outputs, outputs, strict=True)}
        for spec, array, buffer in zip(self.inputs, inputs, self._program.buffers, strict=True):
            if spec.name in self._kept:
                made[spec.name] = (array if array.dtype == buffer.dtype else buffer).copy()
        self.memory.arrays.update({before: made[after] for before, after in self._pairs})

    @property
    def state(self) -> dict[str, Array]:
        """The states by input name: copies of what is stored."""
        with self._lock:
            return {name: array.copy() for name, array in self.memory.arrays.items()}

    def reset(self) -> None:
        """Begin anew: all states become zero."""
        with self._lock:
            self.memory.reset()

    def save(self, path: Path) -> None:
        """Write the states to a file, as :meth:`edgegate.memory.Memory.save`."""
        with self._lock:
            self.memory.save(path)

    def restore(self, path: Path) -> None:
        """Go on from the states in a file, as :meth:`edgegate.memory.Memory.restore`."""
        with self._lock:
            self.memory.restore(path)

    def run(self, feed: Mapping[str, Any]) -> dict[str, Array]:
        """Run the program on inputs by name; the outputs by name.

        Raises:
            InputError: As :meth:`__call__`.
        """
        given = [spec for spec in self.inputs if spec.name not in self.thresholds or spec.name in feed]
        check_names(given, feed)
        feed = {**self.thresholds, **feed}
        arrays = [as_array(feed[spec.name], spec) for spec in self.inputs]
        for array, spec in zip(arrays, self.inputs, strict=True):
            check_shape(array, spec, self._batch is not None and spec.name not in self.thresholds)
        if self._batch is None:
            return self._once(arrays)
        counts = {len(a) for a, spec in zip(arrays, self.inputs, strict=True) if spec.name not in self.thresholds}
        if len(counts) > 1:
            raise InputError(f"the inputs differ in their number of samples: {sorted(counts)}")
        return self._each(arrays, counts.pop(), self._batch)

    @property
    def between(self) -> Mapping[str, Array]:
        """Of an artifact of stages: all stored values of the last call, by the names of its plan; else none."""
        return self._program.seen if isinstance(self._program, StagedProgram) else {}

    def run_stored(self, inputs: Sequence[Array]) -> list[Array]:
        """Run the program on stored integers of one call, in order; its stored outputs, in order.

        Raises:
            InputError: A wrong number, dtype or shape.
        """
        if len(inputs) != len(self.inputs):
            raise InputError(f"expected {len(self.inputs)} inputs, got {len(inputs)}")
        for array, spec in zip(inputs, self.inputs, strict=True):
            if array.dtype != np.dtype(spec.stored_dtype) or array.shape != spec.stored_shape:
                expected = f"{spec.stored_dtype}{list(spec.stored_shape)}"
                raise InputError(f"input {spec.name!r}: expected {expected}, got {array.dtype}{list(array.shape)}")
        with self._lock:
            for buffer, array in zip(self._program.buffers, inputs, strict=True):
                np.copyto(buffer, array)
            return [output.copy() for output in self._program.run()]

    def empty(self, name: str | None = None, samples: int | None = None) -> Array:
        """An array for an input, of zeros, that the program reads where it lies: nothing is copied.

        Args:
            name: Of the input; None: the first.
            samples: How many, a multiple of the program's batch; None: those of one call.

        Returns:
            Of the stored dtype and shape: as :meth:`__call__` takes what is stored already.

        Raises:
            InputError: There is no such input, or one call takes other than samples.
        """
        spec = next((s for s in self.inputs if name in (None, s.name)), None)
        if spec is None or (samples is not None and self._batch is None):
            raise InputError(f"no input {name!r} that takes {samples} samples")
        dims = spec.stored_shape if samples is None else (samples, *spec.stored_shape[1:])
        return aligned(dims, spec.stored_dtype)

    def _once(self, arrays: Sequence[Array]) -> dict[str, Array]:
        results = {s.name: np.empty(s.shape, s.dtype) for s in self.outputs}
        with self._lock:
            self._step(arrays, list(results.values()))
        return results

    def _each(self, arrays: Sequence[Array], count: int, batch: int) -> dict[str, Array]:
        """Run ``count`` samples in calls of ``batch``; the last call may be partly idle."""
        results = {s.name: np.empty((count, *s.shape[1:]), s.dtype) for s in self.outputs}
        with self._lock:
            for start in range(0, count, batch):
                part = slice(start, start + batch)
                fed = [a if s.name in self.thresholds else a[part] for a, s in zip(arrays, self.inputs, strict=True)]
                self._step(fed, [r[part] for r in results.values()], start)
        return results

    def _step(self, arrays: Sequence[Array], results: Sequence[Array], start: int = 0) -> None:
        """One call of the program on at most a batch of samples, the first of them sample ``start``."""
        self._fill(arrays, start)
        for output, spec, result in zip(self._run(), self.outputs, results, strict=True):
            emit(output, spec, result)

    def _fill(self, arrays: Sequence[Array], start: int = 0) -> None:
        """Let the program read these inputs."""
        places = zip(arrays, self._quantizers, self._program.buffers, strict=True)
        for index, (array, quantizer, whole) in enumerate(places):
            buffer = whole[: len(array)] if whole.ndim else whole
            if quantizer and array.dtype == np.float32:
                quantizer(array, buffer, start)
            elif isinstance(self._program, Program) and self._program.borrow(index, array):
                continue
            else:
                np.copyto(buffer, array)
            if whole.ndim and len(array) < len(whole):
                whole[len(array) :] = whole[:1]  # any sample will do, but a sound one: it may be an index

    def _run(self) -> list[Array]:
        """Run the program on what it was given; its stored outputs, as they lie in its memory."""
        outputs = self._program.run()
        found = [(o.dtype.name, o.shape) for o in outputs]
        if found != (expected := [(s.stored_dtype, s.shape) for s in self.outputs]):
            raise MismatchError(f"the program gives {found}, its manifest says {expected}")
        return outputs


def _batch(inputs: Sequence[IOSpec], outputs: Sequence[IOSpec], batch: int) -> int | None:
    """``batch`` if the first dimension of every input and output is the batch, else None."""
    return batch if all(spec.shape[:1] == (batch,) for spec in (*inputs, *outputs)) else None
