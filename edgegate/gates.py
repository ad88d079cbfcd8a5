"""Gates calibrated on the integer program itself, with labelled data: which threshold lets how many samples go on.

The float model's theta is only where training ended. What a gate compares is an integer, the raw accumulator of its
logit, so its threshold is chosen among those integers: the greatest that keeps the recall that is asked for.

Source: Li et al., arXiv 2405.01739, which chooses theta of Gated Compression layers after training.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
    import onnx_ir as ir

__all__ = ["CURVES", "Curve", "Gates", "Labelled", "calibrate", "curve", "curves", "labelled", "recalibrate"]

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
    given = Labelled(data=data if isinstance(data, Mapping) else {"": np.asarray(data)}, positive=np.asarray(labels))
    manifest = artifact.manifest
    inputs = {spec.name: (spec.shape, spec.dtype) for spec in manifest.inputs}
    gates = Gates(model=artifact.files[MODEL], inputs=inputs, point=manifest.operating_point)
    point, found = _chosen(gates, given, recall)
    contents = {**artifact.files, CURVES: _packed(found)}
    options = {**manifest.options, "operating_point": point}
    entries = {name: FileEntry.of(content) for name, content in contents.items()}
    return Artifact(replace(manifest, options=options, files=entries), contents)


def calibrate(model: ir.Model, given: Labelled, recall: float) -> None:
    """Choose the thresholds of an integer graph, as :func:`recalibrate`; its ``meta`` holds the curves' file.

    Raises:
        InputError: The model has no gates, or takes other inputs.
        ValueError: A wrong recall.
    """
    import onnx_ir as ir

    from edgegate.graph import POINT, operating_point, shape

    inputs = {str(v.name): (shape(v), v.dtype.numpy().name) for v in model.graph.inputs if v.dtype is not None}
    data = ir.to_proto(model).SerializeToString()
    point, found = _chosen(Gates(model=data, inputs=inputs, point=operating_point(model)), given, recall)
    model.graph.metadata_props[POINT] = json.dumps(point)
    model.meta[CURVES] = _packed(found)


def _packed(found: Mapping[str, Curve]) -> bytes:
    return _json.canonical({name: curve.document() for name, curve in found.items()})


def _chosen(gates: Gates, given: Labelled, recall: float) -> tuple[dict[str, int], dict[str, Curve]]:
    """The thresholds by input, and the curves by gate."""
    names = list(gates.point)
    if not names:
        raise InputError("the model has no gates: put edgegate.nn.GatedCompression into it")
    if not 0 < recall <= 1:
        raise ValueError(f"a recall lies in (0, 1], got {recall}")
    sums = gates.sums(given.data)
    going, point, found = np.ones(given.positive.size, np.bool_), dict[str, int](), dict[str, Curve]()
    for name in names:
        values, below = sums[name]
        signed = -values - 1 if below else values
        part = curve(signed[going], given.positive[going])
        threshold = part.thresholds[part.at(recall ** (1 / len(names)))]
        going &= signed > threshold
        point[name] = ~threshold if below else threshold
        whole = part if len(names) == 1 else curve(signed, given.positive)
        turned = tuple(~t if below else t for t in whole.thresholds)
        found[name.removesuffix(SUFFIX)] = replace(whole, thresholds=turned)
    return point, found


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


@dataclass(frozen=True, kw_only=True)
class Gates:
    """An integer graph with gates, as ONNX Runtime runs it.

    Attributes:
        model: The graph as ONNX.
        inputs: Shape and dtype of each, by name.
        point: The inputs that are thresholds, and what they are by default.
    """

    model: bytes
    inputs: Mapping[str, tuple[tuple[int, ...], str]]
    point: Mapping[str, int]

    def sums(self, data: Mapping[str, Array]) -> dict[str, tuple[Array, bool]]:
        """What the gates compare, by the name of the threshold.

        Returns:
            int64 [N] of raw accumulators, and whether the gate opens at and below its threshold instead of above.

        Raises:
            InputError: Other inputs than the graph takes.
        """
        import onnx
        import onnxruntime as ort

        model = onnx.load_model_from_string(self.model)
        readers = {name: _reader(model, name) for name in self.point}
        for node in readers.values():
            if node.input[0] not in {v.name for v in model.graph.output}:
                model.graph.output.append(onnx.ValueInfoProto(name=node.input[0]))
        settings = ort.SessionOptions()
        settings.log_severity_level, settings.intra_op_num_threads = 4, 1
        session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        made: dict[str, list[Array]] = {name: [] for name in self.point}
        for feed, count in self._batches(data):
            results = session.run([node.input[0] for node in readers.values()], feed)
            for name, result in zip(readers, results, strict=True):
                made[name].append(result.reshape(-1)[:count].astype(np.int64))
        return {name: (np.concatenate(parts), readers[name].op_type == "LessOrEqual") for name, parts in made.items()}

    def _batches(self, data: Mapping[str, Array]) -> Iterator[tuple[dict[str, Array], int]]:
        """Feeds of one call each, and how many of their samples count."""
        wanted = {name: spec for name, spec in self.inputs.items() if name not in self.point}
        arrays = dict(zip(wanted, data.values(), strict=True)) if len(wanted) == len(data) == 1 else dict(data)
        if set(arrays) != set(wanted):
            raise InputError(f"expected the inputs {', '.join(wanted)}, got {', '.join(arrays) or 'none'}")
        size = next(iter(wanted.values()))[0][0]
        for name, (dims, dtype) in wanted.items():
            array = np.asarray(arrays[name], dtype)
            if array.shape[1:] != dims[1:] or dims[0] != size:
                raise InputError(f"input {name!r}: expected samples of {list(dims[1:])}, got {list(array.shape)}")
            arrays[name] = np.concatenate([array, np.repeat(array[-1:], -len(array) % size, axis=0)])
        fixed = {name: np.array([value], self.inputs[name][1]) for name, value in self.point.items()}
        count = len(next(iter(data.values())))
        for start in range(0, count, size):
            part = {name: array[start : start + size] for name, array in arrays.items()}
            yield {**part, **fixed}, min(size, count - start)


def _reader(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    """The comparison that reads a threshold."""
    found = [node for node in model.graph.node if name in node.input]
    if len(found) != 1 or found[0].op_type not in ("Greater", "LessOrEqual") or found[0].input[1] != name:
        raise FileError(f"{MODEL}: {name} is not the threshold of one gate")
    return found[0]
