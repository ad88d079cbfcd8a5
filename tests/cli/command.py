"""The command as its user sees it: exit code, stdout, stderr, and the files that it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgegate.cli import main


@dataclass(frozen=True, kw_only=True)
class Done:
    """What one call gave."""

    code: int
    out: str
    lines: tuple[str, ...]
    """Of stderr."""


class Command:
    """Calls ``edgegate`` in this process; ``folder`` is the working folder."""

    def __init__(self, capture: pytest.CaptureFixture[str], folder: Path) -> None:
        self.capture, self.folder = capture, folder

    def __call__(self, *arguments: str) -> Done:
        self.capture.readouterr()
        with pytest.raises(SystemExit) as left:
            main(arguments)
        out, err = self.capture.readouterr()
        assert isinstance(left.value.code, int)
        return Done(code=left.value.code, out=out, lines=tuple(err.splitlines()))

    def good(self, *arguments: str) -> Done:
        """A call that must succeed."""
        done = self(*arguments)
        assert done.code == 0, done
        return done

    def refused(self, code: int, *arguments: str) -> list[str]:
        """A call that must fail with this code, write nothing, and say why: the lines, without their "error: "."""
        before = contents(self.folder)
        done = self(*arguments)
        assert done.code == code, done
        assert done.out == ""
        assert contents(self.folder) == before
        assert done.lines
        assert all(line.startswith("error: ") and len(line) < 500 for line in done.lines), done
        return [line.removeprefix("error: ") for line in done.lines]

    def misused(self, *arguments: str) -> str:
        """A call that the parser of the command line must refuse: its message."""
        before = contents(self.folder)
        done = self(*arguments)
        assert (done.code, done.out) == (2, "")
        assert contents(self.folder) == before
        assert done.lines[0].startswith("Usage: edgegate ")
        return done.lines[-1]


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below ``folder`` by name; None for what is no file."""
    return dict(_entries(folder))


def _entries(folder: Path) -> Iterator[tuple[str, bytes | None]]:
    for path in sorted(folder.rglob("*")):
        yield str(path.relative_to(folder)), path.read_bytes() if path.is_file() else None
