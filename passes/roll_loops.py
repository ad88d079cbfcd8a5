"""Loops become Scans, as ONNX has them."""

from __future__ import annotations

import onnx_ir as ir

from edgegate.stages.scans import roll


def roll_loops(model: ir.Model) -> None:
    """Turn each loop that lies flat into a Scan, which engines and targets know. The last pass: others see no bodies.

    The body of a Scan reads constants and values from before the loop by name.
    """
    roll(model)
