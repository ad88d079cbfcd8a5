"""``edgegate run``: arrays in, arrays out, and every wrong input told in one line."""

import json

import numpy as np
import pytest

from edgegate import _npz
from edgegate.artifact import IOSpec, Target
from tests import tiny_program as tiny
from tests.runtime.definition import expected

X = np.random.default_rng(0).normal(scale=20, size=(5, 8)).astype(np.float32)


def test_arrays_by_name(edgegate, folder, artifact):
    np.savez(folder / "x.npz", x=X)
    done = edgegate.good("run", "m.egate", "-i", "x.npz", "-o", "y.npz", "--threads", "1")
    y = _npz.load(folder / "y.npz")
    assert list(y) == ["y"]
    assert np.array_equal(y["y"], expected(X))
    assert (done.out, done.lines) == ("", (f"y: float32[5, 8], {expected(X).min()} to {expected(X).max()}",))


def test_the_only_input_needs_no_name(edgegate, folder, artifact):
    np.save(folder / "x.npy", X)
    np.savez(folder / "x.npz", X)  # numpy calls it arr_0
    for name in ("x.npy", "x.npz"):
        edgegate.good("run", "m.egate", "-i", name, "-o", "y.npz")
        assert np.array_equal(_npz.load(folder / "y.npz")["y"], expected(X))


def test_stored_integers_and_no_samples(edgegate, folder, artifact):
    np.save(folder / "x.npy", np.full((1, 8), -128, np.int8))
    assert edgegate.good("run", "m.egate", "-i", "x.npy").lines == ("y: float32[1, 8], -65.0 to -65.0",)
    np.save(folder / "x.npy", X[:0])
    assert edgegate.good("run", "m.egate", "-i", "x.npy").lines == ("y: no samples",)


def test_json(edgegate, folder, artifact):
    np.save(folder / "x.npy", X)
    done = edgegate.good("run", "m.egate", "-i", "x.npy", "-o", "y.npz", "--json")
    assert done.lines == ()
    assert json.loads(done.out) == {
        "schema": 1, "command": "run", "output": "y.npz", "outputs": {"y": {"shape": [5, 8], "dtype": "float32"}},
    }  # fmt: skip


NAN = X.copy()
NAN[2, 3] = np.nan
WRONG = {
    "two arrays": ({"x": X, "z": X}, "expected the inputs x, got x, z"),
    "no array": ({}, "expected the inputs x, got none"),
    "another shape": ({"x": X[:, :7]}, "input 'x': expected shape [N, 8], got [5, 7]"),
    "no batch": ({"x": X[0]}, "input 'x': expected shape [N, 8], got [8]"),
    "another dtype": ({"x": X.astype(np.float64)}, "input 'x': expected float32 (or stored int8), got float64"),
    "NaN": ({"x": NAN}, "input 'x': nan at [2, 3]; expected finite numbers"),
    "infinity": ({"x": np.where(np.isnan(NAN), -np.inf, X).astype(np.float32)}, "input 'x': -inf at [2, 3]"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_inputs(edgegate, folder, artifact, kind):
    arrays, words = WRONG[kind]
    np.savez(folder / "x.npz", **arrays)
    (line,) = edgegate.refused(2, "run", "m.egate", "-i", "x.npz", "-o", "y.npz")
    assert line.startswith(words)


def test_names_count_where_there_are_several_inputs(edgegate, folder, artifact):
    inputs = [IOSpec(name=n, shape=(1, 8), dtype="float32", storage=tiny.STORED) for n in ("x", "z")]
    made = type(artifact).create(
        artifact.files, target=artifact.manifest.target, inputs=inputs, outputs=artifact.manifest.outputs
    )
    made.save(folder / "two.egate")
    np.savez(folder / "x.npz", x=X, y=X)
    (line,) = edgegate.refused(2, "run", "two.egate", "-i", "x.npz")
    assert line == "expected the inputs x, z, got x, y"


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", 5, "not a .npz file"),
        (b"\x93NUMPY", 5, "damaged .npy"),
        (_npz.pack({"x": X})[:-30], 5, "not a .npz file"),
        (_npz.pack({"x": X}).replace(X.tobytes()[:20], bytes(20)), 5, "not a .npz file"),
    ],
)
def test_input_files_that_are_none(edgegate, folder, artifact, data, code, words):
    (folder / "x.npz").write_bytes(data)
    (line,) = edgegate.refused(code, "run", "m.egate", "-i", "x.npz", "-o", "y.npz")
    assert line.startswith("x.npz: ")
    assert words in line


def test_input_files_that_could_do_harm_or_are_not_there(edgegate, folder, artifact):
    np.savez(folder / "x.npz", x=np.array([{}], dtype=object))
    (line,) = edgegate.refused(7, "run", "m.egate", "-i", "x.npz")
    assert line == "x.npz: arrays of object are not read, only numbers"
    (line,) = edgegate.refused(5, "run", "m.egate", "-i", "nothing.npz")
    assert line == "nothing.npz: no such file"
    assert "--input" in edgegate.misused("run", "m.egate")


def test_a_machine_that_cannot_run_it(edgegate, folder):
    np.save(folder / "x.npy", X)
    tiny.artifact(tiny.library(1), target=Target(kind="llvm", features=("avx1024",))).save("m.egate")
    (line,) = edgegate.refused(7, "run", "m.egate", "-i", "x.npy", "-o", "y.npz")
    assert line.startswith("the program needs avx1024")
    tiny.artifact(b"no program").save("m.egate")
    (line,) = edgegate.refused(5, "run", "m.egate", "-i", "x.npy", "-o", "y.npz")
    assert line.startswith("program.so cannot be loaded")
