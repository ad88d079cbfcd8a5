"""Gated layers in torch: logic gate networks to deploy, layers to train that become them, and stages.

:class:`Lut`, :class:`GroupSum`, :class:`Threshold` and :class:`Thermometer` are what is deployed: bits in, bits or
counts out. :class:`LogicLayer` and :class:`LogicConv2d` train by gradient descent, and in eval mode are look-up tables
themselves; a network of them can be compiled as it is. :func:`relaxed` and :func:`hardened` treat whole networks.

:class:`MaskedGLU` is a gated linear unit that stores one matrix for gate and value.

:class:`GatedCompression` cuts any network into stages that most samples never leave; :func:`gate_losses` trains it.
:class:`DynamicSwitch` takes one of two branches for each sample, :class:`GateSkip` lets some tokens through a block.
"""

from __future__ import annotations

from edgegate.nn._networks import hardened, relaxed
from edgegate.nn.dynamic_switch import DynamicSwitch
from edgegate.nn.gate_skip import GateSkip
from edgegate.nn.gated_compression import GatedCompression, GateLosses, gate_losses
from edgegate.nn.group_sum import GroupSum
from edgegate.nn.logic_conv import LogicConv2d
from edgegate.nn.logic_layer import LogicLayer
from edgegate.nn.lut import Lut
from edgegate.nn.masked_glu import MaskedGLU
from edgegate.nn.thermometer import Thermometer
from edgegate.nn.threshold import Threshold

__all__ = [
    "DynamicSwitch", "GateLosses", "GateSkip", "GatedCompression", "GroupSum", "LogicConv2d", "LogicLayer", "Lut",
    "MaskedGLU", "Thermometer", "Threshold", "gate_losses", "hardened", "relaxed",
]  # fmt: skip
