"""Losses of block formats under transforms, with the limits they keep: ``python -m tests.bench_quant``.

Layers of 256 x 256 with 2048 vectors to calibrate with and 2048 others to measure on (:mod:`tests.bench_quant_data`),
weights and inputs in blocks; the squared error of the output, relative, as ratios of one transform over another.
The exit code is 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from edgegate.quant.formats import format_named
from tests.bench_quant_data import KINDS
from tests.bench_quant_layers import (
    FORMATS,
    Figure,
    gptq_figures,
    identity_figures,
    loss,
    nvfp4_figures,
    predicted,
    ratio,
    ratio_figures,
    rho_figures,
)

SEEDS, DIGITS = (0, 1, 2), (0, 1, 2, 3, 4)
COLUMNS = ("identity", "wush_diag", "gamma_diag", "wush", "wush tuned", "wush 6", "wush pow2")


def groups(seeds: tuple[int, ...]) -> dict[str, Callable[[], Iterable[Figure]]]:
    """What can be measured, by name; what trains or starts a process is imported when its turn comes."""

    def digits() -> Iterable[Figure]:
        from tests.bench_quant_digits import digits_figures

        return digits_figures(DIGITS)

    def size() -> Iterable[Figure]:
        from tests.bench_quant_size import size_figures

        return size_figures()

    return {
        "identities": lambda: identity_figures(seeds),
        "ratios": lambda: ratio_figures(seeds),
        "rho": lambda: rho_figures(seeds),
        "nvfp4": lambda: nvfp4_figures(seeds),
        "gptq": lambda: gptq_figures(seeds),
        "digits": digits,
        "size": size,
    }


def losses(seeds: tuple[int, ...]) -> Table:
    """Every format on every kind of data: the loss with Hadamard, and that of the others over it."""
    table = Table(title="loss over Hadamard's, held-out data, mean of the seeds")
    for heading in ("data", "format", "rho", "hadamard", *COLUMNS):
        table.add_column(heading, justify="left" if heading in ("data", "format") else "right", no_wrap=True)
    for kind in KINDS:
        for form in FORMATS:
            names = [n for n in COLUMNS if kind != "swiglu" or n != "gamma_diag"]
            found = {n: f"{ratio(n, 'hadamard', kind, form, seeds):.3f}" for n in names}
            base = float(np.mean([loss("hadamard", kind, seed, form) for seed in seeds]))
            rho = f"{predicted(kind, form, seeds):.3f}"
            table.add_row(kind, form, rho, f"{base:.2e}", *(found.get(n, "") for n in COLUMNS))
    return table


def figures(found: dict[str, list[Figure]]) -> Table:
    """What has a limit."""
    table = Table(title="figures")
    for heading in ("figure", "value", "limit", ""):
        table.add_column(heading, justify="right" if heading == "value" else "left", no_wrap=True)
    for figure in (f for group in found.values() for f in group):
        verdict = "[green]pass[/]" if figure.passed else "[red]MISSED[/]"
        table.add_row(figure.name, f"{figure.value:.3g}", figure.limit, verdict)
    return table


def main() -> None:
    """Print the tables; exit with 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = groups(SEEDS)
    parser.add_argument("--only", choices=known, action="append", help="figures to measure; may be repeated")
    parser.add_argument("--table", action="store_true", help="print all formats on all kinds of data too")
    options = parser.parse_args()
    console, start = Console(width=140), time.perf_counter()
    with threadpool_limits(1):  # small products: threads would wait for each other
        found = {name: list(known[name]()) for name in options.only or known}
        if options.table:
            console.print(losses(SEEDS))
    console.print(figures(found))
    missed = [f for group in found.values() for f in group if not f.passed]
    blocks = sorted({format_named(form).block for form in FORMATS})
    taken = f"{time.perf_counter() - start:.0f} s on {os.cpu_count()} cores; blocks of {blocks}; seeds {SEEDS}"
    console.print(f"{len(missed)} missed; {taken}", highlight=False)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
