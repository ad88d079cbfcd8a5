"""Networks of look-up tables over single bits: what logic gate networks become.

A :class:`Netlist` computes bits, a :class:`GroupSum` counts them. Both are plain arrays; everything that optimises,
proves, simulates or emits a logic gate network speaks of these two.
"""

from __future__ import annotations

from edgegate.logic.evaluate import counts, evaluate
from edgegate.logic.netlist import GroupSum, Netlist, literal

__all__ = ["GroupSum", "Netlist", "counts", "evaluate", "literal"]
