"""Operating points: where the gates of a program decide, moved without compiling it again.

The threshold of a cut is an input of the program, one integer that a session holds. ``curves.json`` in the artifact
says for each gate what every threshold would do on the labelled data that it was calibrated with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from edgegate import _json
from edgegate._npz import Array
from edgegate.artifact import Artifact
from edgegate.errors import InputError, UnsafeError
from edgegate.manifest import Manifest

CURVES = "curves.json"
SUFFIX = ".threshold"
"""Behind the name of a gate: its threshold."""
RECALL = "recall="


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What the thresholds of one gate do, over the samples that it was calibrated with.

    Attributes:
        thresholds: In the order of falling recall.
        recalls: Share of the positives that go on.
        stops: Share of the negatives that are stopped.

    Raises:
        ValueError: No points, of different numbers, out of order, or shares outside of [0, 1].
    """

    thresholds: tuple[int, ...]
    recalls: tuple[float, ...]
    stops: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.thresholds) == len(self.recalls) == len(self.stops) > 0:
            raise ValueError("a curve has as many thresholds as recalls and stops, and one at least")
        if not all(0 <= share <= 1 for share in (*self.recalls, *self.stops)):
            raise ValueError("recalls and stops lie in [0, 1]")
        pairs = zip((self.recalls, self.stops), (-1, 1), strict=True)
        if any(sign * (b - a) < 0 for row, sign in pairs for a, b in pairwise(row)):
            raise ValueError("along a curve the recall falls and the stop rate rises")

    def at(self, recall: float) -> int:
        """The place of the last point that reaches a recall; ValueError outside of (0, 1]."""
        if not 0 < recall <= 1:
            raise ValueError(f"a recall lies in (0, 1], got {recall}")
        return max((i for i, r in enumerate(self.recalls) if r >= recall), default=0)

    def document(self) -> dict[str, list[Any]]:
        """The curve as plain JSON values."""
        return {"thresholds": list(self.thresholds), "recalls": list(self.recalls), "stops": list(self.stops)}

    @classmethod
    def of(cls, value: Any) -> Curve:
        """Read what :meth:`document` wrote; ValueError if it is anything else."""
        entries = _json.record(value, ("thresholds", "recalls", "stops"), "a curve")
        whole = _json.items(entries["thresholds"], int, "thresholds")
        shares = [_json.items(entries[name], float, name) for name in ("recalls", "stops")]
        return cls(thresholds=whole, recalls=shares[0], stops=shares[1])


def curves(artifact: Artifact) -> dict[str, Curve]:
    """The curves by gate, as the artifact holds them; none, if it was not calibrated with labelled data.

    Raises:
        UnsafeError: They were altered.
    """
    if CURVES not in artifact.files:
        return {}
    try:
        found = _json.typed(_json.parse(artifact.files[CURVES]), dict, "the curves")
        return {name: Curve.of(curve) for name, curve in found.items()}
    except ValueError as e:
        raise UnsafeError(f"{CURVES}: {e}") from e


def thresholds(artifact: Artifact, point: str | Mapping[str, int] | None = None) -> dict[str, Array]:
    """The thresholds of an operating point, by input name: each an array of one integer.

    Args:
        artifact: With gates.
        point: "recall=0.99": on the data of the curves, so many of the positives go on, at each of n gates the n-th
            root of it; "123" or "gate_0=123,gate_1=-7": integers; a mapping of such; None: what the artifact says.

    Raises:
        InputError: There is no such gate, no such number, or no curve to look a recall up in.
    """
    manifest = artifact.manifest
    chosen = dict(manifest.operating_point)
    if point is not None:
        if not chosen:
            raise InputError("an operating point is for a program with gates: this one has none")
        chosen |= _named(manifest, point if isinstance(point, Mapping) else _parsed(artifact, point))
    specs = {spec.name: spec for spec in manifest.inputs}
    try:
        return {name: np.array([value], specs[name].dtype) for name, value in chosen.items()}
    except OverflowError as e:
        raise InputError(f"a threshold is past what its gate sums: {e}") from e


def _parsed(artifact: Artifact, text: str) -> dict[str, int]:
    gates = [name.removesuffix(SUFFIX) for name in artifact.manifest.operating_point]
    try:
        if text.startswith(RECALL):
            return _recalled(artifact, float(text.removeprefix(RECALL)))
        if "=" not in text:
            if len(gates) > 1:
                raise ValueError("there are several gates")
            return {gates[0]: int(text)}
        pairs = [part.partition("=") for part in text.split(",")]
        return {name.strip(): int(number) for name, _, number in pairs}
    except ValueError as e:
        expected = f"recall=0.99, or {', '.join(f'{gate}=INTEGER' for gate in gates)}"
        raise InputError(f"operating point {text!r}: expected {expected} ({e})") from e


def _recalled(artifact: Artifact, recall: float) -> dict[str, int]:
    known = curves(artifact)
    if not known:
        raise InputError("the artifact holds no curves: compile it with --gate-data, or give thresholds as integers")
    if not math.isfinite(recall):
        raise ValueError(f"a recall lies in (0, 1], got {recall}")
    each = recall ** (1 / len(known)) if recall > 0 else recall
    return {gate: curve.thresholds[curve.at(each)] for gate, curve in known.items()}


def _named(manifest: Manifest, point: Mapping[str, int]) -> dict[str, int]:
    """Thresholds by input name, from those by gate."""
    found = {name if name.endswith(SUFFIX) else name + SUFFIX: value for name, value in point.items()}
    if unknown := sorted(set(found) - set(manifest.operating_point)):
        gates = ", ".join(name.removesuffix(SUFFIX) for name in manifest.operating_point)
        raise InputError(f"no gate {unknown[0].removesuffix(SUFFIX)!r}: there are {gates}")
    return found
