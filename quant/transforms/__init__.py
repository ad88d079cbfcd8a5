"""Block transforms that make a layer's input and weights easy to quantize together, and their integer forms."""

from __future__ import annotations

from edgegate.quant.transforms.closed_form import DAMPING, build, fixed, rho
from edgegate.quant.transforms.gains import scaled, tuned
from edgegate.quant.transforms.hadamard import fwht, hadamard, orders
from edgegate.quant.transforms.rounding import rounded
from edgegate.quant.transforms.transform import KINDS, Kind, Transform

__all__ = [
    "DAMPING",
    "KINDS",
    "Kind",
    "Transform",
    "build",
    "fixed",
    "fwht",
    "hadamard",
    "orders",
    "rho",
    "rounded",
    "scaled",
    "tuned",
]
