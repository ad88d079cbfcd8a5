"""The ``edgegate`` command: one short file per subcommand, over the same functions as the Python interface.

``edgegate --help`` imports neither numpy nor torch, TVM or ONNX: the subcommands import what they use.
Documents for machines (``--json``) go to stdout, words for people to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with the code of :class:`edgegate.errors.ExitCode`.

    Args:
        arguments: Without the program's name; None: those of this process.
    """
    from edgegate.cli.app import app
    from edgegate.cli.boundary import report

    try:
        app(arguments, prog_name="edgegate")
    except OSError as e:  # the help does not fit on the disk
        sys.exit(report(e))
