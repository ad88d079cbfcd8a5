"""A convolution over three axes that sees one place of an axis at a time is a convolution over the other two.

What lies along that axis is samples for it. Lambda networks have such (Bello, 2021), and so has video.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, attribute, constant, insert, matches, shape
from edgegate.passes._rewrite import is_float, operand, put


def flat_convs(model: ir.Model) -> None:
    """Turn a Conv over three axes, one of them with a kernel of 1, into Transpose, Conv and Transpose."""
    for node in matches(model, "Conv"):
        weight = array(node.inputs[1])
        if weight is None or weight.ndim != 5 or not is_float(node.inputs[0]):
            continue
        if attribute(node, "auto_pad", "NOTSET") == "NOTSET" and (thin := _thin(node, weight.shape[2:])):
            _rewrite(model, node, thin[-1])


def _thin(node: ir.Node, kernel: Sequence[int]) -> list[int]:
    """The axes, from 2 on, of whose places each is seen alone."""
    pads, strides = attribute(node, "pads", [0] * 6), attribute(node, "strides", [1] * 3)
    return [a + 2 for a in range(3) if (kernel[a], strides[a], pads[a], pads[a + 3]) == (1, 1, 0, 0)]


def _rewrite(model: ir.Model, node: ir.Node, axis: int) -> None:
    source, output, weight = operand(node), node.outputs[0], array(node.inputs[1])
    assert weight is not None and source.dtype is not None, "the weights are constant"
    name, others = str(output.name), [a for a in range(2, 5) if a != axis]
    samples, size = shape(source)[0], shape(source)[axis]

    def moved(x: ir.Value, perm: Sequence[int], dims: Sequence[int], made: str) -> ir.Value:
        whole = [shape(x)[p] for p in perm]
        turned = insert(
            node, "Transpose", [x], {"perm": list(perm)}, domain="", name=f"{made}.turned", dtype=ir.DataType.FLOAT,
            dims=whole,
        )  # fmt: skip
        return _reshaped(model, node, turned, dims, made)

    flat = moved(source, [0, axis, 1, *others], _joined(source, axis, samples * size), f"{name}.flat")
    kernel = constant(model, f"{name}.kernel", weight.squeeze(axis))
    made = insert(
        node, "Conv", [flat, kernel, *node.inputs[2:]], _flat(node, axis), domain="", name=f"{name}.layer",
        dtype=source.dtype, dims=_joined(output, axis, samples * size),
    )  # fmt: skip
    apart = _reshaped(model, node, made, (samples, size, *shape(made)[1:]), f"{name}.apart")
    back = [0, 2, *range(3, 5)]
    back.insert(axis, 1)
    put(node, "Transpose", [apart], {"perm": back})


def _joined(x: ir.Value, axis: int, samples: int) -> list[int]:
    """The shape of ``x`` with ``axis`` among its samples."""
    dims = list(shape(x))
    return [samples, *(d for a, d in enumerate(dims) if a not in (0, axis))]


def _flat(node: ir.Node, axis: int) -> dict[str, object]:
    """The attributes without those of ``axis``."""
    kept = [a for a in range(3) if a + 2 != axis]
    pads = attribute(node, "pads", [0] * 6)
    each = {key: [attribute(node, key, [1] * 3)[a] for a in kept] for key in ("strides", "dilations")}
    return {**each, "pads": [pads[a] for a in (*kept, *(a + 3 for a in kept))], "group": attribute(node, "group", 1)}


def _reshaped(model: ir.Model, anchor: ir.Node, x: ir.Value, dims: Sequence[int], name: str) -> ir.Value:
    target = constant(model, f"{name}.dims", np.array(dims, np.int64))
    assert x.dtype is not None, "every value has a type"
    return insert(anchor, "Reshape", [x, target], {"allowzero": 0}, domain="", name=name, dtype=x.dtype, dims=dims)
