"""Logic gate networks in torch: layers to deploy, and layers to train that become them.

:class:`Lut`, :class:`GroupSum`, :class:`Threshold` and :class:`Thermometer` are what is deployed: bits in, bits or
counts out. :class:`LogicLayer` and :class:`LogicConv2d` train by gradient descent, and in eval mode are look-up tables
themselves; a network of them can be compiled as it is. :func:`relaxed` and :func:`hardened` treat whole networks.
"""

from __future__ import annotations

from edgegate.nn._networks import hardened, relaxed
from edgegate.nn.group_sum import GroupSum
from edgegate.nn.logic_conv import LogicConv2d
from edgegate.nn.logic_layer import LogicLayer
from edgegate.nn.lut import Lut
from edgegate.nn.thermometer import Thermometer
from edgegate.nn.threshold import Threshold

__all__ = ["GroupSum", "LogicConv2d", "LogicLayer", "Lut", "Thermometer", "Threshold", "hardened", "relaxed"]
