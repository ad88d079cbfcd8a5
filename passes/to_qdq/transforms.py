"""A Transform by standard ops: a matrix product per block."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, replace, shape
from edgegate.passes.to_qdq._build import FLOAT, Build


def by_matmul(build: Build, node: ir.Node) -> None:
    """Put products of matrices in the place of a Transform, whose matrices are constant."""
    x, matrices, output = node.inputs[0], array(node.inputs[1]), node.outputs[0]
    assert x is not None and matrices is not None, "a Transform reads a value and constants"
    count, size = len(matrices), matrices.shape[-1]
    held = build.names.constant(f"{output.name}.matrices", np.ascontiguousarray(matrices.transpose(0, 2, 1)))
    dims = (-1 if count == 1 else shape(x)[-1] // size, size)
    rows = int(np.prod(shape(x))) // (dims[-1] * max(dims[0], 1))
    if count == 1:
        flat = build.reshape(x, (rows, size))
        product = build("MatMul", flat, build.reshape(held, (size, size)), dims=(rows, size), dtype=FLOAT)
    else:
        flat = build.reshape(x, (rows, *dims))
        turned = build("Transpose", flat, dims=(dims[0], rows, size), dtype=FLOAT, perm=[1, 0, 2])
        made = build("MatMul", turned, held, dims=(dims[0], rows, size), dtype=FLOAT)
        product = build("Transpose", made, dims=(rows, *dims), dtype=FLOAT, perm=[1, 0, 2])
    replace(node, build.reshape(product, shape(x)))
