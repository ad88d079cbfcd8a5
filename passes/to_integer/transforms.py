"""Transform: linear maps of blocks of channels, in integers before a layer that quantizes its input in blocks.

Its matrices are integers, so its sums are exact at its input's scale; BlockQuantize reads them in steps as coarse as
their input's rounding. Only where another op reads the result too is it rescaled to what the scheme says of it.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored, Wide
from edgegate.passes.to_integer._scaling import dtype_of, match
from edgegate.quant.scheme import Scheme


def transform(lowering: Lowering, node: ir.Node) -> None:
    """Lower a Transform along the last float axis."""
    output, matrices = node.outputs[0], array(node.inputs[1])
    if matrices is None:
        raise NotLowerable("its matrices are computed at run time", "make them constants of the model")
    x = lowering.stored(node.inputs[0])
    last = len(x.order) - 1
    if x.order[-1] != last:
        x = lowering.reorder(x, (*(a for a in x.order if a != last), last))
    value = _emit(lowering, node, x, matrices)
    made = _shortened(lowering, value, x, matrices, str(output.name))
    if not in_blocks(lowering.scheme, output):
        made = match(lowering, made, lowering.storage(output), str(output.name))
    lowering.keep(output, made)


def _shortened(lowering: Lowering, acc: ir.Value, x: Stored, matrices: Array, name: str) -> Stored:
    """The sums without the bits that say nothing, in 16 bits if that is enough.

    A row r of a matrix reaches ``|r|_1 * max|x|``. It adds up the rounding of x to ``|r|_2`` times that of one, so
    steps of that size lose nothing.
    """
    rows = matrices.reshape(-1, matrices.shape[-1]).astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    drop = max(0, int(np.frexp(norms[norms > 0].min())[1]) - 1) if norms.any() else 0
    most = max(x.storage.high - x.storage.zero_point, x.storage.zero_point - x.storage.low)
    reach = int(np.abs(rows).sum(axis=1).max()) * most
    if drop:
        reach = (reach >> drop) + 1
    short = reach < 1 << 15
    storage = Wide(dtype="int16" if short else "int32", scale=x.storage.scale * 2.0**drop, reach=reach)
    if drop or short:
        bounds = {"low": storage.low, "high": storage.high, "to": dtype_of(storage).value}
        factor = [lowering.constant(f"{name}.{k}", np.array([v], np.int32)) for k, v in
                  (("multiplier", 1 << 30), ("shift", 30 + drop))]  # fmt: skip
        zero_points = {"input_zero_point": 0, "output_zero_point": 0}
        acc = lowering.emit("Rescale", [acc, *factor], name, dtype_of(storage), x.dims, {**bounds, **zero_points})
    return Stored(value=acc, storage=storage, order=x.order)


def _emit(lowering: Lowering, node: ir.Node, x: Stored, matrices: Array) -> ir.Value:
    """The integer node."""
    name, zero = f"{node.outputs[0].name}.acc", {"input_zero_point": x.storage.zero_point}
    size = matrices.shape[-1]
    if attribute(node, "kind") == "hadamard":
        return lowering.emit("Hadamard", [x.value], name, ir.DataType.INT32, x.dims, {"block": size, **zero})
    whole = np.broadcast_to(_integers(matrices), (x.dims[-1] // size, size, size))
    held = lowering.constant(f"{node.outputs[0].name}.matrices", whole)
    return lowering.emit("BlockTransform", [x.value, held], name, ir.DataType.INT32, x.dims, zero)


def _integers(matrices: Array) -> Array:
    """The matrices in the narrowest of int8 and int16 that holds them."""
    for dtype in (np.int8, np.int16):
        stored = np.clip(matrices, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)
        if np.array_equal(stored, matrices):
            return stored
    raise NotLowerable("its matrices are no integers of 16 bits", "round them to fewer bits before they go in")


def in_blocks(scheme: Scheme, value: ir.Value) -> bool:
    """Whether every reader of ``value``, Transposes looked through, is a layer that quantizes its input in blocks."""
    readers = [(node, index) for node, index in value.uses()]
    return bool(readers) and not value.is_graph_output() and all(_quantizes(scheme, n, i) for n, i in readers)


def _quantizes(scheme: Scheme, node: ir.Node, index: int) -> bool:
    if (node.domain, node.op_type) == ("", "Transpose"):
        return in_blocks(scheme, node.outputs[0])
    layer = (node.domain, node.op_type) in {("", "Conv"), (DOMAIN, "Linear")}
    weight = node.inputs[1] if layer and index == 0 else None
    storage = None if weight is None else scheme.blocks.get(str(weight.name))
    return storage is not None and storage.activations is not None
