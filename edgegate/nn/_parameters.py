"""What a trainable gate has for parameters, and how a gate is chosen by them in training.

Two parametrisations. Raw: a logit for each of the 16 gates (Petersen et al., arXiv 2210.08277, section 3). Input-wise:
a logit for each of the four values of the truth table (L. Ruettgers et al., "Light Differentiable Logic Gate Networks",
arXiv 2510.03250): the sigmoid of it, or (1 + sin) / 2, is the value.

Two estimators. Softmax: the mixture itself. Gumbel: noise is added to the logits in every step, forward has the gate
that wins, backward the mixture (S. Yousefi et al., "Mind the Gap", arXiv 2506.07500; the noise of a single logit is
logistic, as C. Maddison et al., "The Concrete Distribution", ICLR 2017, appendix B has it).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgegate.nn import _gates

PARAMETRIZATIONS, ESTIMATORS = ("raw", "input-wise"), ("softmax", "gumbel")
INITIALIZATIONS, ACTIVATIONS = ("residual", "random"), ("sigmoid", "sine")
_RESIDUAL = {"raw": 5.0, "sigmoid": 3.0, "sine": 1.25}
"""The first logit of gate A: 5 makes it 0.9 of the mixture (Petersen et al., "Convolutional Differentiable Logic Gate
Networks", NeurIPS 2024, arXiv 2411.04732, section 3.2); the others make each of its values 0.95."""
_LEAST, _LEAST_SINE = 1e-9, 1e-6
"""Of random numbers, and of values that a sine made, before their logarithm is taken."""


class Gates(nn.Module):  # type: ignore[misc]
    """``count`` trainable gates of two inputs.

    Args:
        count: Number of gates, at least 1.
        parametrization: "raw" or "input-wise".
        estimator: "softmax" or "gumbel".
        temperature: Above 0; the logits are divided by it in training. An attribute, so it can be lowered.
        initialization: "residual", all gates near A; or "random", logits from a normal distribution.
        activation: Of input-wise gates, "sigmoid" or "sine".
        grad_factor: What the gradient that such a layer passes back is multiplied by.
        generator: Where random logits come from; torch's own if None.

    Attributes:
        weight: float32 [count, 16], or [count, 4] by address ``A + 2B``.
        relaxed: Compute with the mixture without noise, in training mode or not: see :func:`edgegate.nn.relaxed`.

    Raises:
        ValueError: An argument outside of what is said here.
    """

    weight: Tensor
    truth: Tensor

    def __init__(
        self,
        count: int,
        *,
        parametrization: str = "raw",
        estimator: str = "softmax",
        temperature: float = 1.0,
        initialization: str = "residual",
        activation: str = "sigmoid",
        grad_factor: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _one_of("parametrization", parametrization, PARAMETRIZATIONS)
        _one_of("estimator", estimator, ESTIMATORS)
        _one_of("initialization", initialization, INITIALIZATIONS)
        _one_of("activation", activation, ACTIVATIONS)
        if count < 1 or not temperature > 0:
            raise ValueError(f"impossible gates: {count} of them, temperature {temperature}")
        self.raw, self.gumbel = parametrization == "raw", estimator == "gumbel"
        self.sine = activation == "sine" and not self.raw
        self.temperature, self.grad_factor, self.relaxed = float(temperature), float(grad_factor), False
        self.register_buffer("truth", _gates.truth(), persistent=False)
        if initialization == "random":
            weight = torch.randn(count, 16 if self.raw else 4, generator=generator)
        elif self.raw:
            weight = torch.zeros(count, 16)
            weight[:, _gates.A] = _RESIDUAL["raw"]
        else:
            weight = (self.truth[_gates.A] * 2 - 1).repeat(count, 1) * _RESIDUAL[activation]
        self.weight = nn.Parameter(weight)

    def values(self) -> Tensor | None:
        """The values by address to compute with, float [count, 4] in [0, 1]; None where gates are to be discrete."""
        if self.relaxed:
            return self._mixture(self._logits())
        if not self.training:
            return None
        return self._sampled() if self.gumbel else self._mixture(self._logits())

    def tables(self) -> Tensor:
        """The values by address of the gates that are deployed, bool [count, 4]: the likeliest; A = bit 0."""
        if self.raw:
            return self.truth.index_select(0, self.weight.argmax(1)) > 0
        return (torch.sin(self.weight) if self.sine else self.weight) >= 0

    def gates(self) -> Tensor:
        """The gates that are deployed, by difflogic's numbers: int64 [count] in 0..15."""
        powers = torch.tensor([1 << place for place in _gates.PLACES], device=self.weight.device)
        return (self.tables() * powers).sum(1)

    def _logits(self) -> Tensor:
        return torch.logit(0.5 + 0.5 * torch.sin(self.weight), _LEAST_SINE) if self.sine else self.weight

    def _mixture(self, logits: Tensor) -> Tensor:
        if self.raw:
            return torch.softmax(logits / self.temperature, 1) @ self.truth
        return torch.sigmoid(logits / self.temperature)

    def _sampled(self) -> Tensor:
        uniform = torch.rand_like(self.weight).clamp_(_LEAST, 1 - torch.finfo(self.weight.dtype).eps)
        noise = -uniform.log().neg().log() if self.raw else torch.logit(uniform)
        logits = self._logits() + noise
        soft = self._mixture(logits)
        hard = self.truth.index_select(0, logits.argmax(1)) if self.raw else (logits >= 0).to(soft.dtype)
        return hard + (soft - soft.detach())


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
