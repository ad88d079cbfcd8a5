"""Logic gate networks on NVIDIA GPUs: one kernel for the whole network, its values in shared memory.

Every block computes the network for up to 256 samples, 32 of them in a word. The kernel is an interpreter of a
:class:`Plan`: warps run gates of one table side by side, the table a constant of LOP3; what the sums count is added
up in bit-sliced counters that never leave the registers.
"""

from __future__ import annotations

from edgegate.targets.cuda_logic.choose import Choice, choose
from edgegate.targets.cuda_logic.kernel import shared_bytes, source
from edgegate.targets.cuda_logic.phases import Crowded
from edgegate.targets.cuda_logic.plan import Plan, plan
from edgegate.targets.cuda_logic.shape import Shape

__all__ = ["Choice", "Crowded", "Plan", "Shape", "choose", "plan", "shared_bytes", "source"]
