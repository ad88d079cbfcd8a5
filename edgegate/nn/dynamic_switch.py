"""A layer of two branches, of which each sample takes one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parameter import UninitializedParameter


class DynamicSwitch(nn.modules.lazy.LazyModuleMixin, nn.Module):  # type: ignore[misc]
    """A light branch for most samples, a heavy one for those that need it.

    With phi(x), the means of x over all axes but samples and channels:

        z = w . phi(x) + b
        y = heavy(x)   where sigmoid(z) > theta,   else light(x)
        usage = mean(sigmoid(z))

    In training y is the choice going forward and s * heavy(x) + (1 - s) * light(x), s = sigmoid(z), going back: a
    straight-through estimate. Add ``weight * layer.usage`` to the loss, so that the heavy branch is used where it pays.
    In eval mode y is one choice a sample: compiled for stages, each branch is a program of its own.

    Source: Dynamic Switch Layers (arXiv 2404.04405), which let a gate route samples through a light path; the form of
    the gate and its training are this project's.

    Args:
        light: For samples whose score is at most theta.
        heavy: For the others; both give one shape for one input.
        theta: What the score must exceed, in (0, 1).
        axis: Of the channels; samples come first.

    Attributes:
        logits: [N, 1] of the last forward pass; None before, and while the model is exported.

    Shape:
        x float [N, ..., C, ...] -> what the branches give. The number of channels is taken from the first input.

    Raises:
        ValueError: ``theta`` or ``axis`` is impossible.
    """

    weight: UninitializedParameter
    bias: nn.Parameter

    def __init__(self, light: nn.Module, heavy: nn.Module, theta: float = 0.5, *, axis: int = 1) -> None:
        super().__init__()
        if not 0 < theta < 1 or axis == 0:
            raise ValueError(f"theta lies in (0, 1), and axis 0 is that of samples: got {theta} and {axis}")
        self.light, self.heavy, self.theta, self.axis = light, heavy, theta, axis
        self.weight = UninitializedParameter()
        self.bias = nn.Parameter(torch.zeros(1))
        self.logits: Tensor | None = None

    def initialize_parameters(self, x: Tensor) -> None:
        """Make the weight that fits the first input."""
        if self.has_uninitialized_params():
            channels = x.shape[self.axis]
            with torch.no_grad():
                self.weight.materialize((1, channels))
                nn.init.normal_(self.weight, std=channels**-0.5)

    @property
    def usage(self) -> Tensor:
        """Mean score of the last forward pass: about the share of samples that take the heavy branch.

        Raises:
            ValueError: There was none.
        """
        if self.logits is None:
            raise ValueError("usage is that of the last forward pass, and there was none")
        return torch.sigmoid(self.logits).mean()

    def forward(self, x: Tensor) -> Tensor:
        """The branch's result for each sample."""
        axes = [a for a in range(1, x.ndim) if a != self.axis % x.ndim]
        logits = functional.linear(x.mean(axes) if axes else x, self.weight, self.bias)
        if not torch.compiler.is_exporting():
            self.logits = logits
        heavy, light, score = self.heavy(x), self.light(x), torch.sigmoid(logits)
        column = [-1] + [1] * (heavy.ndim - 1)
        if not self.training:
            return torch.where((score > self.theta).reshape(column), heavy, light)
        soft = score.reshape(column)
        hard = (soft > self.theta).to(soft.dtype) + soft - soft.detach()
        return hard * heavy + (1 - hard) * light

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"theta={self.theta}, axis={self.axis}"
