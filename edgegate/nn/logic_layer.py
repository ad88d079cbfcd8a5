"""A layer of trainable gates of two inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from edgegate.nn import _gates, _wiring
from edgegate.nn._parameters import Gates
from edgegate.nn.lut import Lut, as_float


class LogicLayer(Gates):
    """``out_dim`` trainable gates, each of two inputs of the last axis.

    In training mode each is a mixture of gates on reals in [0, 1]; in eval mode it is one gate on bits, and the layer
    exports as a look-up table. The wiring is a buffer: a state_dict holds the whole layer.

    Source: F. Petersen et al., "Deep Differentiable Logic Gate Networks", NeurIPS 2022 (arXiv 2210.08277), section 3.

    Args:
        in_dim: Inputs, at least 2 unless ``connections`` is a tensor.
        out_dim: Gates.
        connections: "random": every input is read equally often, up to one; "unique": no two gates read the same pair,
            no gate one input twice; or int64 [out_dim, 2], the inputs A and B of each gate.
        generator: Where random wiring and logits come from; torch's own if None.
        options: ``parametrization`` "raw" (16 logits a gate) or "input-wise" (4), ``estimator`` "softmax" or
            "gumbel", ``temperature`` of both, ``initialization`` "residual" or "random", ``activation`` of input-wise
            gates, "sigmoid" or "sine", and ``grad_factor``: what the gradient passed back is multiplied by.

    Attributes:
        weight: Parameter, float32 [out_dim, 16], or [out_dim, 4] by address ``A + 2B``.
        indices: Buffer, int64 [out_dim, 2].

    Shape:
        x float [..., in_dim] in [0, 1] -> [..., out_dim]. In eval mode whatever is not 0 is true.

    Raises:
        ValueError: An argument outside of what is said here; or x with another last axis.
    """

    indices: Tensor

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        connections: str | Tensor = "random",
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> None:
        super().__init__(out_dim, generator=generator, **options)
        self.in_dim, self.out_dim = in_dim, out_dim
        self.register_buffer("indices", _wiring.connections(in_dim, out_dim, connections, generator))

    def forward(self, x: Tensor) -> Tensor:
        """The mixtures, or the gates."""
        if x.shape[-1] != self.in_dim:
            raise ValueError(f"expected {self.in_dim} inputs in the last axis, got {list(x.shape)}")
        values = self.values()
        if values is None:
            return torch.ops.edgegate.lut(as_float(x), self.indices, self.tables())
        rows = as_float(x).reshape(-1, self.in_dim).t()
        found = _gates.mixed(rows, self.indices, _gates.coefficients(values), self.grad_factor)
        return found.t().reshape(*x.shape[:-1], self.out_dim)

    def lut(self) -> Lut:
        """The layer as it is deployed."""
        return Lut(self.indices, self.tables())

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"in_dim={self.in_dim}, out_dim={self.out_dim}"
