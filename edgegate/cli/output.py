"""What subcommands print, and the options that all of them share."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from edgegate import files
from edgegate.errors import InputError

SCHEMA = 1
"""Version of the documents that ``--json`` prints."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads; by default all processors.")]
ArtifactPath = Annotated[str, typer.Argument(metavar="ARTIFACT", help="A compiled model.")]


def document(command: str, **entries: Any) -> None:
    """Print the one JSON document of ``command`` on stdout."""
    print(json.dumps({"schema": SCHEMA, "command": command, **entries}, allow_nan=False, indent=1))


def writable(*paths: str | None, keep: Sequence[str | None] = (), check: Callable[[str], None] = files.check) -> None:
    """Return if the outputs can be written, as far as that can be told before the work is done.

    Args:
        paths: Where they will go; None: nowhere.
        keep: The inputs, which no output may replace.
        check: Looks at one path.

    Raises:
        FileError: There is no such folder, it may not be written to, or something else is in the way.
        InputError: An output would replace an input or another output.
    """
    taken = {os.path.realpath(path) for path in keep if path}
    for path in filter(None, paths):
        check(path)
        if os.path.realpath(path) in taken:
            raise InputError(f"{files.show(path)}: an input, or named for two outputs")
        taken.add(os.path.realpath(path))


def note(text: str) -> None:
    """A line for people, on stderr."""
    print(printable(text), file=sys.stderr)


def printable(text: str) -> str:
    """``text`` without what would break the line or steer a terminal: names come from files of others."""
    return text if text.isprintable() else ascii(text)[1:-1]


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Show ``text`` with a spinner on stderr while the body runs, if someone watches."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield
