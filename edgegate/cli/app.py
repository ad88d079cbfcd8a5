"""The table of subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

from edgegate.cli.bench import bench
from edgegate.cli.boundary import guarded
from edgegate.cli.compile import compile
from edgegate.cli.quantize import quantize
from edgegate.cli.report import report
from edgegate.cli.run import run
from edgegate.cli.targets import targets
from edgegate.cli.verify import verify

app = typer.Typer(
    name="edgegate",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from edgegate import __version__

        print(f"edgegate {__version__}", flush=True)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compile gated neural networks to integer-only programs, and run them."""


for command in (compile, quantize, run, verify, bench, report, targets):
    app.command()(guarded(command))
