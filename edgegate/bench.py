"""Timing programs side by side: all engines in one process, taking turns, so that noise hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np

from edgegate import files, vectors
from edgegate._clock import gigahertz
from edgegate._edges import dequantize
from edgegate._npz import Array
from edgegate.errors import EdgeGateError, FileError, InputError, MismatchError, ToolchainError
from edgegate.manifest import Manifest
from edgegate.replay import compare
from edgegate.runtime import Session
from edgegate.storage import Thresholds

GRAPH = "model.onnx"
WARM_UP = 5
LEAST_SECONDS = 0.002
"""Shortest measurement: shorter calls are repeated, so that the clock does not matter."""

Call = Callable[[], Any]


def inputs(session: Session) -> dict[str, Array]:
    """Float inputs of one call by name: those of the artifact's first test vector, or zeros."""
    contents = session.artifact.files
    tests = vectors.unpack(contents[vectors.VECTORS]) if vectors.VECTORS in contents else []
    feed = {}
    for spec in session.inputs:
        stored = tests[0].inputs[spec.name] if tests else np.zeros(spec.stored_shape, spec.stored_dtype)
        if isinstance(spec.storage, Thresholds):
            near = np.random.default_rng(0).choice(np.array(spec.storage.values, np.float32), spec.shape)
            feed[spec.name] = np.nextafter(near, np.float32(np.inf), dtype=np.float32)
        elif spec.storage:
            feed[spec.name] = np.empty(spec.shape, np.float32)
            dequantize(stored, spec.storage, feed[spec.name])
        else:
            feed[spec.name] = stored
    return feed


def stored(session: Session) -> dict[str, Array]:
    """Inputs of one call as the program takes them, where it reads them: bits of a network are rows of bytes."""
    contents = session.artifact.files
    tests = vectors.unpack(contents[vectors.VECTORS]) if vectors.VECTORS in contents else []
    feed = {spec.name: session.empty(spec.name) for spec in session.inputs}
    for name, array in feed.items():
        array[...] = tests[0].inputs[name] if tests else 0
    return feed


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What the networks of gates in an artifact cost at best on this machine.

    Attributes:
        cycles: Of one core for one sample, between packing and unpacking.
        gigahertz: Of this core, measured.
        nanoseconds: Of one core for one sample.
    """

    cycles: float
    gigahertz: float
    nanoseconds: float


def limit(manifest: Manifest) -> Limit | None:
    """The bound of the networks, as the target told it; None if it told none, or the clock cannot be measured."""
    told = [gate["cycles_at_best"] for gate in manifest.gates.values() if "cycles_at_best" in gate]
    clock = gigahertz() if told else None
    if clock is None:
        return None
    return Limit(cycles=sum(told), gigahertz=clock, nanoseconds=sum(told) / clock)


def call(session: Session, feed: Mapping[str, Array]) -> Call:
    """A function that runs ``session`` on ``feed`` once."""
    return lambda: session.run(feed)


def peers(
    session: Session, feed: Mapping[str, Array], float_model: files.Path | None, *, threads: int
) -> dict[str, Call]:
    """ONNX Runtime on the artifact's own integer graph, and on the float model if there is one.

    Raises:
        MismatchError: ONNX Runtime and the program give different answers on ``feed``.
        FileError: The artifact holds no graph, or a model is missing or damaged.
        InputError: A model takes other inputs than the artifact.
        ToolchainError: ONNX Runtime is not installed.
    """
    contents = session.artifact.files
    if GRAPH not in contents:
        raise FileError(f"the artifact holds no {GRAPH} for the peer")
    integer = _onnxruntime(contents[GRAPH], feed, threads, f"the artifact's {GRAPH}")
    answer, found_there = session.run(feed), integer()
    if len(answer) != len(found_there):
        raise MismatchError(f"the artifact's {GRAPH} has {len(found_there)} outputs, the program {len(answer)}")
    for (name, expected), found in zip(answer.items(), found_there, strict=True):
        compare(expected, found, f"ONNX Runtime's output {name!r} and the program's")
    engines = {"onnxruntime-int": integer}
    if float_model is not None:
        engines["onnxruntime-float"] = _onnxruntime(
            files.read(float_model, 2 << 30), feed, threads, files.show(float_model)
        )
    return engines


def interleaved(engines: Mapping[str, Call], *, rounds: int) -> dict[str, dict[str, float]]:
    """Time the engines in turn; milliseconds per call by engine: median, 10th and 90th percentile."""
    repeats = {name: _repeats(engine) for name, engine in engines.items()}
    times: dict[str, list[float]] = {name: [] for name in engines}
    names = list(engines)
    for turn in range(rounds):
        for name in islice(cycle(names), turn % len(names), turn % len(names) + len(names)):
            start = time.perf_counter()
            for _ in range(repeats[name]):
                engines[name]()
            times[name].append((time.perf_counter() - start) / repeats[name] * 1e3)
    columns = {"median_ms": 50, "p10_ms": 10, "p90_ms": 90}
    return {
        name: {column: round(float(np.percentile(found, q)), 6) for column, q in columns.items()}
        for name, found in times.items()
    }


def _repeats(engine: Call) -> int:
    """How many calls make a measurement of at least :data:`LEAST_SECONDS`; warms the engine up."""
    shortest = float("inf")
    for _ in range(WARM_UP):
        start = time.perf_counter()
        engine()
        shortest = min(shortest, time.perf_counter() - start)
    return max(1, round(LEAST_SECONDS / max(shortest, 1e-9)))


def _onnxruntime(model: bytes, feed: Mapping[str, Array], threads: int, what: str) -> Call:
    """A function that runs the model ``what`` on ``feed`` once; it was run before, so it can be."""
    try:
        import onnxruntime
    except ImportError as e:
        raise ToolchainError('onnxruntime is not installed: pip install "edgegate-compiler[compile]"') from e
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    with _refused(what, FileError):
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    if set(names) != set(feed):
        raise InputError(f"{what} takes {', '.join(names)}, the artifact {', '.join(feed)}")
    with _refused(what, InputError):
        session.run(None, dict(feed))
    return lambda: session.run(None, dict(feed))


@contextmanager
def _refused(what: str, error: type[EdgeGateError]) -> Iterator[None]:
    """Turn ONNX Runtime's exceptions, which have no base class of their own, into ``error``."""
    try:
        yield
    except Exception as e:
        if not type(e).__module__.startswith("onnxruntime"):
            raise
        raise error(f"{what}: ONNX Runtime refuses it: {' '.join(str(e).split())[:200]}") from e
