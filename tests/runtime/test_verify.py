"""The self-test: every bit equal, or the first that is not."""

import numpy as np
import pytest

import edgegate
from edgegate import vectors
from edgegate.artifact import Artifact, IOSpec
from edgegate.errors import FileError, InputError, MismatchError
from edgegate.replay import compare
from tests import tiny_program as tiny


def test_verify(tmp_path):
    made = tiny.artifact(tiny.library(1))
    made.save(tmp_path / "m.egate")
    assert edgegate.load(tmp_path / "m.egate").verify() == 2


def with_vectors(tests):
    made = tiny.artifact(tiny.library(1))
    contents = {**made.files, "vectors.npz": vectors.pack(tests)}
    manifest = made.manifest
    return Artifact.create(contents, target=manifest.target, inputs=manifest.inputs, outputs=manifest.outputs)


def test_verify_names_what_differs():
    x, y = np.zeros((1, 8), np.int8), np.ones((1, 8), np.int8)
    y[0, [3, 5]] = 7
    good = vectors.Vector(inputs={"x": x}, outputs={"y": np.ones((1, 8), np.int8)})
    bad = with_vectors([good, vectors.Vector(inputs={"x": x}, outputs={"y": y})])
    with pytest.raises(MismatchError) as caught:
        bad.verify()
    assert str(caught.value) == ("test vector 1: output 'y': 2 of 8 values differ, first at [0, 3]: expected 7, got 1")


@pytest.mark.parametrize(
    ("tests", "error"),
    [
        ([], FileError),
        ([vectors.Vector(inputs={}, outputs={"y": np.ones((1, 8), np.int8)})], FileError),
        ([vectors.Vector(inputs={"x": np.ones((1, 8), np.int8)}, outputs={})], FileError),
        ([vectors.Vector(inputs={"x": np.ones((1, 8), np.int8)}, outputs={"y": np.ones(8, np.int8)})], MismatchError),
        ([vectors.Vector(inputs={"x": np.ones((1, 9), np.int8)}, outputs={"y": np.ones(8, np.int8)})], InputError),
    ],
)
def test_test_vectors_that_do_not_fit(tests, error):
    with pytest.raises(error):
        with_vectors(tests).verify()


def test_a_program_that_is_not_what_its_manifest_says():
    made = tiny.artifact(tiny.library(1))
    wide = [IOSpec(name="y", shape=(1, 9), dtype="float32", storage=tiny.STORED)]
    wrong = Artifact.create(made.files, target=made.manifest.target, inputs=made.manifest.inputs, outputs=wide)
    with pytest.raises(MismatchError, match="its manifest says"):
        wrong(np.zeros((1, 8), np.float32))


def test_compare_takes_no_dtype_for_another():
    with pytest.raises(MismatchError, match="expected int16"):
        compare(np.zeros(3, np.int8), np.zeros(3, np.int16), "y")
