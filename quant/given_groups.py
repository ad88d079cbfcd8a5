"""Layers that were trained in blocks: their weights stay the numbers that they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgegate.errors import CompileError, Problem
from edgegate.graph import where
from edgegate.quant.block_weights import stored_blocks
from edgegate.quant.formats import format_named
from edgegate.quant.given_weights import OFF_GRID
from edgegate.quant.layer_formats import keeps_weights
from edgegate.quant.sharing import Groups
from edgegate.quant.sites import matrix_of
from edgegate.quant.storage import BlockStorage
from edgegate.quant.weights import Layer


def check_given(found: Sequence[Layer], chosen: Mapping[str, BlockStorage | None], reasons: Mapping[str, str]) -> None:
    """CompileError for layers whose weights would not be stored as the numbers that they were trained to be.

    Args:
        found: The layers.
        chosen: How they shall be stored, by their outputs.
        reasons: Why they are stored in int8 instead, likewise.
    """
    problems = []
    for layer in found:
        storage = chosen[layer.output]
        if storage is None or not keeps_weights(layer, storage):
            continue
        what = reasons.get(layer.output)
        if what is None and not _lies_on(layer, storage):
            what = "a pass has moved its weights off the scales of their groups"
        if what is not None:
            fix = "give its weights one scale per output channel"
            what = f"its weights were trained in groups, but {what}"
            problems.append(Problem(where=where(layer.node), what=what, fix=fix))
    if problems:
        raise CompileError.of(problems)


def _lies_on(layer: Layer, storage: BlockStorage) -> bool:
    """Whether the layer's weights are numbers that the storage has, but for the rounding of float32."""
    rows = matrix_of(layer).T.astype(np.float64)
    try:
        blocks = stored_blocks(storage, rows)
    except ValueError:  # other channels than it has scales for
        return False
    off = np.abs(blocks.values() - rows)
    steps = np.repeat(blocks.scales, blocks.significands.shape[-1], axis=-1)[:, : rows.shape[-1]]
    return bool((off <= OFF_GRID * steps).all())


def with_inputs(
    found: Sequence[Layer], chosen: Mapping[str, BlockStorage | None], groups: Groups
) -> dict[str, BlockStorage | None]:
    """``chosen``, where layers trained with weights in groups and inputs that nobody quantized read blocks of 8 bits.

    An input that the model quantizes itself is read as it is.
    """
    result = dict(chosen)
    for layer in found:
        storage = chosen[layer.output]
        free = groups.owner(layer.source) not in groups.given
        if storage is not None and storage.activations is None and free and keeps_weights(layer, storage):
            name = f"bfp16_b{format_named(storage.weights).block}"
            result[layer.output] = replace(storage, activations=name)
    return result
