"""Values that are a multiple of another: the same stored integers, in another unit.

Attention scales its queries or its scores. Stored in a unit as many times as large, a multiple costs nothing and is
exact; with a range of its own it would be rounded once more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.quant.scalar_ops import scalar_function
from edgegate.quant.sharing import UNARY, Groups
from edgegate.quant.storage import SMALLEST_SCALE, Storage

COARSER = 1.5
"""A multiple may be stored so many times coarser than its own range asks for."""
_POINTS = np.concatenate([-np.logspace(-4, 4, 33), [0.0], np.logspace(-4, 4, 33)])


def factor(model: ir.Model, node: ir.Node) -> float | None:
    """The positive number that the node multiplies its input by; None if it does anything else."""
    function = scalar_function(model, node) if node.domain == UNARY else None
    if function is None:
        return None
    try:
        y = function(_POINTS)
    except CompileError:  # an op without a scalar meaning: to_integer says so where it needs the table
        return None
    found = float(y[-1] / _POINTS[-1])
    return found if 0 < found < np.inf and np.allclose(y, found * _POINTS, rtol=1e-6, atol=0) else None


def multiple(storage: Storage, by: float) -> Storage | None:
    """How ``by`` times a value stored so is stored by the same integers; None where no storage says that."""
    if (
        storage.dtype not in ("int8", "uint8", "int16")
        or not SMALLEST_SCALE <= storage.scale * by <= 1 / SMALLEST_SCALE
    ):
        return None
    return replace(storage, scale=storage.scale * by)


def of_multiples(
    model: ir.Model, groups: Groups, values: Mapping[str, Storage], fixed: Collection[str]
) -> dict[str, Storage]:
    """``values``, with every multiple stored like what it is one of, unless that would be too coarse or too small.

    Args:
        model: In float normal form.
        groups: Of its values.
        values: Storages by owner.
        fixed: Owners whose storage is not to be changed.
    """
    result = dict(values)
    for node in model.graph:
        source, output = node.inputs[0] if node.inputs else None, node.outputs[0]
        if source is None or source.name not in groups or output.name not in groups:
            continue
        before, after = groups.owner(str(source.name)), groups.owner(str(output.name))
        by = None if before == after or after in fixed else factor(model, node)
        made = None if by is None else multiple(result[before], by)
        if made is not None and _does(made, result[after]):
            result[after] = made
    return result


def _does(made: Storage, wanted: Storage) -> bool:
    """Whether ``made`` holds what ``wanted`` does, and is hardly coarser."""
    low, high = wanted.real_low + wanted.scale, wanted.real_high - wanted.scale
    covers = made.real_low <= low and high <= made.real_high
    return covers and made.dtype == wanted.dtype and made.scale <= COARSER * wanted.scale
