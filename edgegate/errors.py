"""What can go wrong, as one exception type per exit code.

The command line turns an :class:`EdgeGateError` into one line on stderr and its ``exit_code``;
anything else is a bug of ours (exit code 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the ``edgegate`` command."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    UNSUPPORTED = 3
    MISMATCH = 4
    IO = 5
    TOOLCHAIN = 6
    UNSAFE = 7


class EdgeGateError(Exception):
    """Base of every deliberate error."""

    exit_code = ExitCode.INTERNAL


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing about the user's model that stops compilation.

    Attributes:
        where: The node or tensor, with the torch source line it came from.
        what: What is wrong with it, with the offending value.
        fix: What the user can do.
    """

    where: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.fix}"


class CompileError(EdgeGateError):
    """The user's model cannot be compiled as it is. Holds every problem found, not just the first."""

    exit_code = ExitCode.UNSUPPORTED

    def __init__(self, where: str, what: str, fix: str) -> None:
        self.problems: Sequence[Problem] = (Problem(where=where, what=what, fix=fix),)
        super().__init__(str(self.problems[0]))

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> CompileError:
        """One error for all ``problems``; there must be at least one."""
        error = cls(problems[0].where, problems[0].what, problems[0].fix)
        error.problems = tuple(problems)
        error.args = ("\n".join(map(str, problems)),)
        return error


class InputError(EdgeGateError):
    """A value given at run time has the wrong name, shape, dtype or content."""

    exit_code = ExitCode.USAGE


class MismatchError(EdgeGateError):
    """A program did not reproduce its own test vectors, or two engines disagree."""

    exit_code = ExitCode.MISMATCH


class FileError(EdgeGateError):
    """A file cannot be read or written: missing, truncated, no space left."""

    exit_code = ExitCode.IO


class ToolchainError(EdgeGateError):
    """A compiler or library that this step needs is not installed; names the package."""

    exit_code = ExitCode.TOOLCHAIN


class UnsafeError(EdgeGateError):
    """A file was refused because opening it could run its code or exhaust this machine."""

    exit_code = ExitCode.UNSAFE
