"""The one place where errors become lines on stderr and exit codes."""

from __future__ import annotations

import dis
import functools
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec

import typer

from edgegate.cli.output import note
from edgegate.errors import EdgeGateError, ExitCode

P = ParamSpec("P")

CHECKED = tuple(
    f"edgegate.{name}" for name in ("api", "compiler", "frontend", "options", "quant", "runtime", "targets")
)
"""Modules whose own ValueErrors speak of a wrong argument."""
INTERRUPTED, BROKEN_PIPE = 130, 141  # 128 + the signal, as shells report it


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """``command``, with every exception turned into lines on stderr and an exit code.

    The command must have a parameter ``debug``; if it is true the traceback is printed as well.
    """

    @functools.wraps(command)
    def run(*args: P.args, **named: P.kwargs) -> None:
        try:
            command(*args, **named)
            print(end="", flush=True)
        except (KeyboardInterrupt, Exception) as e:
            if isinstance(e, typer.Exit | typer.BadParameter):
                raise
            if named.get("debug"):
                import traceback

                traceback.print_exc()
            raise typer.Exit(report(e)) from e

    return run


def report(error: BaseException) -> int:
    """Print what went wrong; returns the exit code."""
    if isinstance(error, KeyboardInterrupt):
        note("interrupted")
        return INTERRUPTED
    if isinstance(error, OSError):
        return _unwritable(error)
    if isinstance(error, EdgeGateError):
        for line in str(error).splitlines():
            note(f"error: {line}")
        return error.exit_code
    if isinstance(error, ValueError) and _raised_by_a_check(error.__traceback__):
        note(f"error: {' '.join(str(error).split())}")
        return ExitCode.USAGE
    text = " ".join(str(error).split())[:300]
    note(f"internal error: {type(error).__name__}: {text}; --debug shows where")
    return ExitCode.INTERNAL


def _unwritable(error: OSError) -> int:
    """The exit code of an OSError that no file's name belongs to: stdout is closed, or its disk is full."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try again at its end
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    note(f"error: {error.strerror or error}")
    return ExitCode.IO


def _raised_by_a_check(trace: TracebackType | None) -> bool:
    """Whether a ``raise`` statement of one of the :data:`CHECKED` modules raised it, not numpy or a bug."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not str(trace.tb_frame.f_globals.get("__name__")).startswith(CHECKED):
        return False
    return dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
