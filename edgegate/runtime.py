"""Running an artifact: numpy in, numpy out, everything checked on the way in."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgegate import _cpu, vectors
from edgegate._edges import dequantize, entry
from edgegate._npz import Array
from edgegate._program import Program, aligned, processors
from edgegate._programs import program_of
from edgegate.artifact import Artifact
from edgegate.errors import FileError, InputError, MismatchError
from edgegate.manifest import IOSpec


class Session:
    """An artifact loaded for running. Threads may share it; they take turns.

    Args:
        artifact: What to run.
        threads: Threads of one call; None: every processor this process may use.
        device: TVM's name of the device; None: the one that the artifact was compiled for.

    Raises:
        UnsafeError: This machine's processor cannot execute the program.
        FileError: The artifact holds no program that loads, or TVM refuses it.
        InputError: There is no such device.
        ToolchainError: What runs the program is missing: a C compiler, for one in C.
        ValueError: ``threads`` is below 1.
    """

    def __init__(self, artifact: Artifact, *, threads: int | None = None, device: str | None = None) -> None:
        manifest = artifact.manifest
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        _cpu.check(manifest.target)
        self.artifact = artifact
        self.inputs, self.outputs = manifest.inputs, manifest.outputs
        count = threads or len(processors())
        self._program = program_of(artifact, device=device, threads=count)
        self._quantizers = [entry(spec) for spec in self.inputs]
        self._batch = _batch(self.inputs, self.outputs, manifest.batch)
        self._lock = threading.Lock()

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
        names = [spec.name for spec in self.inputs]
        if len(arrays) > len(names):
            raise InputError(f"expected {len(names)} inputs ({', '.join(names)}), got {len(arrays)}")
        feed = dict(zip(names, arrays, strict=False))
        if twice := feed.keys() & named.keys():
            raise InputError(f"input {min(twice)!r} is given by place and by name")
        outputs = tuple(self.run({**feed, **named}).values())
        return outputs[0] if len(outputs) == 1 else outputs

    def run(self, feed: Mapping[str, Any]) -> dict[str, Array]:
        """Run the program on inputs by name; the outputs by name.

        Raises:
            InputError: As :meth:`__call__`.
        """
        names = [spec.name for spec in self.inputs]
        if set(feed) != set(names):
            raise InputError(f"expected the inputs {', '.join(names)}, got {', '.join(map(str, feed)) or 'none'}")
        arrays = [_array(feed[spec.name], spec) for spec in self.inputs]
        for array, spec in zip(arrays, self.inputs, strict=True):
            self._check_shape(array, spec)
        if self._batch is None:
            return self._once(arrays)
        counts = {len(a) for a in arrays}
        if len(counts) > 1:
            raise InputError(f"the inputs differ in their number of samples: {sorted(counts)}")
        return self._each(arrays, counts.pop(), self._batch)

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

    def _check_shape(self, array: Array, spec: IOSpec) -> None:
        found, dims = array.shape, spec.shape if array.dtype == spec.dtype else spec.stored_shape
        if found == dims or (self._batch and found[1:] == dims[1:] and len(found) == len(dims)):
            return
        expected = ["N" if self._batch and i == 0 else n for i, n in enumerate(dims)]
        shown = str(expected).replace("'", "")
        raise InputError(f"input {spec.name!r}: expected shape {shown}, got {list(found)}")

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
                self._step([a[part] for a in arrays], [r[part] for r in results.values()], start)
        return results

    def _step(self, arrays: Sequence[Array], results: Sequence[Array], start: int = 0) -> None:
        """One call of the program on at most a batch of samples, the first of them sample ``start``."""
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
        outputs = self._program.run()
        found = [(o.dtype.name, o.shape) for o in outputs]
        if found != (expected := [(s.stored_dtype, s.shape) for s in self.outputs]):
            raise MismatchError(f"the program gives {found}, its manifest says {expected}")
        for output, spec, result in zip(outputs, self.outputs, results, strict=True):
            used = output[: len(result)] if output.ndim else output
            if spec.storage:
                dequantize(used, spec.storage, result)
            else:
                np.copyto(result, used)


def verify(session: Session) -> int:
    """Replay the artifact's self-test bit for bit; how many vectors passed.

    Raises:
        MismatchError: An output differs; says which, in how many places, and where first.
        FileError: The artifact holds no test vectors, or ones that do not fit it.
    """
    files = session.artifact.files
    tests = vectors.unpack(files[vectors.VECTORS]) if vectors.VECTORS in files else []
    if not tests:
        raise FileError("the artifact holds no test vectors")
    for number, test in enumerate(tests):
        if set(test.inputs) != {s.name for s in session.inputs}:
            raise FileError(f"{vectors.VECTORS}: vector {number} has other inputs than the program")
        if set(test.outputs) != {s.name for s in session.outputs}:
            raise FileError(f"{vectors.VECTORS}: vector {number} has other outputs than the program")
        found = session.run_stored([test.inputs[spec.name] for spec in session.inputs])
        for spec, array in zip(session.outputs, found, strict=True):
            compare(array, test.outputs[spec.name], f"test vector {number}: output {spec.name!r}")
    return len(tests)


def compare(found: Array, expected: Array, what: str) -> None:
    """Raise MismatchError unless the arrays are equal in dtype, shape and every bit."""
    if found.dtype != expected.dtype or found.shape != expected.shape:
        raise MismatchError(
            f"{what}: expected {expected.dtype}{list(expected.shape)}, got {found.dtype}{list(found.shape)}"
        )
    places = np.argwhere(found != expected)
    if len(places):
        first = tuple(int(i) for i in places[0])
        raise MismatchError(
            f"{what}: {len(places)} of {found.size} values differ, "
            f"first at {list(first)}: expected {expected[first]}, got {found[first]}"
        )


def _batch(inputs: Sequence[IOSpec], outputs: Sequence[IOSpec], batch: int) -> int | None:
    """``batch`` if the first dimension of every input and output is the batch, else None."""
    return batch if all(spec.shape[:1] == (batch,) for spec in (*inputs, *outputs)) else None


def _array(value: Any, spec: IOSpec) -> Array:
    """``value`` as a numpy array of the input's dtype or of its storage dtype."""
    try:
        array = np.asarray(value) if hasattr(value, "__array__") or not hasattr(value, "__dlpack__") else None
        array = np.from_dlpack(value) if array is None else array
    except (TypeError, ValueError, RuntimeError, BufferError) as e:
        reason = " ".join(str(e).split())[:100]
        raise InputError(f"input {spec.name!r}: no array of numbers ({reason})") from e
    if array.dtype == np.bool_ and spec.stored_dtype == "uint8":
        return array.view(np.uint8)
    if array.dtype not in (np.dtype(spec.dtype), np.dtype(spec.stored_dtype)):
        also = f" (or stored {spec.stored_dtype})" if spec.storage else ""
        raise InputError(f"input {spec.name!r}: expected {spec.dtype}{also}, got {array.dtype}")
    return array
