"""Killed or failing at any step of saving: the destination is absent, as it was, or complete."""

import errno
import os
import signal
from pathlib import Path

import pytest

import edgegate
from edgegate import files
from edgegate.errors import FileError
from tests import tiny_program as tiny

STEPS = ("open", "write", "fsync", "close", "rename", "mkdir")


class Fault:
    """Calls ``strike`` before or after the n-th step that the module ``files`` takes."""

    def __init__(self, strike, at, after=False):
        self.strike, self.at, self.after, self.seen = strike, at, after, 0

    def __getattr__(self, name):  # stands for the module os
        real = getattr(os, name)
        return self.step(real) if name in STEPS else real

    def step(self, real):
        def call(*args, **named):
            self.seen += 1
            if self.seen != self.at:
                return real(*args, **named)
            if self.after:
                real(*args, **named)
            return self.strike()

        return call

    def install(self, patch):
        patch.setattr(files, "os", self)
        patch.setattr(files, "_exchange", self.step(files._exchange))


def places(tmp_path, made, folder, existing):
    """Steps that saving takes, and a function that makes a fresh destination for each."""

    def fresh(name):
        (tmp_path / name).mkdir()
        path = f"{tmp_path / name}/m" + "/" * folder
        if existing:
            tiny.artifact(b"old").save(path)
        return path

    counter = Fault(None, 0)
    path = fresh("count")
    with pytest.MonkeyPatch.context() as patch:
        counter.install(patch)
        made.save(path)
    assert counter.seen > 10
    return counter.seen, fresh


def state(path):
    return edgegate.load(path) if path.exists() else None


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("existing", [False, True])
def test_killed_at_any_step(made, tmp_path, folder, existing):
    """Destination absent, as it was, or complete, wherever SIGKILL strikes."""
    count, fresh = places(tmp_path, made, folder, existing)
    old, seen = tiny.artifact(b"old") if existing else None, set()
    for at in range(1, count + 1):
        for after in (False, True):
            path = fresh(f"{at}-{after}")
            child = os.fork()
            if child == 0:
                Fault(lambda: os.kill(os.getpid(), signal.SIGKILL), at, after).install(pytest.MonkeyPatch())
                made.save(path)
                os._exit(0)
            assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
            found = state(Path(path))
            assert found in (made, old)
            seen.add(found == made)
    assert seen == {True, False}


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_an_error_at_any_step_leaves_nothing_behind(made, tmp_path, folder, existing, number):
    count, fresh = places(tmp_path, made, folder, existing)
    old = tiny.artifact(b"old") if existing else None

    def strike():
        raise OSError(number, os.strerror(number))

    for at in range(1, count + 1):
        path = fresh(str(at))
        with pytest.MonkeyPatch.context() as patch:
            Fault(strike, at).install(patch)
            with pytest.raises(FileError) as caught:
                made.save(path)
        assert "\n" not in str(caught.value)
        assert state(Path(path)) in (old, made)
        assert {p.name for p in (tmp_path / str(at)).iterdir()} <= {"m"}
