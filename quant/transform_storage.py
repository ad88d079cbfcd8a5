"""What stands between a value and the layers that read it, as data of a Scheme."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgegate.graph import Array
from edgegate.quant.insert_transform import sylvester

KINDS = ("hadamard", "matrix")
LARGEST = (1 << 15) - 1
"""Entries of a matrix are stored in 16 bits at most."""


@dataclass(frozen=True, kw_only=True)
class TransformStorage:
    """A linear map of the channels that some layers read: ``t = T diag(s) x``, block by block.

    The weights of the readers are multiplied by its inverse transpose when it is applied, so nothing changes but
    how well the blocks can be stored.

    Attributes:
        source: Name of the value ``x``.
        readers: Names of the weight initializers of the layers that read ``t``; all of one format.
        kind: "hadamard": T is the unnormalised Hadamard matrix (Sylvester order); "matrix": T is ``matrices``.
        block: Channels of a block, a power of two.
        online: Whether the program computes T; else it is folded into the layer before.
        diagonal: ``s``, positive, one per channel of ``x``, folded into the layers before; empty: ones.
        matrices: The integers of T, row by row, one matrix after the other; empty for "hadamard".

    Raises:
        ValueError: An attribute is impossible.
    """

    source: str
    readers: tuple[str, ...]
    kind: str
    block: int
    online: bool = True
    diagonal: tuple[float, ...] = ()
    matrices: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("readers", "diagonal", "matrices"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not isinstance(self.source, str) or not self.readers or not all(isinstance(r, str) for r in self.readers):
            raise ValueError(f"a transform needs a source and readers, got {self.source!r} and {self.readers!r}")
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        whole = isinstance(self.block, int) and not isinstance(self.block, bool)
        if not whole or not 2 <= self.block <= 256 or self.block & (self.block - 1):
            raise ValueError(f"block must be a power of two from 2 to 256, got {self.block!r}")
        if not isinstance(self.online, bool):
            raise ValueError(f"online must be true or false, got {self.online!r}")
        self._check_numbers()

    def _check_numbers(self) -> None:
        if not all(isinstance(s, float) and math.isfinite(s) and s > 0 for s in self.diagonal):
            raise ValueError("diagonal must hold positive finite numbers")
        if not all(isinstance(m, int) and not isinstance(m, bool) and abs(m) <= LARGEST for m in self.matrices):
            raise ValueError(f"matrices must hold integers in [-{LARGEST}, {LARGEST}]")
        if bool(self.matrices) != (self.kind == "matrix") or len(self.matrices) % self.block**2:
            raise ValueError(f"{len(self.matrices)} integers are no {self.kind} transform in blocks of {self.block}")

    def blocks(self) -> Array:
        """T as float64 [n, d, d]; n = 1 for the Hadamard matrix, which all blocks share."""
        if self.kind == "hadamard":
            return sylvester(self.block)[None].astype(np.float64)
        return np.array(self.matrices, np.float64).reshape(-1, self.block, self.block)

    def inverse(self) -> Array:
        """The weights' side ``T^-T`` as float64 [n, d, d]. ValueError if a block is singular."""
        if self.kind == "hadamard":
            return self.blocks() / self.block
        try:
            return np.linalg.inv(self.blocks()).transpose(0, 2, 1)
        except np.linalg.LinAlgError as e:
            raise ValueError(f"the transform of {self.source} has a singular block") from e
