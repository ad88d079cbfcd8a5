"""What is done to the layers of a whole network at once."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from edgegate.nn._parameters import Gates
from edgegate.nn.logic_layer import LogicLayer


@contextmanager
def relaxed(module: nn.Module) -> Iterator[None]:
    """Inside, every trainable gate of ``module`` computes with its mixture, without noise, in eval mode too.

    What the network then makes of test data, less what it makes of it in eval mode, is the discretisation gap
    (S. Yousefi et al., "Mind the Gap", arXiv 2506.07500).
    """
    layers = [m for m in module.modules() if isinstance(m, Gates)]
    before = [m.relaxed for m in layers]
    for layer in layers:
        layer.relaxed = True
    try:
        yield
    finally:
        for layer, state in zip(layers, before, strict=True):
            layer.relaxed = state


def hardened(module: nn.Module) -> nn.Module:
    """A copy of ``module`` in eval mode with a :class:`Lut` for every :class:`LogicLayer`.

    It computes what ``module`` computes in eval mode; its state_dict is small and holds no logits.
    """
    if isinstance(module, LogicLayer):
        return module.lut()
    twin = copy.deepcopy(module).eval()
    for parent in list(twin.modules()):
        for name, child in parent.named_children():
            if isinstance(child, LogicLayer):
                setattr(parent, name, child.lut())
    return twin
