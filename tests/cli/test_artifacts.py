"""Whatever a command is asked to do with an artifact, a damaged one is refused, in one line and by its cause."""

import numpy as np
import pytest

from tests import tiny_program as tiny

CALLS = {
    "run": ["run", "m.egate", "-i", "x.npy", "-o", "y.npz"],
    "verify": ["verify", "m.egate"],
    "bench": ["bench", "m.egate"],
    "report": ["report", "m.egate"],
}


@pytest.fixture(params=CALLS)
def call(request, folder):
    """The arguments of one command that reads m.egate."""
    np.save(folder / "x.npy", np.zeros((1, 8), np.float32))
    return CALLS[request.param]


def test_none_there(edgegate, call):
    assert edgegate.refused(5, *call) == ["m.egate: no such file"]


def test_a_folder_without_one(edgegate, folder, call):
    (folder / "m.egate").mkdir()
    assert edgegate.refused(5, *call) == ["m.egate: no artifact: it holds no manifest.json"]


@pytest.mark.parametrize("size", [0, 10, 300, -1])
def test_truncated(edgegate, folder, artifact, call, size):
    data = (folder / "m.egate").read_bytes()
    (folder / "m.egate").write_bytes(data[:size])
    (line,) = edgegate.refused(5, *call)
    assert line.startswith("m.egate: ")


def test_tampered_with(edgegate, folder, artifact, call):
    data = bytearray((folder / "m.egate").read_bytes())
    data[data.index(artifact.files["program.so"]) + 100] ^= 1
    (folder / "m.egate").write_bytes(data)
    (line,) = edgegate.refused(7, *call)
    assert line.startswith("m.egate: damaged or altered")


def test_a_file_of_a_folder_tampered_with(edgegate, folder, artifact, call):
    (folder / "m.egate").unlink()
    artifact.save("m.egate/")
    data = bytearray((folder / "m.egate" / "vectors.npz").read_bytes())
    data[-1] ^= 1
    (folder / "m.egate" / "vectors.npz").write_bytes(data)
    assert edgegate.refused(7, *call) == ["m.egate: vectors.npz was altered: it does not match the manifest"]


def test_of_another_version(edgegate, folder, artifact, call):
    (folder / "m.egate").write_bytes(tiny.forged(artifact, format=2))
    (line,) = edgegate.refused(5, *call)
    assert line == "m.egate: format 2, this version reads format 1"


def test_something_else(edgegate, folder, call):
    (folder / "m.egate").write_bytes(b"\x7fELF" + bytes(100))
    assert edgegate.refused(5, *call) == ["m.egate: not an artifact"]
