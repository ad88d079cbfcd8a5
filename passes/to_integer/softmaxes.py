"""Softmax and MaskedSoftmax: the axis is stored last, the tables hold the exponentials of its integers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, attribute
from edgegate.ops._softmax import tables
from edgegate.passes.to_integer._lowering import Lowering, NotLowerable, Stored
from edgegate.passes.to_integer._scaling import dtype_of


def softmax(lowering: Lowering, node: ir.Node) -> None:
    """Lower either; the storage of the result is a power of two."""
    source, output = node.inputs[0], node.outputs[0]
    x = lowering.stored(source)
    axis = int(attribute(node, "axis", -1)) % len(x.order)
    order = (*(a for a in x.order if a != axis), axis)
    x = lowering.stored(source, order)
    target, name = lowering.storage(output), str(output.name)
    bits = round(-np.log2(target.scale))
    if target.scale != 2.0**-bits or target.zero_point:
        raise NotLowerable("its scale is no power of two", "quantize this model again")
    both = zip(("coarse", "fine"), tables(x.storage.scale), strict=True)
    inputs = [x.value, *_keep(lowering, node, order), *(lowering.constant(f"{name}.{k}", t) for k, t in both)]
    attributes = {"bits": bits, "low": 0, "high": target.high, "to": dtype_of(target).value}
    value = lowering.emit(node.op_type, inputs, name, dtype_of(target), x.dims, attributes)
    lowering.keep(output, Stored(value=value, storage=target, order=order))


def _keep(lowering: Lowering, node: ir.Node, order: tuple[int, ...]) -> list[ir.Value]:
    """The mask, its axes as those of the value are stored; missing axes are of length one."""
    if node.op_type == "Softmax":
        return []
    mask = node.inputs[1]
    data = array(mask)
    if data is not None:
        whole = data.reshape((1,) * (len(order) - data.ndim) + data.shape)
        return [lowering.constant(f"{node.outputs[0].name}.keep", np.ascontiguousarray(whole.transpose(order)))]
    assert mask is not None and mask.shape is not None, "a mask has a static shape"
    if len(mask.shape) != len(order):
        raise NotLowerable("its mask has fewer axes than what it masks", "give it all of them, of length one to repeat")
    return [lowering.stored(mask, order).value]
