"""Which format a layer is stored in, as users say it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from edgegate.graph import BLOCKS, LAYER
from edgegate.quant.storage import BlockStorage
from edgegate.quant.weights import Layer

PAIRS = {
    "w4a8_bfp": "bfp12:bfp16",
    "w4a8_mx": "mxfp4:mxint8",
    "w4a16": "int4_g32:none",
    "w8a8_bfp": "bfp16:bfp16",
}
"""Formats for weights and activations that have a name together."""


@dataclass(frozen=True, kw_only=True)
class LayerFormat:
    """One entry of :attr:`Recipe.formats`.

    Attributes:
        pattern: Of the layers it is for (fnmatch).
        blocks: How they are stored; None: in int8, with static scales.
    """

    pattern: str
    blocks: BlockStorage | None


def layer_format(entry: str) -> LayerFormat:
    """The meaning of an entry of :attr:`Recipe.formats`. ValueError if it has none."""
    pattern, given, name = entry.rpartition("=")
    if given and not pattern:
        raise ValueError(f"a format for some layers is PATTERN=FORMAT, got {entry!r}")
    pattern = pattern or "*"
    if name == "int8":
        return LayerFormat(pattern=pattern, blocks=None)
    weights, both, activations = PAIRS.get(name, name).partition(":")
    kept = None if activations == "none" else (activations if both else weights)
    return LayerFormat(pattern=pattern, blocks=BlockStorage(weights=weights, activations=kept))


def layer_formats(found: Sequence[Layer], entries: Sequence[str]) -> Mapping[str, BlockStorage | None]:
    """The format of every layer by the name of its output; None: int8.

    A layer that was trained in blocks keeps its own, unless an entry names it.

    Raises:
        ValueError: A pattern matches no layer.
    """
    chosen = {layer.output: given_blocks(layer) for layer in found}
    for entry in entries:
        asked = layer_format(entry)
        matching = [layer for layer in found if any(fnmatchcase(name, asked.pattern) for name in _names(layer))]
        if not matching and asked.pattern != "*":
            near = get_close_matches(asked.pattern, [n for layer in found for n in _names(layer)], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"the format pattern {asked.pattern!r} matches no layer{hint}")
        free = [layer for layer in matching if asked.pattern != "*" or given_blocks(layer) is None]
        chosen.update({layer.output: asked.blocks for layer in free})
    return chosen


def given_blocks(layer: Layer) -> BlockStorage | None:
    """How the layer was trained to be stored (:mod:`edgegate.passes.read_qdq`); None if nobody said."""
    told = layer.node.metadata_props.get(BLOCKS)
    return None if told is None else BlockStorage(**json.loads(told))


def keeps_weights(layer: Layer, storage: BlockStorage) -> bool:
    """Whether ``storage`` stores the weights as they were trained to be stored."""
    given = given_blocks(layer)
    return given is not None and replace(given, activations=storage.activations) == storage


def _names(layer: Layer) -> Iterator[str]:
    """What a layer can be called by: its torch name, its weight and its output."""
    yield from filter(None, (layer.node.metadata_props.get(LAYER, ""), str(layer.weight.name), layer.output))
