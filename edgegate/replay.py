"""The self-test of an artifact: its vectors again, compared bit for bit; and a sequence at once with its steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgegate import vectors
from edgegate._npz import Array
from edgegate.chunks import Chunk
from edgegate.errors import FileError, MismatchError
from edgegate.runtime import Session
from edgegate.stage_plan import is_staged, stages_of


def verify(session: Session) -> int:
    """Replay the artifact's self-test bit for bit; how many vectors passed. A sequence at once is compared with steps.

    Raises:
        MismatchError: An output differs; says which, in how many places, and where first.
        FileError: The artifact holds no test vectors, or ones that do not fit it.
    """
    files = session.artifact.files
    tests = vectors.unpack(files[vectors.VECTORS]) if vectors.VECTORS in files else []
    if not tests:
        raise FileError("the artifact holds no test vectors")
    inner = [verify(stage.session()) for stage in stages_of(session.artifact)] if is_staged(session.artifact) else []
    for number, test in enumerate(tests):
        if set(test.inputs) != {s.name for s in session.inputs}:
            raise FileError(f"{vectors.VECTORS}: vector {number} has other inputs than the program")
        if set(test.outputs) != {s.name for s in session.outputs}:
            raise FileError(f"{vectors.VECTORS}: vector {number} has other outputs than the program")
        found = session.run_stored([test.inputs[spec.name] for spec in session.inputs])
        for spec, array in zip(session.outputs, found, strict=True):
            compare(array, test.outputs[spec.name], f"test vector {number}: output {spec.name!r}")
    if session.chunk is not None:
        _at_once(session, session.chunk, tests)
    return len(tests) + sum(inner)


def _at_once(session: Session, chunk: Chunk, tests: Sequence[vectors.Vector]) -> None:
    """Compare the program of a sequence with so many steps: on the inputs of the vectors in turn, states of the first.

    Raises:
        MismatchError: An output of all steps differs, or a state after the last.
    """
    pairs, outputs = session.artifact.manifest.states, [spec.name for spec in session.outputs]
    held = {before: tests[0].inputs[before] for before, _ in pairs}
    fresh = [spec.name for spec in session.inputs if spec.name not in held]
    feed = {name: np.stack([tests[i % len(tests)].inputs[name] for i in range(chunk.steps)]) for name in fresh}
    found = chunk.run_stored({**feed, **held})
    rows: list[dict[str, Array]] = []
    for step in range(chunk.steps):
        given = {**held, **{name: array[step] for name, array in feed.items()}}
        stored = session.run_stored([given[spec.name] for spec in session.inputs])
        rows.append(dict(zip(outputs, stored, strict=True)))
        held = {before: {**given, **rows[-1]}[after] for before, after in pairs}
    for name, every, array in found:
        wanted = np.stack([row[name] for row in rows]) if every else {**held, **rows[-1]}[name]
        compare(array, wanted, f"{chunk.steps} steps at once: {'output' if every else 'state'} {name!r}")


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
