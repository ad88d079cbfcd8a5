"""A resize by splines is a product with a constant matrix for each axis that it changes.

What ONNX says of the weights (bicubic: Keys, 1981; prefiltered where ``antialias`` is set) is read off the reference
implementation: it is linear, so it is known by what it makes of unit vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from edgegate.graph import Array, array, attribute, constant, insert, matches, replace, shape
from edgegate.passes._rewrite import is_float, operand

LARGEST = 1 << 22
"""Most elements of a matrix: all of it is zeros but for a band, and beyond that others have better ways."""
KEPT = (
    "mode", "coordinate_transformation_mode", "cubic_coeff_a", "antialias", "exclude_outside", "extrapolation_value",
)  # fmt: skip


def resizes_to_products(model: ir.Model) -> None:
    """Write each Resize in cubic mode, or with a filter against aliasing, as MatMul, one for each axis it changes."""
    for node in matches(model, "Resize"):
        x = operand(node)
        before, after = shape(x), shape(node.outputs[0])
        axes = [axis for axis, (m, n) in enumerate(zip(before, after, strict=True)) if m != n]
        shrinks = any(after[a] < before[a] for a in axes)
        large = any(before[a] * after[a] > LARGEST for a in axes)
        if not is_float(x) or large or not _is_spline(node, shrinks=shrinks):
            continue
        scales = _scales(node, len(before))
        for axis in axes:
            x = _multiply(model, node, x, axis, weights(node, before[axis], after[axis], scales.get(axis)))
        if x is not node.inputs[0]:
            replace(node, x)


def _is_spline(node: ir.Node, *, shrinks: bool) -> bool:
    mode = attribute(node, "mode", "nearest")
    crops = attribute(node, "coordinate_transformation_mode", "half_pixel").startswith("tf_crop")
    stretches = attribute(node, "keep_aspect_ratio_policy", "stretch") == "stretch"
    filtered = mode == "linear" and shrinks and attribute(node, "antialias", 0) == 1
    return (mode == "cubic" or filtered) and stretches and not crops


def _scales(node: ir.Node, rank: int) -> dict[int, float]:
    """What the model gives itself, by axis; none where it gives sizes, or where only those count."""
    given = array(node.inputs[2]) if len(node.inputs) > 2 else None
    if attribute(node, "coordinate_transformation_mode", "half_pixel") == "align_corners":
        return {}
    axes = [int(axis) % rank for axis in attribute(node, "axes", range(rank))]
    return {} if given is None or not given.size else dict(zip(axes, map(float, given), strict=True))


def weights(node: ir.Node, size: int, made: int, scale: float | None) -> Array:
    """float32 [size, made]: what ``node`` does to an axis.

    Args:
        node: A Resize that is linear.
        size: Of the axis.
        made: What it becomes.
        scale: As the model gives it, or None: ``made / size``.
    """
    kept = {name: node.attributes[name].value for name in KEPT if name in node.attributes}
    by_scale = scale is not None
    inputs = ["x", "", "scales"] if by_scale else ["x", "", "", "sizes"]
    told = (
        helper.make_tensor("scales", TensorProto.FLOAT, [2], [1.0, scale])
        if by_scale
        else helper.make_tensor("sizes", TensorProto.INT64, [2], [size, made])
    )
    real = TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Resize", inputs, ["y"], **kept)], "axis",
        [helper.make_tensor_value_info("x", real, [size, size])],
        [helper.make_tensor_value_info("y", real, [size, made])], [told],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    result: Array = ReferenceEvaluator(model).run(None, {"x": np.eye(size, dtype=np.float32)})[0]
    return result.astype(np.float32)


def _multiply(model: ir.Model, node: ir.Node, x: ir.Value, axis: int, matrix: Array) -> ir.Value:
    """``x`` with ``axis`` multiplied by ``matrix``."""
    rank, name = len(shape(x)), f"{node.outputs[0].name}.{axis}"
    perm = list(range(rank))
    perm[axis], perm[-1] = perm[-1], perm[axis]

    def emit(op: str, inputs: Sequence[ir.Value], part: str, dims: Sequence[int], **attributes: object) -> ir.Value:
        return insert(
            node, op, inputs, attributes, domain="", name=f"{name}.{part}", dtype=ir.DataType.FLOAT, dims=dims
        )

    dims = [shape(x)[p] for p in perm]
    if axis != rank - 1:
        x = emit("Transpose", [x], "moved", dims, perm=perm)
    dims[-1] = matrix.shape[1]
    x = emit("MatMul", [x, constant(model, f"{name}.weights", matrix)], "resized", dims)
    return x if axis == rank - 1 else emit("Transpose", [x], "back", [dims[p] for p in perm], perm=perm)
