"""What the element-wise ops share: the TVM lowering from one element, and samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgegate.graph import Array

NUMPY: dict[int, Any] = {3: np.int8, 2: np.uint8, 5: np.int16, 6: np.int32, 7: np.int64}
"""numpy type of the ONNX type numbers that an op's attribute ``to`` may name."""
TVM = {number: np.dtype(kind).name for number, kind in NUMPY.items()}
"""TVM's names of the same."""


def elementwise(scalar: Callable[..., Any], *, whole: tuple[int, ...] = ()) -> Callable[..., Any]:
    """A TE lowering that applies ``scalar`` to every element, inputs broadcast to one shape.

    Args:
        scalar: Takes one expression per input and the attributes.
        whole: Positions of inputs handed over as tensors (a look-up table) and not by element.
    """

    def lower(*inputs: Any, **attributes: Any) -> Any:
        from tvm import te

        streamed = [x for i, x in enumerate(inputs) if i not in whole]
        dims = np.broadcast_shapes(*(tuple(int(d) for d in x.shape) for x in streamed))

        def element(*index: Any) -> Any:
            arguments = [x if i in whole else _at(x, index) for i, x in enumerate(inputs)]
            return scalar(*arguments, **attributes)

        return te.compute(dims, element)

    return lower


def _at(x: Any, index: tuple[Any, ...]) -> Any:
    """The element of ``x`` that numpy broadcasting reads at ``index`` of the result."""
    trailing = index[len(index) - len(x.shape) :]
    return x(*(0 if int(d) == 1 else i for d, i in zip(x.shape, trailing, strict=True)))


def spread(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> Array:
    """Random integers over all magnitudes of ``dtype``, with its extremes, zero, one and minus one.

    Uniform draws alone would saturate almost every result and hide rounding errors.
    """
    info = np.iinfo(dtype)
    wide = rng.integers(info.min, info.max, shape, dtype=np.int64, endpoint=True)
    values = wide >> rng.integers(0, info.bits, shape)
    flat = values.reshape(-1)
    special = np.array([info.min, info.max, 0, 1, info.min + 1, max(info.min, -1)], np.int64)
    count = min(flat.size, special.size)
    flat[rng.choice(flat.size, count, replace=False)] = special[:count]
    return flat.reshape(shape).astype(dtype)
