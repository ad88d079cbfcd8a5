"""What quantization did to each layer, as lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from edgegate.cli.output import printable
from edgegate.plots import amount, elided, title_of

MOST = 60
"""Layers in a table; of more the report tells."""
NAME, REASON = 32, 60
"""Most letters of a layer's name, and of why it is in int8."""
HEAD = ("layer", "format", "transform", "SQNR, dB", "rho", "bits", "added ops", "")
LEFT = (True, True, True, True, False, False, False, True)
"""Which columns begin at the left."""
FOLDED = {"": "", "diagonal": ", diagonal folded", "all": ", folded"}


def table(findings: Mapping[str, Any]) -> list[str]:
    """A line per layer and per product of queries and keys, some for all of them, what was reached, and warnings.

    Layers are left out if blocks were neither used nor asked for.

    Args:
        findings: The document of a :class:`edgegate.quant.report.Report`, or one that holds it.
    """
    warnings = [f"warning: {printable(text)}" for text in findings.get("warnings", ())]
    reached = [f"signal to noise on data held out: {findings['sqnr']:.1f} dB"] if "sqnr" in findings else []
    return [*_of_layers(findings), *_of_products(findings.get("attention", ())), *reached, *warnings]


def _of_layers(findings: Mapping[str, Any]) -> list[str]:
    layers = findings.get("layers", [])
    if all(row["sqnr"] is None and not row["reason"] for row in layers):
        return []
    lines = _aligned([HEAD, *map(_cells, layers[:MOST])])
    if len(layers) > MOST:
        lines.append(f"... and {len(layers) - MOST} layers more: --report tells of all")
    total = findings["totals"]
    sizes = [amount(total[key], "B") for key in ("float_bytes", "weight_bytes", "transform_bytes")]
    lines.append(f"weights: {sizes[0]} in float32, {sizes[1]} stored, and {sizes[2]} of transforms")
    return [*lines, f"transforms add {amount(total['operations'], '')} operations per inference"]


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    name, bits = elided(printable(title_of(row)), NAME), f"{row['bits_per_value']:.2f}"
    if row["sqnr"] is None:
        return (name, row["format"], "", "", "", bits, "", elided(printable(row["reason"]), REASON))
    return (
        name,
        f"{row['format']}:{row['activations']}",
        "none" if row["transform"] == "identity" else row["transform"] + FOLDED[row["folded"]],
        f"{row['sqnr_before']:.1f} -> {row['sqnr_after']:.1f}",
        f"{row['rho']:.2f}",
        bits,
        amount(row["operations"], ""),
        "",
    )


def _of_products(products: Sequence[Mapping[str, Any]]) -> list[str]:
    """What attention multiplies in blocks."""
    lines = [_product(row) for row in products[:MOST]]
    if len(products) > MOST:
        lines.append(f"... and {len(products) - MOST} products more: --report tells of all")
    return lines


def _product(row: Mapping[str, Any]) -> str:
    name = elided(printable(row["keys"] or row["name"]), NAME)
    stored = f"keys {row['key_format']} ({row['bits_per_key']:.2f} bits), queries {row['query_format']}"
    if row["sqnr_before"] is None:
        return f"{name}: {stored}; not sorted: {printable(row['reason'])}"
    counts = Counter(row["groups"])
    done = ", ".join(f"{kind} of {count}" for kind, count in counts.items())
    return f"{name}: {stored}; {done}; logits {row['sqnr_before']:.1f} -> {row['sqnr_after']:.1f} dB"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows with equal columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_placed(*cell) for cell in zip(row, widths, LEFT, strict=True)).rstrip() for row in rows]


def _placed(text: str, width: int, left: bool) -> str:
    return text.ljust(width) if left else text.rjust(width)
