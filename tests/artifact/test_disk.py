"""Disks that are full, slow or not ours: one line that says what to do."""

import ctypes
import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import edgegate
from edgegate import _zip
from edgegate.errors import FileError
from edgegate.manifest import MANIFEST
from tests import tiny_program as tiny
from tests.forked import as_nobody, in_child, world


def test_short_writes_are_completed(made, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "write", lambda fd, data, write=os.write: write(fd, bytes(data[:7])))
    made.save(tmp_path / "m.egate")
    monkeypatch.undo()
    assert edgegate.load(tmp_path / "m.egate") == made


def test_disk_full_by_ulimit(tmp_path):
    big = tiny.artifact(bytes(100_000))

    def body():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        big.save(tmp_path / "m.egate")

    message = in_child(body)
    need = sum(map(len, _zip.pack({MANIFEST: big.manifest.to_bytes(), **dict(sorted(big.files.items()))})))
    assert message.endswith(f"no space left: need {need} bytes, have 50000")
    assert message.startswith("FileError")
    assert list(tmp_path.iterdir()) == []


def test_disk_full_on_a_small_file_system(tmp_path):
    """A real ENOSPC: a file system of 64 KiB in a name space of our own."""
    script = (
        "import os, sys; from tests import tiny_program as t; from edgegate.errors import FileError\n"
        "t.artifact(b'old').save('m.egate')\n"
        "try: t.artifact(bytes(100_000)).save('m.egate')\n"
        "except FileError as e: print(e)\n"
        "from edgegate import load; print(load('m.egate').files['program.so'], os.listdir())"
    )
    (tmp_path / "small").mkdir()
    inner = f'mount -t tmpfs -o size=64k none small && cd small && {sys.executable} -c "$SCRIPT"'
    environment = {**os.environ, "SCRIPT": script, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", inner]
    try:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.returncode and "Traceback" not in done.stderr:
        pytest.skip("name spaces are not allowed here")
    assert "m.egate: no space left: need " in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "b'old' ['m.egate']"


def test_no_permission(made):
    with world() as folder:

        def save(name):
            return as_nobody(lambda: made.save(folder / name / "m.egate"))

        assert save("open") == "None"
        assert save("locked") == f"FileError: {folder}/locked/m.egate: no permission (Permission denied)"
        assert [path.name for path in folder.rglob("*.egate")] == ["m.egate"]


def test_a_file_system_that_cannot_exchange_folders(made, tmp_path, monkeypatch):
    made.save(f"{tmp_path}/m/")

    class Libc:
        def renameat2(self, *_):
            ctypes.set_errno(errno.EINVAL)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Libc())
    with pytest.raises(FileError, match="cannot replace a folder in one step"):
        tiny.artifact(b"other").save(f"{tmp_path}/m/")
    assert edgegate.load(tmp_path / "m") == made
