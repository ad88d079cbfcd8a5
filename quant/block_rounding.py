"""Weights and biases of layers in blocks, once their transforms stand: rounded, and the mean shift put right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array
from edgegate.quant.bias_correction import corrections
from edgegate.quant.error_feedback import turned, with_feedback
from edgegate.quant.layer_formats import keeps_weights
from edgegate.quant.recipe import Recipe
from edgegate.quant.storage import BlockStorage
from edgegate.quant.transform_storage import TransformStorage
from edgegate.quant.weights import Layer, layer_of


@dataclass(frozen=True, kw_only=True)
class InputMoments:
    """What a layer reads, before its transform.

    Attributes:
        mean: float64 [K].
        hessian: ``E[x x^T]``, float64 [K, K]; None: it was not summed.
    """

    mean: Array
    hessian: Array | None


@dataclass(frozen=True, kw_only=True)
class Rounded:
    """What became of the layers in blocks.

    Attributes:
        storages: By the name of the weights.
        biases: Corrections, by the name of the bias.
    """

    storages: Mapping[str, BlockStorage]
    biases: Mapping[str, tuple[float, ...]]


def round_blocks(
    model: ir.Model,
    storages: Mapping[str, BlockStorage],
    transforms: Mapping[str, TransformStorage],
    seen: Mapping[str, InputMoments],
    recipe: Recipe,
) -> Rounded:
    """Round the weights as the recipe says, and correct the biases for what that does to the means.

    Weights that were trained to be what is stored are left alone.

    Args:
        model: Float, its transforms applied. With error feedback, its weights become those that are stored.
        storages: By the name of the weights.
        transforms: Of the scheme.
        seen: By the name of the weights.
        recipe: What is asked for.
    """
    basis = {name: transform for transform in transforms.values() for name in transform.readers}
    found = {str(a.weight.name): a for a in _layers(model, storages)}
    feedback = recipe.rounding == "gptq"
    wanted = {name: layer.data() for name, layer in found.items()} if feedback else None
    kept = dict(storages)
    if feedback:
        for name, layer in found.items():
            hessian = _hessian(seen[name], layer, recipe)
            kept[name] = with_feedback(model, layer, storages[name], basis.get(name), hessian)
    if not recipe.bias_correction:
        return Rounded(storages=kept, biases={})
    means = {a.source: turned(seen[name].mean[:, None], basis.get(name))[:, 0] for name, a in found.items()}
    return Rounded(storages=kept, biases=corrections(_layers(model, storages), kept, means, wanted))


def _layers(model: ir.Model, storages: Mapping[str, BlockStorage]) -> list[Layer]:
    found = [layer for node in model.graph if (layer := layer_of(node)) is not None]
    wanted = [(layer, storages[str(layer.weight.name)]) for layer in found if layer.weight.name in storages]
    return [layer for layer, storage in wanted if not keeps_weights(layer, storage)]


def _hessian(seen: InputMoments, layer: Layer, recipe: Recipe) -> Array:
    """The covariance where the bias takes care of the mean."""
    assert seen.hessian is not None, "it is summed for GPTQ"
    alone = layer.bias is not None and len(layer.bias.uses()) == 1
    return seen.hessian - np.outer(seen.mean, seen.mean) if recipe.bias_correction and alone else seen.hessian
