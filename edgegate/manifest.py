"""What an artifact says of itself: ``manifest.json``.

The manifest names every other file with its size and SHA-256, and carries a SHA-256 of itself, so
that a change anywhere is seen before anything is loaded. This finds damage and clumsy edits. It is no
signature: whoever can write a program can write its manifest too, so run artifacts that you trust.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edgegate import _json
from edgegate.errors import FileError
from edgegate.io_spec import IOSpec as IOSpec
from edgegate.storage import Scores, Thresholds, edge_of

FORMAT = 1
"""Version of the artifact's layout."""
MANIFEST = "manifest.json"
SEQUENCE = "sequence.so"
"""The program of whole sequences, where there is one."""
MANIFEST_LIMIT = 64 << 20
"""Largest manifest, in bytes."""
FILE_NAME = re.compile(r"(?:[a-z0-9_]{1,64}/)?[A-Za-z0-9_]{1,64}\.(?:egate|onnx|so|npz|json|c|h|cu|cubin|ptx|v|md|txt)")
"""The names that the files of an artifact may have."""
STEPS_LIMIT = 1 << 20
"""Most steps of one call."""
FIELDS = ("format", "edgegate", "arithmetic", "target", "inputs", "outputs", "files", "digest")
NOTES = ("versions", "options", "gates", "proof")


def samples(inputs: Sequence[IOSpec], outputs: Sequence[IOSpec]) -> int:
    """How many samples a call takes: the first axis, if all inputs and outputs have the same; else 1."""
    leading = {spec.stored_shape[:1] for spec in (*inputs, *outputs)}
    return next(iter(leading))[0] if len(leading) == 1 and leading != {()} else 1


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the program runs on.

    Attributes:
        kind: Name of the EdgeGate target: "llvm", "c", "cuda", "verilog".
        triple: LLVM's target triple; "" where it means nothing.
        mcpu: LLVM's name of the processor; "" for the architecture's baseline.
        features: Every instruction set extension that the code may use, in LLVM's words.
    """

    kind: str
    triple: str = ""
    mcpu: str = ""
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(sorted(set(self.features))))
        words = (self.kind, self.triple, self.mcpu, *self.features)
        if not self.kind or not all(re.fullmatch(r"[A-Za-z0-9_.+-]{0,100}", word) for word in words):
            raise ValueError(f"impossible target {ascii(words)[:100]}")


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """Size and SHA-256 of one file of the artifact."""

    sha256: str
    size: int

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{64}", self.sha256) or self.size < 0:
            raise ValueError("a file needs a SHA-256 in hex and a size")

    @classmethod
    def of(cls, data: bytes) -> FileEntry:
        """The entry of a file that holds ``data``."""
        return cls(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The manifest of an artifact.

    Attributes:
        edgegate: Version that made it.
        arithmetic: The rounding rule of every rescale; "tosa-single".
        target: What the program runs on.
        inputs: In the order the program takes them.
        outputs: In the order the program gives them.
        files: By name, all files but the manifest.
        versions: Of the tools that made it.
        options: What was asked for. ``batch`` is read back: how many samples one call computes.
        gates: The model's gates by name: kind, family, activations, where they stand.
        proof: What was proved of the program, e.g. the bounds of each accumulator.

    Raises:
        ValueError: An attribute is impossible.
    """

    edgegate: str
    target: Target
    inputs: tuple[IOSpec, ...]
    outputs: tuple[IOSpec, ...]
    files: Mapping[str, FileEntry]
    arithmetic: str = "tosa-single"
    versions: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    gates: Mapping[str, Any] = field(default_factory=dict)
    proof: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, specs in (("inputs", self.inputs), ("outputs", self.outputs)):
            if not specs or len({spec.name for spec in specs}) != len(specs):
                raise ValueError(f"the {what} must have names of their own, and there must be one")
        self._check_edges()
        self._check_states()
        self._check_point()
        if not all(isinstance(gate, Mapping) for gate in self.gates.values()):
            raise ValueError("a gate must be described by names and values")
        for name in self.files:
            if name == MANIFEST or not FILE_NAME.fullmatch(name):
                raise ValueError(f"{name!a} is no name for a file of an artifact")

    def _check_edges(self) -> None:
        for spec in self.inputs:
            if isinstance(spec.storage, Scores):
                raise ValueError(f"{spec.name}: an input has no scores")
        for spec in self.outputs:
            if isinstance(spec.storage, Thresholds):
                raise ValueError(f"{spec.name}: an output has no thresholds")

    def _check_states(self) -> None:
        """A state is an input, and in the next step what another input or output is, stored alike."""
        specs = {spec.name: spec for spec in (*self.inputs, *self.outputs)}
        inputs = {spec.name for spec in self.inputs}
        for before, after in self.states:
            if before not in inputs or after not in specs:
                raise ValueError(f"state {ascii(before)[:60]} is no input, or {ascii(after)[:60]} is nothing")
            first, second = specs[before], specs[after]
            if (first.shape, first.dtype, first.storage) != (second.shape, second.dtype, second.storage):
                raise ValueError(f"state {before} is not stored like {after}")
        if bool(self.steps) != (SEQUENCE in self.files) or (self.steps and not self.states):
            raise ValueError(f"options: steps is {self.steps}; a step has them, with the program {SEQUENCE}")

    def _check_point(self) -> None:
        """A threshold is one integer, and what it is by default fits it."""
        specs = {spec.name: spec for spec in self.inputs}
        for name, threshold in self.operating_point.items():
            spec = specs.get(name)
            if spec is None or spec.shape != (1,) or spec.dtype not in ("int32", "int64"):
                raise ValueError(f"threshold {ascii(name)[:60]} is no input of one integer")
            limit = 1 << (31 if spec.dtype == "int32" else 63)
            if not -limit <= threshold < limit:
                raise ValueError(f"{name}: {spec.dtype} cannot be {threshold}")

    @property
    def operating_point(self) -> dict[str, int]:
        """The inputs that are thresholds of gates, and what they are unless a session moves them."""
        point = self.options.get("operating_point", {})
        if not isinstance(point, Mapping) or not all(type(t) is int for t in point.values()):
            raise ValueError(f"options: operating_point must be integers by input, got {ascii(point)[:60]}")
        return dict(point)

    @property
    def states(self) -> list[tuple[str, str]]:
        """The states of a step: (input, the output or other input that it is in the next step)."""
        pairs = self.options.get("state", [])
        if not isinstance(pairs, list) or not all(isinstance(pair, str) and "=" in pair for pair in pairs):
            raise ValueError(f"options: state must be a list of INPUT=OUTPUT, got {ascii(pairs)[:60]}")
        return [(before, after) for before, _, after in (pair.partition("=") for pair in pairs)]

    @property
    def steps(self) -> int:
        """The steps that one call of the program of sequences does; 0 without one."""
        steps = self.options.get("steps", 0)
        if type(steps) is not int or not 0 <= steps <= STEPS_LIMIT:
            raise ValueError(f"options: steps must be at most {STEPS_LIMIT}, got {ascii(steps)[:60]}")
        return steps

    @property
    def shown(self) -> tuple[IOSpec, ...]:
        """The outputs that are more than state: what a step gives."""
        names = self.options.get("shown", [])
        return tuple(spec for spec in self.outputs if spec.name in names) or self.outputs

    @property
    def batch(self) -> int:
        """Samples that one call of the program computes, as its options say; 1 if they do not."""
        batch = self.options.get("batch", 1)
        return batch if isinstance(batch, int) and batch > 0 else 1

    def document(self) -> dict[str, Any]:
        """The manifest as plain JSON values, but for its digest."""
        notes = {name: dict(getattr(self, name)) for name in NOTES}
        return {
            "format": FORMAT,
            "edgegate": self.edgegate,
            "arithmetic": self.arithmetic,
            "target": asdict(self.target),
            "inputs": [asdict(spec) for spec in self.inputs],
            "outputs": [asdict(spec) for spec in self.outputs],
            "files": {name: asdict(entry) for name, entry in self.files.items()},
            **notes,
        }

    def to_bytes(self) -> bytes:
        """The canonical bytes of ``manifest.json``.

        Raises:
            ValueError: A NaN or an infinity among the notes.
            TypeError: Something among the notes that JSON has no form for.
        """
        body = self.document()
        return _json.canonical({**body, "digest": _digest(body)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            ValueError: It is anything else; the message names the entry.
            FileError: Another version's format.
        """
        found = _json.parse(data)
        if isinstance(found, dict) and found.get("format") != FORMAT:
            raise FileError(f"format {ascii(found.get('format'))[:20]}, this version reads format {FORMAT}")
        entries = _json.record(found, (*FIELDS, *NOTES), "the manifest")
        if entries.pop("digest") != _digest(entries):
            raise ValueError("altered: its digest does not match")
        described = _json.typed(entries["files"], dict, "files")
        return cls(
            edgegate=_json.typed(entries["edgegate"], str, "edgegate"),
            arithmetic=_json.typed(entries["arithmetic"], str, "arithmetic"),
            target=_target(entries["target"]),
            inputs=tuple(map(_spec, _json.items(entries["inputs"], dict, "inputs"))),
            outputs=tuple(map(_spec, _json.items(entries["outputs"], dict, "outputs"))),
            files={name: _file(name, entry) for name, entry in described.items()},
            **{name: _json.typed(entries[name], dict, name) for name in NOTES},
        )


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json.canonical(body)).hexdigest()


def _target(value: Any) -> Target:
    entries = _json.record(value, ("kind", "triple", "mcpu", "features"), "target")
    features = _json.items(entries.pop("features"), str, "features")
    return Target(features=features, **{k: _json.typed(v, str, k) for k, v in entries.items()})


def _spec(value: Any) -> IOSpec:
    entries = _json.record(value, ("name", "shape", "dtype", "storage"), "an input or output")
    storage = entries["storage"]
    return IOSpec(
        name=_json.typed(entries["name"], str, "name"),
        shape=_json.items(entries["shape"], int, "shape"),
        dtype=_json.typed(entries["dtype"], str, "dtype"),
        storage=None if storage is None else edge_of(storage),
    )


def _file(name: str, value: Any) -> FileEntry:
    entries = _json.record(value, ("sha256", "size"), ascii(name))
    return FileEntry(
        sha256=_json.typed(entries["sha256"], str, "sha256"), size=_json.typed(entries["size"], int, "size")
    )
