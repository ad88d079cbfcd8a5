"""Writing nodes of the standard domain one after the other, with shapes, types and names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, constant, insert, shape

BOOL, DOUBLE, FLOAT, INT64 = ir.DataType.BOOL, ir.DataType.DOUBLE, ir.DataType.FLOAT, ir.DataType.INT64
COMPARISONS = ("Greater", "GreaterOrEqual", "Less")


@dataclass(kw_only=True)
class Names:
    """What the whole pass shares.

    Attributes:
        model: The model that nodes go into.
        taken: Names of its values.
        constants: Small constants by content.
    """

    model: ir.Model
    taken: set[str] = field(default_factory=set)
    constants: dict[tuple[Any, ...], ir.Value] = field(default_factory=dict)

    @classmethod
    def of(cls, model: ir.Model) -> Names:
        """The names that ``model`` has."""
        taken = set(model.graph.initializers) | {str(v.name) for v in model.graph.inputs}
        return cls(model=model, taken=taken | {str(v.name) for node in model.graph for v in node.outputs})

    def unique(self, name: str) -> str:
        """``name``, with a number if it is taken."""
        unique, n = name, 0
        while unique in self.taken:
            n += 1
            unique = f"{name}_{n}"
        self.taken.add(unique)
        return unique

    def constant(self, name: str, data: Array) -> ir.Value:
        """An initializer that holds ``data``, one for all that hold the same."""
        key = (data.dtype.str, data.dtype.name, data.shape, data.tobytes())
        if key not in self.constants:
            self.constants[key] = constant(self.model, self.unique(name), data)
        return self.constants[key]


@dataclass(frozen=True, kw_only=True)
class Build:
    """Inserts nodes before ``anchor``; ``build("Mul", x, 2.0)`` is the product, broadcast.

    Attributes:
        names: Of the pass.
        anchor: The node that new ones stand before.
        prefix: What the names of the new values begin with.
    """

    names: Names
    anchor: ir.Node
    prefix: str

    def __call__(
        self, op: str, *inputs: ir.Value | float, dims: Sequence[int] | None = None,
        dtype: ir.DataType | None = None, name: str | None = None, **attributes: Any,
    ) -> ir.Value:  # fmt: skip
        """The output of a new node.

        Args:
            op: Type, of the standard domain.
            *inputs: Values; a number is a scalar of the type of the first value.
            dims: Shape of the output; left out, that of the inputs broadcast.
            dtype: Type of the output; left out, that of the last input, or BOOL for a comparison.
            name: Of the output; left out, the prefix with the op's type.
            **attributes: Of the node.
        """
        first = next(v for v in inputs if isinstance(v, ir.Value))
        values = [v if isinstance(v, ir.Value) else self.number(v, first) for v in inputs]
        made = values[-1].dtype if dtype is None else dtype
        assert made is not None, "values have a type"
        return insert(
            self.anchor, op, values, attributes, domain="", name=name or self.names.unique(f"{self.prefix}.{op}"),
            dtype=BOOL if op in COMPARISONS else made,
            dims=np.broadcast_shapes(*map(shape, values)) if dims is None else dims,
        )  # fmt: skip

    def number(self, number: float, like: ir.Value) -> ir.Value:
        """A scalar of the type of ``like``."""
        assert like.dtype is not None, "values have a type"
        return self.names.constant("number", np.array(number, like.dtype.numpy()))

    def ints(self, numbers: Sequence[int]) -> ir.Value:
        """A constant list of int64: axes, a shape."""
        return self.names.constant("integers", np.array(numbers, np.int64))

    def reshape(self, x: ir.Value, dims: Sequence[int]) -> ir.Value:
        """``x`` in another shape; itself if it has that."""
        return x if shape(x) == tuple(dims) else self("Reshape", x, self.ints(dims), dims=dims, dtype=x.dtype)

    def cast(self, x: ir.Value, dtype: ir.DataType) -> ir.Value:
        """``x`` as another type; itself if it is that."""
        return x if x.dtype == dtype else self("Cast", x, dtype=dtype, to=dtype.value)
