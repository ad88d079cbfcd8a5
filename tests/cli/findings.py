"""Reports of layers that were never quantized, as ``edgegate quantize --report`` writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

TRIED = {"identity": 12.0, "hadamard": 15.0, "wush_diag": 18.0, "wush": 21.0}
"""SQNR in dB, by transform."""


def in_blocks(layer: str = "a", *, transform: str = "wush", **changed: Any) -> dict[str, Any]:
    """A layer in MXFP4 that has tried everything."""
    sqnr = changed.get("sqnr", TRIED)
    return {
        "name": "linear", "layer": layer, "source": "", "weight": "w", "shape": (64, 96), "format": "mxfp4",
        "activations": "mxint8", "transform": transform, "folded": "", "rho": 0.25, "sqnr_before": sqnr["identity"],
        "sqnr_after": sqnr[transform], "sqnr": sqnr, "operations": 2048, "weight_bytes": 3264,
        "transform_bytes": 2048, "bits_per_value": 4.25, "padding": 0, "reason": "", **changed,
    }  # fmt: skip


def in_int8(layer: str = "b", reason: str = "") -> dict[str, Any]:
    """A layer with a scale per output channel."""
    return {
        "name": "linear", "layer": layer, "source": "", "weight": "w", "shape": (64, 96), "format": "int8",
        "activations": "int8", "transform": "identity", "folded": "", "rho": None, "sqnr_before": None,
        "sqnr_after": None, "sqnr": None, "operations": 0, "weight_bytes": 6144, "transform_bytes": 0,
        "bits_per_value": 8.0, "padding": 0, "reason": reason,
    }  # fmt: skip


def report(*layers: dict[str, Any]) -> dict[str, Any]:
    """The document of a report."""
    return {
        "layers": layers,
        "moments": {},
        "totals": {
            "float_bytes": 4 * sum(math.prod(row["shape"]) for row in layers),
            **{key: _sum(layers, key) for key in ("weight_bytes", "transform_bytes", "operations")},
        },
    }


def _sum(layers: Sequence[dict[str, Any]], key: str) -> int:
    return sum(row[key] for row in layers)
