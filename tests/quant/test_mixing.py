"""Products of two activations read and make 16 bits, multiples are the same integers, layers read bytes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from edgegate import compiler, frontend
from edgegate.options import CompileOptions
from edgegate.passes import FLOAT, run
from edgegate.passes.name_unary import name_unary
from edgegate.passes.to_linear import to_linear
from edgegate.quant import Recipe, Scheme, Storage, quantize_scheme
from edgegate.quant.mixing import behind, mixed
from edgegate.quant.multiples import factor, multiple
from edgegate.quant.sharing import Groups
from edgegate.stages import floating
from tests.attention_nets import Attention, Gated
from tests.passes.text import parse


class Scaled(Attention):
    """relu of scaled scores, so that every op has a form in integers."""

    def __init__(self, scale: float = 0.25) -> None:
        super().__init__()
        self.scale = scale

    def attend(self, x, q, k, v):
        return torch.relu(q * self.scale @ k.transpose(-1, -2)) @ v


def both(net: nn.Module) -> tuple[ir.Model, Scheme]:
    torch.manual_seed(0)
    example = (torch.randn(1, 16, 32),)
    calib = {"": torch.randn(8, 16, 32).numpy()}
    model, scheme, _ = compiler.integer_model(net.eval(), example, CompileOptions(calib=calib))
    return model, scheme


def test_layers_read_bytes_and_products_do_not() -> None:
    model, scheme = both(Scaled())
    read = {n.op_type: {v.dtype for v in n.inputs[:2] if v is not None} for n in model.graph if "MatMul" in n.op_type}
    assert read["MatMul16"] == {ir.DataType.INT16}
    assert all(read[op] == {ir.DataType.INT8} for op in read if op == "MatMul")
    assert scheme.values[str(model.graph.inputs[0].name)].dtype == "int8"


def test_a_multiple_costs_nothing() -> None:
    plain, scaled = (both(Scaled(scale))[0] for scale in (1.0, 0.25))
    assert sum(1 for _ in scaled.graph) == sum(1 for _ in plain.graph)


def test_8_bits_alone_where_no_noise_asks_for_more() -> None:
    model = frontend.load(Scaled().eval(), example=(torch.randn(1, 16, 32),))
    run(model, FLOAT, floating)
    feeds = [{"x": np.random.default_rng(0).standard_normal((1, 16, 32), np.float32)}]
    for least, kinds in ((None, {"int8"}), (0.0, {"int8", "int16"})):
        scheme = quantize_scheme(model, feeds, Recipe(int16_below=least))
        assert {s.dtype for s in scheme.values.values()} == kinds


def test_what_is_read_by_a_layer_too_is_left_alone() -> None:
    model = parse(
        "g (float[1,2,2] x) => (y, u) <float[2,2] w = {1, 2, 3, 4}> { a = Relu (x) e = Exp (a)"
        " t = Transpose <perm = [0, 2, 1]> (a) m = MatMul (e, t) s = Sigmoid (m) y = MatMul (s, w) u = MatMul (a, w) }"
    )
    to_linear(model)
    groups = Groups(model)
    assert mixed(model, groups) == {groups.owner(name) for name in ("e", "m")}
    assert behind(model, groups) == {groups.owner(name) for name in ("m", "s", "y")}


class Plain(Gated):
    """Without its softmax."""

    def forward(self, x):
        q, k, v = self.heads(x)
        y = torch.relu(q @ k.transpose(-1, -2)) @ v
        return self.out(y.transpose(1, 2).flatten(2) * torch.sigmoid(self.gate(x)))


def test_a_gate_follows_what_it_gates() -> None:
    _, scheme = both(Plain())
    assert Storage(dtype="int16", scale=2.0**-15) in scheme.values.values()


def test_multiples_are_found_by_what_they_do() -> None:
    text = "g (float[4] x) => (y, z, u) <float c = {0.125}, float m = {-2}, float o = {1}>"
    model = parse(text + " { y = Mul (x, c) z = Mul (x, m) s = Mul (x, c) u = Add (s, o) }")
    name_unary(model)
    found = {str(n.outputs[0].name): factor(model, n) for n in model.graph}
    assert (found["y"], found["z"], found["u"]) == (0.125, None, None)
    byte = Storage(dtype="int8", scale=0.5, zero_point=3)
    assert multiple(byte, 0.125) == Storage(dtype="int8", scale=0.0625, zero_point=3)
    assert multiple(byte, 2.0**-70) is None
    assert multiple(Storage(dtype="int32", scale=0.5), 0.75) is None
