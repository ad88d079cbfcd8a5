"""GPTQ over a model: later channels of a layer in blocks answer for the rounding of earlier ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array
from edgegate.passes._rewrite import revise
from edgegate.quant.formats import format_named
from edgegate.quant.sites import matrix_of, with_matrix
from edgegate.quant.storage import BlockStorage
from edgegate.quant.transform_storage import TransformStorage
from edgegate.quant.transforms.gptq import gptq
from edgegate.quant.weights import Layer


def with_feedback(
    model: ir.Model, layer: Layer, storage: BlockStorage, transform: TransformStorage | None, hessian: Array
) -> BlockStorage:
    """Round the weights of a layer in blocks by GPTQ (arXiv 2210.17323), in the basis in which it reads its input.

    The transforms were made before, of the weights as they were. Algorithm 2 of arXiv 2512.00956 makes each anew of the
    weights that earlier blocks have changed (:mod:`edgegate.quant.transforms.gptq`): that is no better (see
    ``tests.bench_quant``), and gives layers that read one value, or fold their transform, one of each their own.

    The Hessian is damped there, where a transform has made its channels alike: in the basis of the input, what is
    added for the loud channels would drown the quiet ones.

    Args:
        model: Float, its transforms applied; the layer's weights become what is stored.
        layer: The layer.
        storage: Of the layer.
        transform: What stands before it, if anything does.
        hessian: float64 [K, K], of its input before the transform: ``E[x x^T]``, or the covariance where the bias
            makes up for the mean.

    Returns:
        The storage, with the scales if quantizing again would choose others.
    """
    form, matrix = format_named(storage.weights), matrix_of(layer).astype(np.float64)
    found = gptq(matrix, in_basis(hessian, transform), form, kind="identity")
    revise(model, layer.node, 1, with_matrix(layer, found.values[: len(matrix)]))
    if form.power_of_two and np.array_equal(form.quantize(found.values.T).values().T, found.values):
        return storage
    scales = tuple(found.blocks.scales.reshape(-1).tolist())
    return replace(storage, scales=scales, tensor_scale=found.blocks.tensor_scale)


def in_basis(hessian: Array, transform: TransformStorage | None) -> Array:
    """``A H A^T`` with ``A = T diag(s)``: the moment of what the layer reads.

    Args:
        hessian: float64 [K, K].
        transform: T and s; None: the layer reads the value itself.

    Returns:
        float64 [K', K'], K' the next multiple of the block.
    """
    return hessian if transform is None else turned(turned(hessian, transform).T, transform)


def turned(rows: Array, transform: TransformStorage | None) -> Array:
    """``A`` times the vectors [K, M] that are the columns of ``rows``: float64 [K', M]."""
    if transform is None:
        return rows
    channels, size = len(rows), transform.block
    count = -(-channels // size)
    scale = np.array(transform.diagonal or [1.0] * channels)
    whole = np.zeros((count * size, rows.shape[1]))
    whole[:channels] = rows * scale[:, None]
    return (transform.blocks() @ whole.reshape(count, size, -1)).reshape(whole.shape)
