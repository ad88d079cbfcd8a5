"""Arrays in .npz and .npy files: no pickle, no array larger than its bytes, no crash on damage."""

import io
import os
import random
import zipfile
from typing import Any

import numpy as np
import pytest

from edgegate import _npz, vectors
from edgegate.errors import FileError, UnsafeError
from tests.artifact.refusal import REFUSED


def test_npz_round_trip_and_numpy_reads_it(tmp_path):
    arrays: dict[str, Any] = {
        "a/b": np.arange(6, dtype=np.int16).reshape(2, 3),
        "ü": np.array(1.5, np.float32),
        "empty": np.zeros((0, 3), bool),
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    data = _npz.pack(arrays)
    (tmp_path / "x.npz").write_bytes(data)
    for found in (_npz.load(tmp_path / "x.npz"), dict(np.load(tmp_path / "x.npz"))):
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            assert np.array_equal(found[name], array)
    np.savez_compressed(tmp_path / "c.npz", **{"x": arrays["a/b"]})
    assert np.array_equal(_npz.load(tmp_path / "c.npz")["x"], arrays["a/b"])
    np.save(tmp_path / "x.npy", arrays["f"])
    assert np.array_equal(_npz.load(tmp_path / "x.npy")[""], arrays["f"])


class Evil:
    def __reduce__(self):
        return (os.mkdir, (os.environ["MARKER"],))


def test_no_pickle_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKER", str(tmp_path / "marker"))
    np.savez(tmp_path / "x.npz", x=np.array([Evil()], dtype=object))
    np.save(tmp_path / "x.npy", np.array([Evil()], dtype=object))
    for name in ("x.npz", "x.npy"):
        with pytest.raises(UnsafeError, match="only numbers"):
            _npz.load(tmp_path / name)
    assert not (tmp_path / "marker").exists()


def _npy(header):
    """A .npy file of version 1.0 that holds this header, whatever it says."""
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00\x00",
        _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }"),
        _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4), }") + bytes(16),
        _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }") + bytes(15),
        _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }") + bytes(17),
        _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -4), }") + bytes(16),
        _npy("{'descr': '|i1', 'fortran_order': False, 'shape': (" + "1," * 17 + "), }") + bytes(1),
        _npy("__import__('os').abort()"),
        _npy("{" * 50),
        _npy("{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }") + bytes(16),
        _npz.pack({"x": np.zeros(1000)})[:-9],
        _npz.pack({"x": np.zeros(1000)}).replace(bytes(500), bytes(499) + b"x"),
    ],
)
def test_damaged_arrays(tmp_path, data):
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(REFUSED) as caught:
        _npz.load(tmp_path / "x.npz")
    assert "\n" not in str(caught.value)


def _zipped(method):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name in ("x", "y"):
            array = io.BytesIO()
            np.save(array, np.arange(8, dtype=np.int16).reshape(2, 4))
            archive.writestr(f"{name}.npy", array.getvalue())
    return stream.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_numpy_does_not_write(method):
    with pytest.raises(FileError, match=f"compressed by method {method}"):
        _npz.unpack(_zipped(method))


def refusal_of(data):
    """With which words ``data`` is refused; None if it is read."""
    try:
        _npz.unpack(data)
    except REFUSED as e:
        return str(e)
    return None


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::UserWarning")  # from numpy's parser of headers
def test_damage_anywhere_is_refused_or_harmless(method):
    good, chance, words = _zipped(method), random.Random(int(method)), []
    for _ in range(2000):
        bad = bytearray(good)
        for place in chance.sample(range(len(good)), 2):
            bad[place] = chance.choice([bad[place] ^ 1 << chance.randrange(8), ord("-"), ord("9"), 0, 255])
        words.append(refusal_of(bytes(bad)))
    refusals = [text for text in words if text is not None]
    assert len(refusals) > 1000
    assert not [text for text in refusals if "\n" in text]


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(1 << 20))
    monkeypatch.setattr(_npz, "LIMIT", 1 << 20)
    with pytest.raises(UnsafeError, match="when unpacked"):
        _npz.load(tmp_path / "x.npz")


@pytest.mark.parametrize("name", ["x", "input/x", "input/1", "output/-1/x", "input/one/x", "in/0/x"])
def test_names_of_test_vectors(name):
    with pytest.raises(FileError, match="no name of a test vector"):
        vectors.unpack(_npz.pack({name: np.zeros(1)}))


def test_arrays_do_not_outlive_their_file():
    data = bytearray(_npz.pack({"x": np.arange(9)}))
    array = _npz.unpack(bytes(data))["x"]
    assert array.flags.writeable
    assert array.flags.owndata
