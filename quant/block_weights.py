"""The stored weights of layers in blocks."""

from __future__ import annotations

import numpy as np

from edgegate.graph import Array
from edgegate.quant.formats import BlockFormat, Blocks, IntegerScales, format_named
from edgegate.quant.storage import BlockStorage


def stored_blocks(storage: BlockStorage, rows: Array) -> Blocks:
    """The blocks of weights: by the format's rules, or with the scales that the storage gives.

    Args:
        storage: Of the layer.
        rows: Float [N, K], one row per output channel (and tap).

    Raises:
        ValueError: The given scales are not those of so many blocks.
    """
    form = format_named(storage.weights)
    if not storage.scales:
        return form.quantize(rows)
    return with_scales(form, rows, given_scales(storage, rows.shape), storage.tensor_scale)


def given_scales(storage: BlockStorage, dims: tuple[int, ...]) -> Array:
    """The scales that a storage gives, float64 [N, n], for weights [N, K]. ValueError if they do not fit."""
    count = -(-dims[-1] // format_named(storage.weights).block)
    if len(storage.scales) != dims[0] * count:
        raise ValueError(f"{len(storage.scales)} scales are not those of {dims[0]} rows of {count} blocks")
    return np.array(storage.scales, np.float64).reshape(dims[0], count)


def integer_blocks(storage: BlockStorage, rows: Array, bits: int) -> tuple[Blocks, IntegerScales]:
    """:func:`stored_blocks`, with scales that are integers of ``bits`` bits over one unit per row.

    Small ones are raised: see :meth:`edgegate.quant.formats.BlockFormat.quantize_integer`.
    """
    form = format_named(storage.weights)
    if not storage.scales:
        return form.quantize_integer(rows, bits=bits, per_row=True)
    blocks = stored_blocks(storage, rows)
    scales = blocks.integer_scales(bits=bits, per_row=True, clamp=True)
    if scales.raised.any():
        coarser = np.where(scales.raised, scales.multipliers * scales.unit[:, None], blocks.scales)
        blocks = with_scales(form, rows, coarser, storage.tensor_scale)
    return blocks, scales


def with_scales(form: BlockFormat, rows: Array, scales: Array, tensor_scale: float) -> Blocks:
    """Weights [N, K] in the steps ``scales`` [N, n]."""
    count = scales.shape[-1]
    whole = np.zeros((len(rows), count * form.block))
    whole[:, : rows.shape[-1]] = rows
    significands = form.significands(whole.reshape(len(rows), count, form.block), scales[..., None])
    return Blocks(significands=significands, scales=scales, length=rows.shape[-1], tensor_scale=tensor_scale)
