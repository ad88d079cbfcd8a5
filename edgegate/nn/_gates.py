"""The 16 gates of two inputs, as numbers: their truth tables, and the polynomials that stand for them in training.

A gate ``g`` in 0..15 is named as in difflogic: its value at (A, B) is bit ``3 - (2A + B)`` of ``g``, so 1 is AND, 3 is
A, 6 is XOR. Values are listed here by address ``A + 2B``, as :class:`edgegate.nn.Lut` does: f(0,0), f(1,0), f(0,1),
f(1,1).

On reals in [0, 1] a gate is ``f(0,0)(1-a)(1-b) + f(1,0)a(1-b) + f(0,1)(1-a)b + f(1,1)ab``, which for each of the 16
is the entry of Table 1 of F. Petersen et al., "Deep Differentiable Logic Gate Networks", NeurIPS 2022 (arXiv
2210.08277). It is linear in the values f, and so is any mixture of gates: instead of 16 products a mixture takes four
coefficients, those of 1, a, b and ab.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

PLACES = (3, 1, 2, 0)
"""The bit of a gate's number that is its value, by address."""
A = 3
"""The gate that passes its first input on."""


def truth() -> Tensor:
    """Values of all gates by address: float32 [16, 4] of 0 and 1."""
    return torch.tensor([[gate >> place & 1 for place in PLACES] for gate in range(16)], dtype=torch.float32)


def coefficients(values: Tensor) -> Tensor:
    """The coefficients of 1, a, b and ab: float [m, 4] from values by address [m, 4]."""
    f00, f10, f01, f11 = values.unbind(-1)
    return torch.stack([f00, f10 - f00, f01 - f00, f11 - f10 - f01 + f00], dim=-1)


def mixed(x: Tensor, indices: Tensor, coefficients: Tensor, grad_factor: float = 1.0) -> Tensor:
    """``c0 + c1 a + c2 b + c3 ab`` of rows a and b of ``x``, differentiable in ``x`` and in the coefficients.

    Args:
        x: float [n, N]: one row a feature, so that reading a feature is one copy.
        indices: int64 [m, 2]: the rows a and b of each gate.
        coefficients: float [m, 4].
        grad_factor: What the gradient of ``x`` is multiplied by.

    Returns:
        float [m, N].
    """
    return _Mixed.apply(x, indices, coefficients, grad_factor)


class _Mixed(torch.autograd.Function):  # type: ignore[misc]
    """Keeps what it read, and none of the products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, indices: Tensor, coefficients: Tensor, grad_factor: float) -> Tensor:
        a, b = (x.index_select(0, column) for column in indices.unbind(1))
        c0, c1, c2, c3 = coefficients[:, :, None].unbind(1)
        ctx.save_for_backward(a, b, indices, coefficients)
        ctx.rows, ctx.factor = len(x), grad_factor
        return torch.addcmul(c1, c3, b).mul_(a).addcmul_(c2, b).add_(c0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor, None]:
        a, b, indices, coefficients = ctx.saved_tensors
        _, c1, c2, c3 = coefficients[:, :, None].unbind(1)
        to_a = gradient * a
        sums = [gradient.sum(1), to_a.sum(1), (gradient * b).sum(1), (to_a * b).sum(1)]
        rows = None
        if ctx.needs_input_grad[0]:
            rows = gradient.new_zeros(ctx.rows, gradient.shape[1])
            rows.index_add_(0, indices[:, 0], torch.addcmul(c1, c3, b).mul_(gradient))
            rows.index_add_(0, indices[:, 1], torch.addcmul(c2, c3, a).mul_(gradient))
            rows.mul_(ctx.factor)
        return rows, None, torch.stack(sums, dim=1), None
