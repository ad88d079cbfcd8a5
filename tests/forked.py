"""Code that must not run in the process of the tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def in_child(body: Callable[[], object]) -> str:
    """Run ``body`` in a forked child: what it returned, or the exception that it raised."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            result = body()
        except BaseException as e:
            result = f"{type(e).__name__}: {e}"
        os.write(writing, str(result).encode()[:4000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read().decode()
    os.waitpid(child, 0)
    return said


def as_nobody(body: Callable[[], object]) -> str:
    """As :func:`in_child`, by a user who may not write everywhere."""

    def demoted() -> object:
        if os.getuid() == 0:
            os.setuid(65534)
        return body()

    return in_child(demoted)


@contextmanager
def world() -> Iterator[Path]:
    """A folder with the folders ``open``, where anyone may write, and ``locked``, where nobody may."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # pytest's own folders are closed to others
        for inner, mode in (("open", 0o777), ("locked", 0o555)):
            (folder / inner).mkdir()
            (folder / inner).chmod(mode)
        yield folder
