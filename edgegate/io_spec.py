"""What one input or output of a program is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgegate.storage import Edge, Thresholds

DTYPES = ("float32", "int8", "uint8", "int16", "int32", "int64", "bool")


@dataclass(frozen=True, kw_only=True)
class IOSpec:
    """One input or output of a program.

    Attributes:
        name: As in the user's model.
        shape: Of one call, batch included.
        dtype: What the user gives or gets.
        storage: How the program takes or gives it; None: as it is.

    Raises:
        ValueError: An attribute is impossible.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    storage: Edge | None = None

    def __post_init__(self) -> None:
        if not (0 < len(self.name) <= 1000 and self.name.isprintable()):
            raise ValueError(f"a name must be printable, got {ascii(self.name)[:60]}")
        if self.dtype not in DTYPES:
            raise ValueError(f"a dtype must be one of {', '.join(DTYPES)}, got {self.dtype!a}")
        if self.storage is not None and self.dtype != "float32":
            raise ValueError(f"{self.name}: only float32 has a storage, not {self.dtype}")
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        if len(self.shape) > 16 or min(self.shape, default=1) < 1 or math.prod(self.shape) > 2**31:
            raise ValueError(f"{self.name}: impossible shape {list(self.shape)}")

    @property
    def stored_dtype(self) -> str:
        """What the program itself takes or gives."""
        return self.storage.dtype if self.storage else self.dtype

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Of what the program itself takes or gives: thresholds make bits of an axis of their own."""
        return (*self.shape, self.storage.bits) if isinstance(self.storage, Thresholds) else self.shape
