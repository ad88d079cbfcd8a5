"""Look-up tables over bits: what every logic gate network becomes when it is deployed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgegate.nn import _gates, _ops


class Lut(nn.Module):  # type: ignore[misc]
    """``m`` look-up tables of ``k`` inputs each, on the last axis; for inference, nothing in it is trained.

    Output ``i`` is ``tables[i, a]`` at the address ``a = sum over j of (x[indices[i, j]] != 0) * 2**j``: column 0 is
    the lowest bit.

    Args:
        indices: int64 [m, k], k in 1..6: what each table reads, none negative.
        tables: bool [m, 2**k], or integers of 0 and 1.

    Shape:
        x float [..., n] of 0.0 and 1.0 (whatever is not 0 is true), n above every index -> [..., m] of 0.0 and 1.0,
        in the dtype of x; bool and integers become float32.

    Raises:
        ValueError: Shapes that do not fit each other, a negative index, or entries other than 0 and 1.
    """

    indices: Tensor
    tables: Tensor

    def __init__(self, indices: Tensor, tables: Tensor) -> None:
        super().__init__()
        if indices.ndim != 2 or indices.dtype != torch.int64 or not 1 <= indices.shape[1] <= _ops.WIDEST:
            found = f"{indices.dtype} {list(indices.shape)}"
            raise ValueError(f"indices must be int64 [m, k] with k in 1..{_ops.WIDEST}, got {found}")
        expected = [len(indices), 1 << indices.shape[1]]
        if list(tables.shape) != expected or not bool(((tables == 0) | (tables == 1)).all()):
            raise ValueError(f"tables must be 0 and 1 of shape {expected}, got {list(tables.shape)}")
        if indices.numel() and int(indices.min()) < 0:
            raise ValueError(f"a table reads input {int(indices.min())}; they are numbered from 0")
        self.register_buffer("indices", indices.detach().clone())
        self.register_buffer("tables", tables.detach().bool().clone())

    @classmethod
    def of_gates(cls, gates: Tensor, indices: Tensor) -> Lut:
        """Gates of two inputs by difflogic's numbers: the value at (A, B) is bit ``3 - (2A + B)`` of the number.

        Args:
            gates: Integers [m] in 0..15.
            indices: Integers [m, 2]: the inputs A and B of each.

        Raises:
            ValueError: A number outside 0..15, or indices of another shape.
        """
        if gates.numel() and not 0 <= int(gates.min()) <= int(gates.max()) < len(_gates.truth()):
            raise ValueError(f"gates are numbered 0 to 15, got {int(gates.min())} to {int(gates.max())}")
        return cls(indices.to(torch.int64), _gates.truth()[gates.to(torch.int64)])

    def forward(self, x: Tensor) -> Tensor:
        """The outputs of the tables."""
        return torch.ops.edgegate.lut(as_float(x), self.indices, self.tables)

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"outputs={len(self.indices)}, inputs_each={self.indices.shape[1]}"


def as_float(x: Tensor) -> Tensor:
    """``x``, bool and integers as float32."""
    return x if x.is_floating_point() else x.to(torch.float32)
