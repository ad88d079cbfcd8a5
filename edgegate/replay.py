"""The self-test of an artifact: its vectors again, compared bit for bit."""

from __future__ import annotations

import numpy as np

from edgegate import vectors
from edgegate._npz import Array
from edgegate.errors import FileError, MismatchError
from edgegate.runtime import Session
from edgegate.stage_plan import is_staged, stages_of


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
    inner = [verify(stage.session()) for stage in stages_of(session.artifact)] if is_staged(session.artifact) else []
    for number, test in enumerate(tests):
        if set(test.inputs) != {s.name for s in session.inputs}:
            raise FileError(f"{vectors.VECTORS}: vector {number} has other inputs than the program")
        if set(test.outputs) != {s.name for s in session.outputs}:
            raise FileError(f"{vectors.VECTORS}: vector {number} has other outputs than the program")
        found = session.run_stored([test.inputs[spec.name] for spec in session.inputs])
        for spec, array in zip(session.outputs, found, strict=True):
            compare(array, test.outputs[spec.name], f"test vector {number}: output {spec.name!r}")
    return len(tests) + sum(inner)


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
