"""Bringing what a Scheme changes into a float model: all it computes stays as it was, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import Array, shape, where
from edgegate.passes._rewrite import revise
from edgegate.quant.folds import fold_blocks, fold_diagonal
from edgegate.quant.insert_transform import insert_transform
from edgegate.quant.kvsort import apply_products
from edgegate.quant.scheme import Scheme
from edgegate.quant.sites import matrix_of, with_matrix
from edgegate.quant.transform_storage import TransformStorage
from edgegate.quant.weights import Layer, layer_of


def apply_scheme(model: ir.Model, scheme: Scheme) -> None:
    """Bring a scheme's products, then its transforms, into the float model that it was made for.

    Raises:
        CompileError: It is of another model, or cannot be repeated: error feedback (GPTQ) rounds weights by data.
    """
    if scheme.options.get("rounding") == "gptq" and scheme.blocks:
        what = "its weights were rounded by gptq, from data that it does not hold"
        raise CompileError("the scheme", what, "quantize again from the model and its calibration data")
    apply_products(model, scheme.products)
    apply_transforms(model, scheme.transforms)


def apply_transforms(model: ir.Model, transforms: Mapping[str, TransformStorage]) -> None:
    """Fold what can be folded, insert what cannot, and change the readers' weights to make up for both.

    Weights are computed in float64 and rounded once.

    Args:
        model: Float, normalised; the one that the transforms were chosen for.
        transforms: Of a Scheme.

    Raises:
        CompileError: A transform is not one for this model.
    """
    for name, storage in transforms.items():
        found = _readers(model, name, storage)
        source = found[0].node.inputs[0]
        assert source is not None, "a layer has an input"
        _check(name, storage, found, shape(source)[found[0].channel_axis])
        before = [matrix_of(layer).astype(np.float64) for layer in found]
        after = compensated(storage, before)
        _transform(model, name, storage, source, found)
        for layer, matrix in zip(found, after, strict=True):
            revise(model, layer.node, 1, with_matrix(layer, matrix))


def compensated(storage: TransformStorage, matrices: Sequence[Array]) -> list[Array]:
    """The weights that read ``T diag(s) x`` instead of ``x``.

    Args:
        storage: T and s.
        matrices: float64 [K, N] each.

    Returns:
        ``T^-T diag(1/s) W``, float64 [K', N] with K' the next multiple of the block where T is computed on line,
        else K' = K.
    """
    channels, inverse = len(matrices[0]), storage.inverse()
    scale = np.array(storage.diagonal or [1.0] * channels)[:, None]
    count = -(-channels // storage.block)
    made = []
    for matrix in matrices:
        padded = np.zeros((count * storage.block, matrix.shape[1]))
        np.divide(matrix, scale, out=padded[:channels])
        made.append((inverse @ padded.reshape(count, storage.block, -1)).reshape(padded.shape))
    return made


def _transform(model: ir.Model, name: str, storage: TransformStorage, source: ir.Value, found: Sequence[Layer]) -> None:
    """Change what the readers see."""
    nodes, axis = [layer.node for layer in found], found[0].channel_axis
    if storage.diagonal and not fold_diagonal(model, source, np.array(storage.diagonal), axis, readers=nodes):
        raise _misfit(name, f"the layers before {source.name} do not take its diagonal")
    if storage.online:
        insert_transform(model, source, nodes, storage.blocks().astype(np.int64), storage.kind, axis)
    elif not fold_blocks(model, source, _all(storage, shape(source)[axis]), axis, readers=nodes):
        raise _misfit(name, f"the layer before {source.name} does not take its matrices")


def _all(storage: TransformStorage, channels: int) -> Array:
    """One matrix per block."""
    size = storage.block
    return np.broadcast_to(storage.blocks(), (channels // size, size, size))


def _readers(model: ir.Model, name: str, storage: TransformStorage) -> list[Layer]:
    """The layers that read the transform, which all read its source."""
    nodes = [node for node in model.graph if len(node.inputs) > 1 and node.inputs[1] is not None]
    reading = [n for n in nodes if str(n.inputs[1].name) in storage.readers]  # type: ignore[union-attr]
    found = [layer for node in reading if (layer := layer_of(node)) is not None]
    missing = sorted(set(storage.readers) - {str(layer.weight.name) for layer in found})
    if missing:
        raise _misfit(name, f"no layer of the model has the weights {', '.join(missing)}")
    for layer in found:
        if layer.source != storage.source:
            raise CompileError(where(layer.node), f"reads {layer.source}, not {storage.source} of {name}", AGAIN)
    return found


def _check(name: str, storage: TransformStorage, found: Sequence[Layer], channels: int) -> None:
    if len({layer.channel_axis for layer in found}) > 1:
        raise _misfit(name, "its readers take the channels from different axes")
    if storage.diagonal and len(storage.diagonal) != channels:
        raise _misfit(name, f"its diagonal is for {len(storage.diagonal)} channels, {storage.source} has {channels}")
    blocks = -(-channels // storage.block)
    if storage.kind == "matrix" and len(storage.matrices) != blocks * storage.block**2:
        raise _misfit(name, f"its matrices are not those of {blocks} blocks of {storage.block}")
    if not storage.online and channels % storage.block:
        raise _misfit(name, f"{channels} channels are no whole blocks of {storage.block}, so it cannot be folded")


AGAIN = "it is of another model, or was edited: quantize this one again"


def _misfit(name: str, what: str) -> CompileError:
    return CompileError(f"transform {name} of the scheme", what, AGAIN)
