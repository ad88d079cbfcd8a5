"""A block transform: one invertible matrix per block of a layer's input channels, and its inverse in the weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from edgegate.graph import Array
from edgegate.quant.moments import blocked
from edgegate.quant.transforms.hadamard import fwht

Kind = Literal["identity", "hadamard", "wush_diag", "wush"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True, eq=False)
class Transform:
    """``x @ W == apply_x(x) @ apply_w(W)``: T_X on the activations, on line; T_W on the weights, once.

    Attributes:
        kind: What it was built as.
        matrices: T_X, float64 [n, d, d]: ``t = T_X x`` per block.
        weights_side: T_W, float64 [n, d, d], the inverse transposes of T_X.
        diagonal: float64 [n, d] where ``T_X = H diag(diagonal)`` with H of +1 and -1, ones for "hadamard"; else None.
            What produces x can be scaled by it, and H alone, in adds, stays on line.
        channels: The layer's input channels K, ``(n - 1) * d < K <= n * d``.
        bits: Of a matrix of integers: bits of a row's significands with their sign, or "pow2" where every entry is 0
            or a power of two with a sign. None: not rounded.
    """

    kind: Kind
    matrices: Array
    weights_side: Array
    diagonal: Array | None = None
    channels: int
    bits: int | Literal["pow2"] | None = None

    def __post_init__(self) -> None:
        shape = self.matrices.shape
        if self.kind not in KINDS or len(shape) != 3 or shape[1] != shape[2] or self.weights_side.shape != shape:
            raise ValueError(
                f"{self.kind} with matrices {list(shape)}, {list(self.weights_side.shape)} is no transform"
            )
        if not (shape[0] - 1) * shape[1] < self.channels <= shape[0] * shape[1]:
            raise ValueError(f"{shape[0]} blocks of {shape[1]} do not hold {self.channels} channels")
        if self.diagonal is not None and self.diagonal.shape != shape[:2]:
            raise ValueError(f"the diagonal {list(self.diagonal.shape)} does not fit the matrices {list(shape)}")
        if not np.isfinite(self.matrices).all() or not np.isfinite(self.weights_side).all():
            raise ValueError(f"the {self.kind} transform has values that are not finite")
        if self.integer and (self.matrices != np.rint(self.matrices)).any():
            raise ValueError(f"the {self.kind} transform is said to be of integers and is not")

    @property
    def block(self) -> int:
        """Channels of a block, d."""
        return int(self.matrices.shape[1])

    @property
    def integer(self) -> bool:
        """Whether every entry of T_X is an integer."""
        return self.bits is not None

    @property
    def dtype(self) -> np.dtype[np.signedinteger]:
        """The least of int8, int16 that holds T_X. ValueError if it is not of integers, or wider."""
        greatest = np.abs(self.matrices).max()
        for dtype in (np.int8, np.int16):
            if self.integer and greatest <= np.iinfo(dtype).max:
                return np.dtype(dtype)
        raise ValueError(f"the {self.kind} transform is not of 16-bit integers; round it first")

    @cached_property
    def condition(self) -> float:
        """The largest ratio of singular values among the blocks; infinite for a singular one."""
        values = np.linalg.svd(self.matrices, compute_uv=False)
        return float((values[:, 0] / np.maximum(values[:, -1], np.finfo(np.float64).tiny)).max())

    def apply_x(self, x: Array) -> Array:
        """``T_X x`` per block: [..., K] to float64 [..., n * d]; missing channels count as 0."""
        blocks = blocked(x.astype(np.float64), self.block)
        if self.kind == "identity":
            return blocks.reshape(*x.shape[:-1], -1)
        if self.diagonal is not None:
            return fwht(blocks * self.diagonal).reshape(*x.shape[:-1], -1)
        flat = blocks.reshape(-1, *self.matrices.shape[:2])
        turned = flat.transpose(1, 0, 2) @ self.matrices.transpose(0, 2, 1)
        return turned.transpose(1, 0, 2).reshape(*x.shape[:-1], -1)

    def apply_w(self, weights: Array) -> Array:
        """``T_W W`` per block: [K, N] to float64 [n * d, N]; the rows of missing channels count as 0."""
        whole = np.zeros((self.weights_side.shape[0] * self.block, weights.shape[1]))
        whole[: len(weights)] = weights
        blocks = whole.reshape(-1, self.block, weights.shape[1])
        if self.kind != "identity":
            blocks = self.weights_side @ blocks
        return blocks.reshape(-1, weights.shape[1])
