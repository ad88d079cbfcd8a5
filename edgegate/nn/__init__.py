"""Logic gate networks in torch: layers to deploy, and layers to train that become them.

:class:`Lut`, :class:`GroupSum` and :class:`Threshold` are what is deployed: bits in, bits or counts out.
"""

from __future__ import annotations

from edgegate.nn.group_sum import GroupSum
from edgegate.nn.lut import Lut
from edgegate.nn.threshold import Threshold

__all__ = ["GroupSum", "Lut", "Threshold"]
