"""A page of plots from the report of ``edgegate quantize``: what blocks and transforms did to each layer."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, TypeAlias

from edgegate import files
from edgegate.errors import InputError

Row: TypeAlias = Mapping[str, Any]
"""A layer of the report."""

KINDS = ("png", "svg", "pdf")
NAMES = {"identity": "no transform", "hadamard": "Hadamard", "wush_diag": "WUSH-diag", "wush": "WUSH"}
COLOURS = {"identity": "#808080", "hadamard": "#0072b2", "wush_diag": "#e69f00", "wush": "#009e73"}
"""Of transforms; people with any colour vision can tell them apart (Okabe and Ito, Color Universal Design, 2008)."""
FLOAT, BLOCKS, INT8, TRANSFORMS = "#b8b8b8", "#56b4e9", "#a6cee3", "#d55e00"
"""Colours of what is stored."""
WIDTH, PITCH, LEAST, MOST, BELOW = 12.0, 0.22, 1.5, 13.0, 4.7
"""Inches: the page's width, a layer's height, bounds of all layers' height, the height of everything else."""
LETTERS, FONT = 34, 7.5
"""Most letters of a layer's name, and their size in points."""
CEILING = 80.0
"""Decibels past which layers look alike: no format of eight bits comes near."""
STYLE = {
    "axes.axisbelow": True, "axes.grid": True, "axes.labelsize": 9, "axes.spines.right": False,
    "axes.spines.top": False, "axes.titlelocation": "left", "axes.titlesize": 10, "figure.constrained_layout.use": True,
    "font.size": 8.5, "grid.color": "#e8e8e8", "grid.linewidth": 0.7, "legend.fontsize": 8.5, "legend.frameon": False,
    "pdf.fonttype": 42, "savefig.dpi": 150, "svg.hashsalt": "edgegate", "text.parse_math": False,
}  # fmt: skip
UNDATED: dict[str, dict[str, None]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""What is left out of a file so that the same report gives the same bytes."""


def kind_of(path: str) -> str:
    """The kind of picture that a file named ``path`` is: "png", "svg" or "pdf".

    Raises:
        InputError: The name ends otherwise.
        ModuleNotFoundError: There is no matplotlib; this tells before the slow work.
    """
    kind = os.path.splitext(path)[1].lower().removeprefix(".")
    if kind not in KINDS:
        raise InputError(f"{files.show(path)}: a plot is a .png, .svg or .pdf file")
    import matplotlib  # noqa: F401

    return kind


def draw(findings: Mapping[str, Any], kind: str) -> bytes:
    """One page of plots.

    Args:
        findings: The document of a :class:`edgegate.quant.report.Report`, or one that holds it.
        kind: "png", "svg" or "pdf".

    Returns:
        The picture's file: the same report gives the same bytes.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    rows = [row for row in findings.get("layers", ()) if row["sqnr"] is not None]
    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a box is drawn for it
        figure = Figure()
        if rows:
            _page(figure, rows, findings)
        else:
            _empty(figure, products(findings))
        file = io.BytesIO()
        figure.savefig(file, format=kind, metadata=UNDATED[kind])
    return file.getvalue()


def told_apart(names: Sequence[str], most: int) -> list[str]:
    """Names of at most ``most`` letters: longer ones first lose the parts that all share, then their middle."""
    if len(names) < 2 or max(map(len, names)) <= most:
        return [elided(name, most) for name in names]
    paths = zip(*(name.split(".")[:-1] for name in names), strict=False)
    shared = sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, paths))
    return [elided("…" * bool(shared) + ".".join(name.split(".")[shared:]), most) for name in names]


def elided(text: str, most: int) -> str:
    """``text`` without its middle, if it has more than ``most`` letters."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def title_of(row: Row) -> str:
    """What a layer is called: as in the user's network, else as in the graph."""
    return str(row["layer"] or row["name"])


def amount(size: float, unit: str) -> str:
    """``size`` with three digits and a decimal prefix."""
    power = 0
    while size >= 999.5 and power < 4:
        size, power = size / 1000, power + 1
    return f"{size:.3g} {' kMGT'[power].strip()}{unit}".strip()


def bits(row: Row) -> tuple[float, float]:
    """Stored bits per weight of a layer: of the weights, and of the transform that stands with it."""
    return 8 * row["weight_bytes"] / _count(row), 8 * row["transform_bytes"] / _count(row)


def compared(rows: Sequence[Row]) -> list[tuple[float, float, str]]:
    """Loss of WUSH over that of Hadamard, predicted and measured, and a colour, of layers that have tried both."""
    both = [row for row in rows if {"wush", "hadamard"} <= row["sqnr"].keys() and row["rho"]]
    losses = [10 ** ((row["sqnr"]["hadamard"] - row["sqnr"]["wush"]) / 10) for row in both]
    return [(row["rho"], loss, COLOURS[row["transform"]]) for row, loss in zip(both, losses, strict=True)]


def products(findings: Mapping[str, Any]) -> str:
    """What is said of attention, if it was measured: the logits that lose most, before and after."""
    found = [row for row in findings.get("attention", ()) if row["sqnr_after"] is not None]
    if not found:
        return ""
    before, after = (min(row[key] for row in found) for key in ("sqnr_before", "sqnr_after"))
    return f"; logits of attention, at worst: {before:.1f} dB, {after:.1f} with keys scaled and sorted"


def _page(figure: Any, rows: Sequence[Row], findings: Mapping[str, Any]) -> None:
    """Layers in rows, with their panels side by side; below them what is about all of them."""
    high = min(max(PITCH * len(rows), LEAST), MOST)
    figure.set_size_inches(WIDTH, high + BELOW)
    upper, lower = figure.add_gridspec(2, 1, height_ratios=(high + 0.6, BELOW - 1.3))
    grid = upper.subgridspec(1, 3, width_ratios=(5, 2, 2))
    noise = figure.add_subplot(grid[0])
    storage, work = (figure.add_subplot(grid[i], sharey=noise) for i in (1, 2))
    _noise(noise, rows, size=min(7.0, 0.72 * 72 * high / len(rows)))
    _storage(storage, rows)
    _work(work, rows)
    _label(noise, rows, high)
    for axes in (storage, work):
        axes.tick_params(labelleft=False, left=False)
    grid = lower.subgridspec(1, 2, width_ratios=(4, 5))
    _predictions(figure.add_subplot(grid[0]), rows)
    _sizes(figure.add_subplot(grid[1]), findings["layers"])
    title = f"Layers: {len(rows)} in blocks, {len(findings['layers']) - len(rows)} in int8{products(findings)}"
    figure.legend(handles=_legend(rows), loc="outside upper center", ncols=7, title=title, title_fontsize=12)


def _empty(figure: Any, others: str) -> None:
    figure.set_size_inches(8, 2)
    text = f"No layer was put in blocks: there is nothing to draw{others}."
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=12)


def _label(axes: Any, rows: Sequence[Row], high: float) -> None:
    """Names of as many layers as have room, the first at the top."""
    step = math.ceil(len(rows) * 1.25 * FONT / (72 * high))
    names = told_apart([title_of(row) for row in rows], LETTERS)
    axes.set_yticks(range(0, len(rows), step), names[::step], fontsize=FONT)
    axes.set_ylim(len(rows) - 0.4, -0.6)


def _noise(axes: Any, rows: Sequence[Row], size: float) -> None:
    """Signal to noise before and after, and of what else was tried; ``size`` of a mark in points."""
    places, area = range(len(rows)), size**2
    colours = [COLOURS[row["transform"]] for row in rows]
    before, after = ([min(row[key], CEILING) for row in rows] for key in ("sqnr_before", "sqnr_after"))
    others = [(y, k, v) for y, row in enumerate(rows) for k, v in row["sqnr"].items()]
    others = [(y, k, min(v, CEILING)) for y, k, v in others if k not in ("identity", rows[y]["transform"])]
    axes.hlines(places, before, after, colours, linewidth=size / 3, alpha=0.55, zorder=2)
    tried, at = [value for *_, value in others], [y for y, *_ in others]
    marks = [COLOURS[kind] for _, kind, _ in others]
    axes.scatter(tried, at, area, marks, marker="|", linewidths=size / 4, zorder=3)
    axes.scatter(before, places, area, "white", edgecolors=colours, linewidths=size / 6, zorder=4)
    changed = [y for y in places if rows[y]["transform"] != "identity"]
    axes.scatter([after[y] for y in changed], changed, area, [colours[y] for y in changed], zorder=5)
    axes.margins(x=0.04)
    axes.set_title("Signal to quantization noise of the layer's output")
    axes.set_xlabel(f"SQNR on held-out vectors, dB{f'; {CEILING:g} and more alike' if _capped(rows) else ''}")


def _capped(rows: Sequence[Row]) -> bool:
    return any(value > CEILING for row in rows for value in row["sqnr"].values())


def _legend(rows: Sequence[Row]) -> list[Any]:
    """What colours and marks of the layers say."""
    from matplotlib.lines import Line2D

    def mark(label: str, shape: str, **style: Any) -> Any:
        return Line2D([], [], linestyle="none", marker=shape, color="#404040", label=label, **style)

    used = {kind for row in rows for kind in row["sqnr"] if kind != "identity"} | {row["transform"] for row in rows}
    return [
        *(Line2D([], [], linewidth=5, color=COLOURS[kind], label=name) for kind, name in NAMES.items() if kind in used),
        mark("before", "o", markerfacecolor="white"), mark("after", "o"), mark("also tried", "|", markeredgewidth=2),
    ]  # fmt: skip


def _storage(axes: Any, rows: Sequence[Row]) -> None:
    """Bits per weight."""
    places = range(len(rows))
    weights, matrices = zip(*map(bits, rows), strict=True)
    axes.barh(places, weights, 0.72, color=BLOCKS, label="weights")
    axes.barh(places, matrices, 0.72, left=weights, color=TRANSFORMS, label="transform")
    axes.set_title("Storage")
    axes.set_xlabel("bits per weight")


def _count(row: Row) -> int:
    """How many weights a layer has."""
    return math.prod(row["shape"])


def _work(axes: Any, rows: Sequence[Row]) -> None:
    """Operations that transforms add, as a share of the layer's own where the report tells them.

    Layers that share a transform have it at the first.
    """
    shares = all(row.get("multiplications") for row in rows)
    added = [row["operations"] / row["multiplications"] * 100 if shares else row["operations"] for row in rows]
    axes.barh(range(len(rows)), added, 0.72, color=[COLOURS[row["transform"]] for row in rows])
    axes.set_title("Added operations")
    axes.set_xlabel("% of the layer's multiplications" if shares else "per inference")
    axes.set_xlim(0, max(1.05 * max(added), 1))
    axes.locator_params(axis="x", nbins=4)
    if not shares:
        axes.xaxis.set_major_formatter(lambda value, _: amount(value, ""))


def _predictions(axes: Any, rows: Sequence[Row]) -> None:
    """What the moments predict for the loss of WUSH over that of Hadamard, and what was measured."""
    axes.set_title("Loss of WUSH over that of Hadamard")
    points = compared(rows)
    if not points:
        return _instead(axes, "no layer has tried both")
    predicted, measured, colours = zip(*points, strict=True)
    low, high = min(*predicted, *measured) / 1.3, max(*predicted, *measured, 1.0) * 1.3
    axes.plot([low, high], [low, high], color="#a0a0a0", linewidth=1, linestyle="--", zorder=1)
    axes.scatter(predicted, measured, 26, colours, alpha=0.8, linewidths=0, zorder=2)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel("predicted (ρ)")
    axes.set_ylabel("measured")
    for axis in (axes.xaxis, axes.yaxis):
        _plain(axis, low, high)


def _plain(axis: Any, low: float, high: float) -> None:
    """A few round numbers on a logarithmic axis."""
    decades = [10.0**e for e in range(-21, 22)]
    ticks = [m * d for d in decades for m in (1, 2, 5) if low <= m * d <= high]
    if len(ticks) > 7:
        ticks = [d for d in decades if low <= d <= high]
    axis.set_ticks(ticks, [f"{t:g}" for t in ticks])
    axis.set_ticks([], minor=True)


def _sizes(axes: Any, layers: Sequence[Row]) -> None:
    """Bytes of all layers, before and after."""
    whole = 4 * sum(map(_count, layers))
    parts = {
        "weights in blocks": (sum(r["weight_bytes"] for r in layers if r["sqnr"] is not None), BLOCKS),
        "weights in int8": (sum(r["weight_bytes"] for r in layers if r["sqnr"] is None), INT8),
        "transforms": (sum(r["transform_bytes"] for r in layers), TRANSFORMS),
    }
    stored = sum(size for size, _ in parts.values())
    axes.barh(0, whole, 0.6, color=FLOAT)
    start = 0
    for name, (size, colour) in parts.items():
        if size:
            axes.barh(1, size, 0.6, left=start, color=colour, label=f"{name}: {amount(size, 'B')}")
        start += size
    axes.set_yticks([0, 1], [f"float32\n{amount(whole, 'B')}", f"stored\n{amount(stored, 'B')}"])
    axes.set(ylim=(2.6, -0.6), xlim=(0, 1.05 * max(whole, stored)), xlabel="bytes")
    axes.grid(visible=False, axis="y")
    axes.set_title(f"Weights of all layers: {stored / whole:.0%} of float32")
    axes.xaxis.set_major_formatter(lambda value, _: amount(value, "B"))
    axes.legend(loc="lower right")


def _instead(axes: Any, text: str) -> None:
    """A panel without anything to show."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color="#606060")
