"""What the nets do not show: gates that a pass writes anew, scales next to nothing, axes that stay in place."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir

from edgegate import interpreter
from edgegate.graph import GATE, LAYER, attribute
from edgegate.passes._rewrite import put
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Scheme, Storage
from tests.families.bench import integer
from tests.passes.text import parse


def lowered(text: str, **outputs: Storage) -> ir.Model:
    """The integer model with every value in int8 at scale 1/2, or as said."""
    model = parse(text)
    names = [str(v.name) for n in model.graph for v in (*n.inputs, *n.outputs) if v is not None]
    to_integer(Scheme(values=dict.fromkeys(names, Storage(dtype="int8", scale=0.5)) | outputs))(model)
    return model


def test_a_product_in_the_place_of_a_gate_is_that_gate_and_nothing_else_is():
    model = ir.from_proto(ir.to_proto(integer("se", "calibrated")))
    (gate,) = [n for n in model.graph if n.op_type == "GatedProduct"]
    said, layer = gate.metadata_props[GATE], gate.metadata_props[LAYER]
    attributes = {name: attribute(gate, name) for name in gate.attributes}
    again = put(gate, "GatedProduct", list(gate.inputs), attributes, domain="edgegate")
    assert (again.metadata_props[GATE], again.metadata_props[LAYER]) == (said, layer)
    other = put(again, "Identity", [again.inputs[0]])
    assert GATE not in other.metadata_props
    assert other.metadata_props[LAYER] == layer


def test_a_scale_next_to_nothing_leaves_its_offset():
    model = lowered(
        """g (float[1,2,3,1] x) => (float[1,2,3,1] y) <float[2,1,1] s = {1e-12, 2}, float[2,1,1] b = {20, -3}> {
            y = edgegate.Affine <axis = 1> (x, s, b)
        }"""
    )
    x = np.array([-4, 0, 3.5, 5, -6, 1], np.float32).reshape(1, 2, 3, 1)
    (y,) = interpreter.run(model, {"x": x}).values()
    np.testing.assert_array_equal(y.ravel(), [20, 20, 20, 7, -15, -1])


def test_an_offset_past_the_output_saturates():
    model = lowered(
        """g (float[1,1,3,1] x) => (float[1,1,3,1] y) <float[1,1,1] s = {1e-12}, float[1,1,1] b = {20}> {
            y = edgegate.Affine <axis = 1> (x, s, b)
        }""",
        y=Storage(dtype="int8", scale=2.0**-10),
    )
    (y,) = interpreter.run(model, {"x": np.ones((1, 1, 3, 1), np.float32)}).values()
    np.testing.assert_array_equal(y.ravel(), 127 / 1024)


def test_shuffled_channels_move_once():
    """Split channels stay where they are stored, and one Transpose brings the joined axes together."""
    model = lowered(
        """g (float[1,4,2,2] x) => (y) <int64[6] p = {1, 2, 2, 2, 2, 2},
            int64[4] q = {1, 2, 4, 4}> {
            a = AveragePool <kernel_shape = [1, 1]> (x)
            c = Concat <axis = 1> (a, a)
            d = Reshape (c, p)
            e = Transpose <perm = [0, 1, 4, 2, 5, 3]> (d)
            f = Reshape (e, q)
            y = AveragePool <kernel_shape = [1, 1]> (f)
        }"""
    )
    assert Counter(n.op_type for n in model.graph)["Transpose"] == 3  # one at each end of the graph
