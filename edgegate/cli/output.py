"""What subcommands print, and the options that all of them share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

SCHEMA = 1
"""Version of the documents that ``--json`` prints."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads; by default all processors.")]
ArtifactPath = Annotated[str, typer.Argument(metavar="ARTIFACT", help="A compiled model.")]


def document(command: str, **entries: Any) -> None:
    """Print the one JSON document of ``command`` on stdout."""
    print(json.dumps({"schema": SCHEMA, "command": command, **entries}, allow_nan=False, indent=1))


def note(text: str) -> None:
    """A line for people, on stderr."""
    print(text, file=sys.stderr)


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Show ``text`` with a spinner on stderr while the body runs, if someone watches."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield
