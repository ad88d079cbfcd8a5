"""Manifests: one spelling, no impossible value."""

import json

import numpy as np
import pytest

from edgegate.artifact import Artifact, FileEntry, IOSpec, Storage, Target
from edgegate.manifest import MANIFEST, Manifest
from edgegate.storage import Scores
from tests import tiny_program as tiny
from tests.artifact.refusal import refused


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra": 1}, "unknown key"),
        ({"format": 2}, "reads format 1"),
        ({"arithmetic": None}, "arithmetic must be str"),
        ({"target": {"kind": "llvm"}}, "target lacks"),
        ({"target": {"kind": "llvm", "triple": "", "mcpu": "a b", "features": []}}, "impossible target"),
        ({"inputs": []}, "inputs must have names"),
        ({"inputs": [{"name": "x", "shape": [True], "dtype": "int8", "storage": None}]}, "shape[0] must be int"),
        ({"inputs": [{"name": "x", "shape": [0], "dtype": "int8", "storage": None}]}, "impossible shape"),
        ({"inputs": [{"name": "x", "shape": [2**40], "dtype": "int8", "storage": None}]}, "impossible shape"),
        ({"inputs": [{"name": "x\n", "shape": [1], "dtype": "int8", "storage": None}]}, "printable"),
        ({"inputs": [{"name": "x", "shape": [1], "dtype": "object", "storage": None}]}, "dtype must be one of"),
        ({"files": {"../x.so": {"sha256": "0" * 64, "size": 1}}}, "no name for a file"),
        ({"files": {"model.onnx": {"sha256": "0" * 64, "size": "1"}}}, "size must be int"),
        ({"options": []}, "options must be dict"),
        ({"gates": {"mul": "F2"}}, "a gate must be described"),
    ],
)
def test_a_manifest_with_a_right_digest_must_still_make_sense(made, tmp_path, change, words):
    (tmp_path / "m.egate").write_bytes(tiny.forged(made, **change))
    refused(tmp_path / "m.egate", words)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda text: text.replace('"format": 1', '"format": 1.0'),
        lambda text: text.replace('"format": 1', '"format": 1, "format": 1'),
        lambda text: text.replace('"low": -5', '"low": NaN'),
        lambda text: text.replace('"low": -5', '"low": -4'),
        lambda text: text.replace('"low": -5', '"low": ' + "9" * 5000),
        lambda text: text.replace('"low": -5', '"low": ' + "[" * 100_000),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + " ",
        lambda text: text[:-3],
        lambda text: "\ufeff" + text,
        lambda text: "",
        lambda text: "[]",
        lambda text: "null",
    ],
)
def test_a_manifest_has_one_spelling(made, tmp_path, spelling):
    data = spelling(made.manifest.to_bytes().decode()).encode()
    (tmp_path / "m.egate").write_bytes(tiny.file_of(made, data))
    refused(tmp_path / "m.egate", MANIFEST)


@pytest.mark.parametrize(
    "impossible",
    [
        lambda: Storage(dtype="int4", scale=1.0),
        lambda: Storage(dtype="int8", scale=0.0),
        lambda: Storage(dtype="int8", scale=float("nan")),
        lambda: Storage(dtype="uint8", scale=1.0, zero_point=-1),
        lambda: Storage(dtype="int32", scale=1.0, zero_point=1),
        lambda: IOSpec(name="", shape=(1,), dtype="int8"),
        lambda: IOSpec(name="x", shape=(1,), dtype="int8", storage=tiny.STORED),
        lambda: Target(kind=""),
        lambda: FileEntry(sha256="x", size=1),
        lambda: tiny.artifact(storage=Scores(tau=1.0, beta=0.0)),  # type: ignore[arg-type]
        lambda: tiny.artifact(more={"manifest.json": b""}),
        lambda: tiny.artifact(more={"run.sh": b""}),
        lambda: Artifact(tiny.artifact().manifest, {}),
        lambda: Artifact(tiny.artifact().manifest, {**tiny.artifact().files, "program.so": b"another"}),
    ],
)
def test_impossible_values_are_refused_at_construction(impossible):
    with pytest.raises(ValueError, match=r"."):
        impossible()


def test_scales_are_what_float32_holds(made):
    assert Storage(dtype="int8", scale=0.1).scale == float(np.float32(0.1))
    assert Manifest.from_bytes(made.manifest.to_bytes()) == made.manifest


def test_documents_are_plain_json(made):
    assert json.loads(json.dumps(made.manifest.document()))["inputs"][0]["shape"] == [1, 8]
