"""Programs in memory: loaded once, never mixed up, and never before every hash fits."""

import gc
import os
import shutil
import subprocess
import threading

import numpy as np
import pytest

import edgegate
from edgegate import _program
from edgegate.artifact import Artifact, IOSpec, Target
from edgegate.errors import FileError, InputError, UnsafeError
from edgegate.runtime import Session
from tests import tiny_program as tiny
from tests.runtime.definition import expected


def test_two_programs_do_not_alias():
    """The loader knows a library by its path, so a closed memory file would bring the old one back."""
    x = np.zeros((1, 8), np.int8)
    for constant in (1, 2, 3, 1, 2):
        session = Session(tiny.artifact(tiny.library(constant), constant=constant), threads=1)
        assert session.run_stored([x])[0][0, 0] == constant
        del session
        gc.collect()
    sessions = [Session(tiny.artifact(tiny.library(c), constant=c), threads=1) for c in (1, 2, 3, 2)]
    assert [int(s.run_stored([x])[0][0, 0]) for s in sessions] == [1, 2, 3, 2]


def test_a_program_is_mapped_once():
    before = len(os.listdir("/proc/self/fd"))
    made = tiny.artifact(tiny.library(1))
    for _ in range(20):
        Session(made, threads=1)
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_threads_share_a_session(plus_one):
    wrong = []

    def work(seed):
        x = np.random.default_rng(seed).normal(scale=20, size=(50, 8)).astype(np.float32)
        for _ in range(20):
            if not np.array_equal(plus_one(x), expected(x)):
                wrong.append(seed)

    workers = [threading.Thread(target=work, args=[i]) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_number_of_threads():
    import tvm_ffi

    counts = []

    def work():  # in a thread of its own: TVM makes a pool for each
        for wanted in (1, 2, 1, None):
            Session(tiny.artifact(tiny.library(1)), threads=wanted)(np.zeros((1, 8), np.float32))
            counts.append(tvm_ffi.get_global_func("runtime.NumThreads")())

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    most = len(_program.processors())
    assert counts == [1, min(2, most), 1, most]
    with pytest.raises(ValueError, match="at least 1"):
        Session(tiny.artifact(), threads=0)


def test_without_memory_files(monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(_program, "_libraries", {})
    x = np.zeros((1, 8), np.int8)
    for constant in (4, 5):
        session = Session(tiny.artifact(tiny.library(constant), constant=constant), threads=1)
        assert session.run_stored([x])[0][0, 0] == constant


def test_the_memory_file_is_sealed():
    descriptor = _program._memory_file(b"program")
    assert descriptor is not None
    with pytest.raises(OSError, match="not permitted"):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(OSError, match="not permitted"):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


@pytest.fixture(scope="module")
def marking(tmp_path_factory) -> bytes:
    """A library whose constructor makes the folder $MARKER."""
    folder = tmp_path_factory.mktemp("marking")
    (folder / "m.c").write_text(
        "#include <stdlib.h>\n#include <sys/stat.h>\n"
        '__attribute__((constructor)) static void mark(void) { mkdir(getenv("MARKER"), 0700); }\n'
    )
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C compiler")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "m.so", folder / "m.c"], check=True)
    return (folder / "m.so").read_bytes()


def test_no_constructor_runs_unless_every_hash_fits(marking, tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    monkeypatch.setenv("MARKER", str(marker))
    made = tiny.artifact(marking)
    made.save(tmp_path / "m.egate")
    good = (tmp_path / "m.egate").read_bytes()
    start = good.index(marking)
    for place in range(start, start + len(marking), len(marking) // 60):
        bad = bytearray(good)
        bad[place] ^= 1
        (tmp_path / "m.egate").write_bytes(bad)
        with pytest.raises(UnsafeError):
            edgegate.load(tmp_path / "m.egate")(np.zeros((1, 8), np.float32))
    for name in ("model.onnx", "vectors.npz"):  # another file altered: the program does not run either
        forged = {n: e for n, e in made.manifest.document()["files"].items()}
        forged[name] = {"sha256": "0" * 64, "size": forged[name]["size"]}
        (tmp_path / "m.egate").write_bytes(tiny.forged(made, files=forged))
        with pytest.raises(UnsafeError, match="altered"):
            edgegate.load(tmp_path / "m.egate")(np.zeros((1, 8), np.float32))
    assert not marker.exists()
    (tmp_path / "m.egate").write_bytes(good)
    loaded = edgegate.load(tmp_path / "m.egate")
    assert not marker.exists()  # loading an artifact executes nothing
    with pytest.raises(FileError, match="no program of TVM"):
        loaded(np.zeros((1, 8), np.float32))
    assert marker.exists()  # so the marker would have told


@pytest.mark.parametrize("program", [b"", b"no ELF", b"\x7fELF" + bytes(100)])
def test_a_program_that_does_not_load(program):
    with pytest.raises(FileError, match="cannot be loaded") as caught:
        Session(tiny.artifact(program))
    assert "\n" not in str(caught.value)


def test_an_artifact_without_a_program():
    made = Artifact.create(
        {"source/main.c": b""},
        target=Target(kind="npu"),
        inputs=[IOSpec(name="x", shape=(1,), dtype="int8")],
        outputs=[IOSpec(name="y", shape=(1,), dtype="int8")],
    )
    with pytest.raises(FileError, match=r"is for npu and holds no program\.so"):
        Session(made)


def test_a_device_that_is_not_there():
    with pytest.raises(InputError, match="no device"):
        Session(tiny.artifact(tiny.library(1)), device="cuda:9")
