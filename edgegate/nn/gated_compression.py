"""Gated Compression: a layer that stops the samples of no interest, and thins out what goes on."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parameter import UninitializedParameter

MASKS = ("static", "dynamic", "none")
POOLS = ("mean", "flatten")


class GatedCompression(nn.modules.lazy.LazyModuleMixin, nn.Module):  # type: ignore[misc]
    """A cut in a network: one gate a sample, and a mask over the channels of what crosses it.

    With features x of C channels and phi(x), their means or all of them:

        m = 1[sigmoid(a) > 1/2]            a is a parameter for each channel ("static"), or V phi(x) + c ("dynamic")
        y = m * x
        z = w . phi(y or x) + b            the logit, of y if m is static; the sample goes on where sigmoid(z) > theta
        loss = alpha * BCE(z, positive) + beta * mean(sigmoid(a))

    In training every sample goes on, and the gradient of m is that of sigmoid(a): a straight-through estimate. In eval
    mode the cut is the operator ``edgegate::stage_gate``, of which the compiler makes a stage with a gate in integers.
    Channels that a static mask drops are deleted from the program.

    Source: Li, Thormundsson, Poupyrev, Gillian, Enhancing Always-On Sensing with Gated Compression (arXiv 2303.08970):
    a gate that stops early and a compression that thins activations, each with a weight in the loss; theta as in
    arXiv 2405.01739. The form of phi and of the mask is this project's.

    Args:
        alpha: Weight of the gate's loss.
        beta: Weight of the sparsity's loss.
        theta: What the score must exceed, in (0, 1).
        mask: "static", "dynamic", or "none".
        pool: What phi is: "mean" over all axes but channels, or "flatten".
        axis: Of the channels; samples come first.

    Attributes:
        logits: [N, 1] of the last forward pass; None before, and while the model is exported.

    Shape:
        x float [N, ..., C, ...] -> the same. The number of channels is taken from the first input.

    Raises:
        ValueError: An argument outside of what is said here.
    """

    gate_weight: UninitializedParameter
    gate_bias: nn.Parameter
    mask_bias: UninitializedParameter
    mask_weight: UninitializedParameter

    def __init__(
        self, alpha: float = 1.0, beta: float = 0.1, theta: float = 0.5, *, mask: str = "static", pool: str = "mean",
        axis: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        if not 0 < theta < 1 or alpha < 0 or beta < 0:
            raise ValueError(f"theta lies in (0, 1), alpha and beta are not negative: got {theta}, {alpha}, {beta}")
        if mask not in MASKS or pool not in POOLS or axis == 0:
            raise ValueError(f"impossible gated compression: mask={mask!r}, pool={pool!r}, axis={axis}")
        self.alpha, self.beta, self.theta = alpha, beta, theta
        self.mask, self.pool, self.axis = mask, pool, axis
        self.gate_weight = UninitializedParameter()
        self.gate_bias = nn.Parameter(torch.zeros(1))
        if mask != "none":
            self.mask_bias = UninitializedParameter()
        if mask == "dynamic":
            self.mask_weight = UninitializedParameter()
        self.logits: Tensor | None = None
        self.density: Tensor | None = None

    def initialize_parameters(self, x: Tensor) -> None:
        """Make the parameters that fit the first input: an open mask, a gate that knows nothing."""
        if not self.has_uninitialized_params():
            return
        channels, width = x.shape[self.axis], self._phi(x).shape[1]
        with torch.no_grad():
            self.gate_weight.materialize((1, width))
            nn.init.normal_(self.gate_weight, std=width**-0.5)
            if self.mask != "none":
                self.mask_bias.materialize((channels,))
                self.mask_bias.fill_(1.0)
            if self.mask == "dynamic":
                self.mask_weight.materialize((channels, width))
                nn.init.normal_(self.mask_weight, std=width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """The features that are left, and in :attr:`logits` what the gate says."""
        y, density = self._thinned(x)
        seen = y if self.mask == "static" else x  # what is dropped for good, the gate must not need either
        logits = functional.linear(self._phi(seen), self.gate_weight, self.gate_bias)
        if not torch.compiler.is_exporting():
            self.logits, self.density = logits, density
        if self.training:
            return y
        return torch.ops.edgegate.stage_gate(y, torch.sigmoid(logits) > self.theta)

    def _phi(self, x: Tensor) -> Tensor:
        if self.pool == "flatten":
            return x.flatten(1)
        axes = [a for a in range(1, x.ndim) if a != self.axis % x.ndim]
        return x.mean(axes) if axes else x

    def _thinned(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The masked features, and how much of them the mask keeps, as far as gradients can tell."""
        if self.mask == "none":
            return x, x.new_ones(())
        column = [1] * x.ndim
        column[self.axis] = x.shape[self.axis]
        if self.mask == "dynamic":
            column[0] = x.shape[0]
            scores = functional.linear(self._phi(x), self.mask_weight, self.mask_bias)
        else:
            scores = self.mask_bias
        soft = torch.sigmoid(scores.reshape(column))
        hard = (soft > 0.5).to(x.dtype)
        return x * (hard + (soft - soft.detach()) if self.training else hard), soft.mean()

    def kept(self) -> Tensor:
        """The channels that a static mask lets through, bool [C].

        Raises:
            ValueError: The mask is not static, or has seen no input yet.
        """
        if self.mask != "static" or self.has_uninitialized_params():
            raise ValueError(f"a mask that is {self.mask}, or has seen no input, keeps no channels of its own")
        return self.mask_bias > 0

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"alpha={self.alpha}, beta={self.beta}, theta={self.theta}, mask={self.mask!r}, pool={self.pool!r}"


class GateLosses(NamedTuple):
    """The losses of all gated compressions of a model, each with its weight.

    Attributes:
        gate: Sum of alpha * BCE(z, positive).
        sparsity: Sum of beta * mean(sigmoid(a)), which is the share of channels that go on.
    """

    gate: Tensor
    sparsity: Tensor

    @property
    def total(self) -> Tensor:
        """What to add to the loss of the task."""
        return self.gate + self.sparsity


def gate_losses(model: nn.Module, positive: Tensor) -> GateLosses:
    """The losses of the last forward pass of every :class:`GatedCompression` in a model.

    Add their ``total`` to the loss of the task, after the forward pass; any optimiser will do.

    Args:
        model: Holds the layers, at any depth.
        positive: [N] of bools, or of 0 and 1: whether a sample is of interest.

    Raises:
        ValueError: The model has no such layer, or it saw other samples, or none.
    """
    layers = [m for m in model.modules() if isinstance(m, GatedCompression)]
    if not layers or any(layer.logits is None for layer in layers):
        raise ValueError("gate losses are those of a model with GatedCompression, after a forward pass")
    gate: Any = 0.0
    sparsity: Any = 0.0
    for layer in layers:
        assert layer.logits is not None and layer.density is not None, "it was checked above"
        if layer.logits.shape[0] != positive.numel():
            raise ValueError(f"{positive.numel()} labels for {layer.logits.shape[0]} samples")
        wanted = positive.reshape(-1, 1).to(layer.logits.dtype)
        gate = gate + layer.alpha * functional.binary_cross_entropy_with_logits(layer.logits, wanted)
        sparsity = sparsity + layer.beta * layer.density
    return GateLosses(gate=gate, sparsity=sparsity)
