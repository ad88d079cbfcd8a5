"""Small gated nets in float normal form, for the tests of quantization."""

import json

import numpy as np
import onnx_ir as ir

FUNCTIONS = """
<domain: "edgegate.unary", opset_import: ["" : 21]>
Sigmoid (x) => (y) { y = Sigmoid (x) }
<domain: "edgegate.unary", opset_import: ["" : 21]>
Tanh (x) => (y) { y = Tanh (x) }
<domain: "edgegate.unary", opset_import: ["" : 21]>
SiLU (x) => (y) { s = Sigmoid (x) y = Mul (x, s) }
<domain: "edgegate.unary", opset_import: ["" : 21]>
Log (x) => (y) { y = Log (x) }
<domain: "edgegate.gate", opset_import: ["" : 21]>
Paired (value, gate) => (y) { y = Mul (value, gate) }
<domain: "edgegate", opset_import: ["" : 21]>
Linear (x, w, b) => (y) { p = MatMul (x, w) y = Add (p, b) }
<domain: "edgegate", opset_import: ["" : 21]>
Affine (x, s, b) => (y) { p = Mul (x, s) y = Add (p, b) }
"""
HEADER = '<ir_version: 10, opset_import: ["" : 21, "edgegate" : 1, "edgegate.unary" : 1, "edgegate.gate" : 1]>'


def model(text: str, weights: dict[str, np.ndarray], layers: dict[str, str] | None = None) -> ir.Model:
    """The graph ``text`` with these initializers; ``layers`` gives the nodes of an output their layer."""
    made = ir.from_onnx_text(HEADER + text + FUNCTIONS)
    for node in list(made.graph):
        for i, value in enumerate(node.inputs):
            if value is not None and value.name in weights:
                node.replace_input_with(i, initializer(made, value.name, weights[value.name]))
        for output in node.outputs:
            if layers and output.name in layers:
                node.metadata_props["edgegate.layer"] = layers[output.name]
    return made


def initializer(made: ir.Model, name: str, data: np.ndarray) -> ir.Value:
    if name not in made.graph.initializers:
        value = ir.Value(name=name, const_value=ir.tensor(data, name=name))
        value.shape, value.dtype = ir.Shape(data.shape), ir.DataType.from_numpy(data.dtype)
        made.graph.register_initializer(value)
    return made.graph.initializers[name]


GATED = """
net (float[1,3,8,8] x) => (float[1,10] logits)
<float[1,8,8,8] value, float[1,8,8,8] gate, float[1,8,8,8] opened, float[1,8,8,8] product,
 float[1,8,8,8] mixed, float[1,8,8,8] kept, float[1,8] pooled>
{
    value = Conv <pads = [1,1,1,1], strides = [1,1], dilations = [1,1], group = 1> (x, wv, bv)
    gate = Conv <pads = [1,1,1,1], strides = [1,1], dilations = [1,1], group = 1> (x, wg, bg)
    opened = edgegate.unary.Sigmoid (gate)
    product = edgegate.gate.Paired <family = "F2", activation = "Sigmoid"> (value, opened)
    mixed = Conv <pads = [0,0,0,0], strides = [1,1], dilations = [1,1], group = 1> (product, wm, bm)
    kept = Relu (mixed)
    pooled = ReduceMean <keepdims = 0> (kept, axes)
    logits = edgegate.Linear (pooled, wl, bl)
}
"""


def gated(*, norms: bool = True) -> ir.Model:
    """A gated convolution, a 1x1 convolution, and a classifier, with random weights."""
    rng = np.random.default_rng(7)

    def draw(*dims: int) -> np.ndarray:
        return rng.standard_normal(dims).astype(np.float32) * 0.3

    weights = {
        "wv": draw(8, 3, 3, 3), "bv": draw(8), "wg": draw(8, 3, 3, 3), "bg": draw(8), "wm": draw(8, 8, 1, 1),
        "bm": draw(8), "wl": draw(8, 10), "bl": draw(10), "axes": np.array([2, 3]),
    }  # fmt: skip
    layers = {"value": "block.value", "gate": "block.gate", "mixed": "mix", "logits": "head"}
    made = model(GATED, weights, layers)
    if norms:
        for node in made.graph:
            if node.op_type == "Conv":
                moments = {"mean": draw(8).tolist(), "std": np.abs(1 + draw(8)).tolist()}
                node.metadata_props["edgegate.norm"] = json.dumps(moments)
    return made


def batches(count: int = 6, seed: int = 3) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [{"x": rng.standard_normal((1, 3, 8, 8)).astype(np.float32)} for _ in range(count)]
