"""Gates calibrated on the integer program itself, with labelled data: which threshold lets how many samples go on.

The float model's theta is only where training ended. What a gate compares is an integer, the raw accumulator of its
logit, so its threshold is chosen among those integers: the greatest that keeps the recall that is asked for.

Source: Li et al., arXiv 2405.01739, which chooses theta of Gated Compression layers after training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgegate import _json
from edgegate._npz import Array
from edgegate.artifact import Artifact
from edgegate.errors import FileError, InputError
from edgegate.manifest import FileEntry
from edgegate.point import CURVES, SUFFIX, Curve, curves

if TYPE_CHECKING:
    import onnx

__all__ = ["CURVES", "Curve", "Labelled", "curve", "curves", "labelled", "recalibrate"]

LABELS = "labels"
"""The array of a file of labelled data that says which samples are positive."""
MOST = 4096
"""Points of a curve; of more, some are left out."""
MODEL = "model.onnx"


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Samples, and which of them are of interest.

    Attributes:
        data: Inputs by name, samples first; "" for the only one.
        positive: bool [N].

    Raises:
        ValueError: The labels are not one a sample, of 0 and 1, or all alike.
    """

    data: Mapping[str, Array]
    positive: Array

    def __post_init__(self) -> None:
        counts = {len(a) if np.ndim(a) else 0 for a in self.data.values()}
        labels = np.asarray(self.positive)
        if counts != {labels.size}:
            raise ValueError(f"{labels.size} labels for {sorted(counts)} samples: give one label for each sample")
        if not np.isin(labels, (0, 1)).all() or len(np.unique(labels)) != 2:
            raise ValueError("labels are 0 and 1, and there must be samples of both: 1 is what the gates let through")
        object.__setattr__(self, "positive", labels.reshape(-1).astype(np.bool_))


def labelled(arrays: Mapping[str, Array]) -> Labelled:
    """The content of a file: the array ``labels``, and the inputs.

    Raises:
        ValueError: There are no labels, or as :class:`Labelled`.
    """
    if LABELS not in arrays:
        raise ValueError(f"labelled data holds the inputs and an array {LABELS!r}: 1 for each positive sample, else 0")
    return Labelled(data={k: v for k, v in arrays.items() if k != LABELS}, positive=arrays[LABELS])


def recalibrate(artifact: Artifact, data: Any, labels: Any, recall: float = 0.99) -> Artifact:
    """The artifact with thresholds chosen on labelled data, and the whole curve of each gate.

    Nothing is compiled. Of several gates, each is asked for the root of the recall, on what those before let through,
    so that all of them together keep it.

    Args:
        artifact: With gates.
        data: Inputs by name, samples first; or the array of the only one.
        labels: [N] of 0 and 1, or bools: which samples are positive.
        recall: Share of the positives that are to go on, in (0, 1].

    Raises:
        InputError: The artifact has no gates, or takes other inputs.
        ValueError: A wrong label or recall.
    """
    names = list(artifact.manifest.operating_point)
    if not names:
        raise InputError("the artifact has no gates: put edgegate.nn.GatedCompression into the model")
    if not 0 < recall <= 1:
        raise ValueError(f"a recall lies in (0, 1], got {recall}")
    given = Labelled(data=data if isinstance(data, Mapping) else {"": np.asarray(data)}, positive=np.asarray(labels))
    sums = accumulators(artifact, given.data)
    going, point, found = np.ones(given.positive.size, np.bool_), dict[str, int](), dict[str, Curve]()
    for name in names:
        values, below = sums[name]
        signed = -values - 1 if below else values
        part = curve(signed[going], given.positive[going])
        threshold = part.thresholds[part.at(recall ** (1 / len(names)))]
        going &= signed > threshold
        point[name] = ~threshold if below else threshold
        whole = part if len(names) == 1 else curve(signed, given.positive)
        found[name.removesuffix(SUFFIX)] = replace(
            whole, thresholds=tuple(~t if below else t for t in whole.thresholds)
        )
    return _with(artifact, point, found)


def curve(values: Array, positive: Array) -> Curve:
    """What every threshold does: a sample goes on where its value is above it.

    Args:
        values: Integers [N].
        positive: bool [N], some true.
    """
    wanted, other = np.sort(values[positive]), np.sort(values[~positive])
    if not wanted.size:
        raise InputError("no positive sample reaches the gate: ask for a higher recall, or train it again")
    met = np.unique(wanted)
    if len(met) > MOST:
        met = met[np.unique(np.linspace(0, len(met) - 1, MOST).astype(np.int64))]
    least = np.concatenate([met - 1, met[-1:]])  # just below each value that occurs; and one that stops all
    recalls = (wanted.size - np.searchsorted(wanted, least, side="right")) / wanted.size
    stops = np.searchsorted(other, least, side="right") / max(other.size, 1)
    return Curve(thresholds=tuple(least.tolist()), recalls=tuple(recalls.tolist()), stops=tuple(stops.tolist()))


def _with(artifact: Artifact, point: Mapping[str, int], found: Mapping[str, Curve]) -> Artifact:
    """The artifact at another operating point, with these curves."""
    contents = {**artifact.files, CURVES: _json.canonical({name: c.document() for name, c in found.items()})}
    manifest = artifact.manifest
    options = {**manifest.options, "operating_point": dict(point)}
    entries = {name: FileEntry.of(content) for name, content in contents.items()}
    return Artifact(replace(manifest, options=options, files=entries), contents)


def accumulators(artifact: Artifact, data: Mapping[str, Array]) -> dict[str, tuple[Array, bool]]:
    """What the gates of an artifact compare, by the name of the threshold.

    Returns:
        int64 [N] of raw accumulators, and whether the gate opens at and below its threshold instead of above.

    Raises:
        InputError: Other inputs than the program takes.
    """
    import onnx
    import onnxruntime as ort

    model = onnx.load_model_from_string(artifact.files[MODEL])
    point = artifact.manifest.operating_point
    readers = {name: _reader(model, name) for name in point}
    for node in readers.values():
        if node.input[0] not in {v.name for v in model.graph.output}:
            model.graph.output.append(onnx.ValueInfoProto(name=node.input[0]))
    settings = ort.SessionOptions()
    settings.log_severity_level, settings.intra_op_num_threads = 4, 1
    session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    made: dict[str, list[Array]] = {name: [] for name in point}
    for feed, count in _batches(artifact, data):
        results = session.run([node.input[0] for node in readers.values()], feed)
        for name, result in zip(readers, results, strict=True):
            made[name].append(result.reshape(-1)[:count].astype(np.int64))
    return {name: (np.concatenate(parts), readers[name].op_type == "LessOrEqual") for name, parts in made.items()}


def _reader(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    """The comparison that reads a threshold."""
    found = [node for node in model.graph.node if name in node.input]
    if len(found) != 1 or found[0].op_type not in ("Greater", "LessOrEqual") or found[0].input[1] != name:
        raise FileError(f"{MODEL}: {name} is not the threshold of one gate")
    return found[0]


def _batches(artifact: Artifact, data: Mapping[str, Array]) -> Any:
    """Feeds of one call each, and how many of their samples count."""
    point = artifact.manifest.operating_point
    specs = [spec for spec in artifact.manifest.inputs if spec.name not in point]
    arrays = dict(data)
    if len(specs) == len(data) == 1:
        arrays = dict(zip([specs[0].name], data.values(), strict=True))
    if set(arrays) != {spec.name for spec in specs}:
        raise InputError(f"expected the inputs {', '.join(s.name for s in specs)}, got {', '.join(arrays) or 'none'}")
    size = specs[0].shape[0]
    for spec in specs:
        array = np.asarray(arrays[spec.name], spec.dtype)
        if array.shape[1:] != spec.shape[1:] or spec.shape[0] != size:
            raise InputError(
                f"input {spec.name!r}: expected samples of {list(spec.shape[1:])}, got {list(array.shape)}"
            )
        arrays[spec.name] = np.concatenate([array, np.repeat(array[-1:], -len(array) % size, axis=0)])
    fixed = {s.name: np.array([point[s.name]], s.dtype) for s in artifact.manifest.inputs if s.name in point}
    count = len(next(iter(data.values())))
    for start in range(0, count, size):
        part = {name: array[start : start + size] for name, array in arrays.items()}
        yield {**part, **fixed}, min(size, count - start)
