"""Float models of standard ops: the graph, its results in ONNX Runtime, and what schemes it refuses."""

import copy
import functools

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn
from torch.nn import functional

from edgegate import frontend
from edgegate.errors import CompileError
from edgegate.graph import array, matches
from edgegate.passes import FLOAT, run
from edgegate.passes.to_linear import to_linear
from edgegate.passes.to_qdq import to_qdq, weights
from edgegate.quant import Scheme
from edgegate.quant.formats import format_named
from edgegate.quant.insert_transform import insert_transform, sylvester
from edgegate.quant.storage import BlockStorage
from edgegate.quant.weights import layers
from edgegate.stages import floating
from tests.passes.text import lines, outputs, parse

EVERY = (
    "int4_g32", "int8_g32", "bfp12", "bfp16", "bfp11_b64", "bfp16_quark", "bfp16_bump", "bfp16_aie_trunc", "msfp12",
    "msfp16", "mxint8", "mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e3m2", "mxfp6_e2m3", "mxfp4", "mxfp4-ceil", "nvfp4",
)  # fmt: skip
LAYERS = {
    "linear": (lambda: nn.Linear(40, 16), (2, 3, 40)),
    "row": (lambda: nn.Linear(64, 5, bias=False), (1, 64)),
    "conv1x1": (lambda: nn.Conv2d(20, 8, 1), (1, 20, 5, 5)),
    "conv3x3": (lambda: nn.Conv2d(40, 6, 3, stride=2, padding=1), (2, 40, 7, 7)),
    "conv1d": (lambda: nn.Conv1d(33, 4, 3, padding=2, dilation=2), (1, 33, 9)),
}


class Gated(nn.Module):
    """A convolution with a gate, squeeze-and-excite, and a gated linear unit."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.squeeze, self.excite = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.head = nn.Linear(16, 24)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value, gate = self.both(x).chunk(2, dim=1)
        y = functional.silu(value) * torch.sigmoid(gate)
        y = y * torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        return functional.glu(self.head(y.mean((2, 3))), dim=-1)


def loaded(net: nn.Module, dims: tuple[int, ...]) -> ir.Model:
    model = frontend.load(net.eval(), example=(torch.zeros(dims),))
    run(model, FLOAT, floating)
    return model


def scheme(model: ir.Model, weights: str, activations: str | None) -> Scheme:
    """Every layer in the same formats."""
    storage = BlockStorage(weights=weights, activations=activations)
    return Scheme(values={}, blocks={str(layer.weight.name): storage for layer in layers(model)})


def checked(model: ir.Model) -> onnx.ModelProto:
    """The model as a file has it: valid, and of nothing but standard ops."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    assert not proto.functions
    assert [o.domain for o in proto.opset_import] == [""]
    assert {node.domain for node in proto.graph.node} == {""}
    return proto


def computed(model: ir.Model, x: np.ndarray) -> np.ndarray:
    """By ONNX Runtime, as it comes: with all its optimizations."""
    session = onnxruntime.InferenceSession(checked(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def along(name: str | None, data: np.ndarray, axis: int) -> np.ndarray:
    """``data`` on the grid of a format, along an axis, in float64."""
    if name is None:
        return data.astype(np.float64)
    return np.moveaxis(format_named(name).quantize(np.moveaxis(data, axis, -1)).values(), -1, axis)


def reference(net: nn.Module, x: np.ndarray, weights: str, activations: str | None) -> np.ndarray:
    """One layer of torch in float64, its weights and its input on the grids."""
    conv = isinstance(net, nn.Conv1d | nn.Conv2d)
    net = copy.deepcopy(net).double()
    with torch.no_grad():
        net.weight.copy_(torch.from_numpy(along(weights, net.weight.numpy().astype(np.float32), 1)))
        return net(torch.from_numpy(along(activations, x, 1 if conv else x.ndim - 1))).numpy()


@functools.cache
def layer_of(name: str) -> tuple[nn.Module, onnx.ModelProto]:
    """One layer, which nobody may change, and its model."""
    torch.manual_seed(0)
    net = LAYERS[name][0]()
    return net, ir.to_proto(loaded(net, LAYERS[name][1]))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", EVERY)
def test_every_format(name, layer):
    (net, proto), x = layer_of(layer), np.random.default_rng(0).standard_normal(LAYERS[layer][1]).astype(np.float32)
    size = sum(v.const_value.nbytes for v in ir.from_proto(proto).graph.initializers.values())
    for activations in (None, name):
        model = ir.from_proto(proto)
        to_qdq(scheme(model, name, activations))(model)
        want = reference(net, x, name, activations)
        np.testing.assert_allclose(computed(model, x), want, rtol=0, atol=1e-5 * np.abs(want).max())
        large = [v.const_value for v in model.graph.initializers.values() if len(v.shape) > 1]
        assert sum(t.nbytes for t in large) < 0.6 * size, "codes are bytes at most, and no float weight is left"


@pytest.mark.parametrize("name", EVERY)
def test_opset_25_says_the_same(name):
    (net, proto), x = layer_of("linear"), np.random.default_rng(0).standard_normal((2, 3, 40)).astype(np.float32)
    model = ir.from_proto(proto)
    to_qdq(scheme(model, name, name), opset="native")(model)
    want = reference(net, x, name, name)
    (got,) = ReferenceEvaluator(checked(model)).run(None, {model.graph.inputs[0].name: x})
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())
    types = {v.name.rpartition(".")[2]: v.dtype for v in model.graph.initializers.values() if len(v.shape) > 1}
    if name.startswith("mxfp4"):
        assert types == {"codes": ir.DataType.FLOAT4E2M1, "scales": ir.DataType.FLOAT8E8M0}
    if name == "nvfp4":
        assert types == {"codes": ir.DataType.FLOAT4E2M1, "scales": ir.DataType.FLOAT8E4M3FN}
    assert model.opset_imports == {"": 25}


@pytest.mark.parametrize("activations", [None, "bfp16"])
def test_a_net_with_gates(activations):
    torch.manual_seed(1)
    net, rng = Gated(), np.random.default_rng(0)
    model, x = loaded(net, (1, 3, 6, 6)), rng.standard_normal((1, 3, 6, 6)).astype(np.float32)
    to_qdq(scheme(model, "mxint8", activations))(model)
    for layer in (net.both, net.squeeze, net.excite, net.head):
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(along("mxint8", layer.weight.numpy(), 1)))
        if activations:
            layer.register_forward_pre_hook(
                lambda _, given: torch.from_numpy(along(activations, given[0].detach().numpy(), 1)).float()
            )
    want = net(torch.from_numpy(x)).detach().numpy()
    got = computed(model, x)
    # Where inputs are quantized, a last place of the layer before may become a step of 2**-7.
    np.testing.assert_allclose(got, want, rtol=0, atol=(1e-5 if activations is None else 1e-2) * np.abs(want).max())
    assert [node.op_type for node in model.graph].count("DequantizeLinear") == 4


def test_text():
    model = parse(
        "g (float[1,4] x) => (y) <float[4,2] w = {1, 2, 3, 4, 5, 6, -7, 7}, float[2] b = {1, 0}> { y = Gemm (x, w, b) }"
    )
    to_linear(model)
    to_qdq(scheme(model, "bfp12_b8", None))(model)
    assert lines(model) == [
        "y_weight = ::DequantizeLinear<axis=-2, block_size=8>(int4[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [-7.0, 7.0]], "
        "float32[[1.0, 1.0]])",
        "y_MatMul = ::MatMul<>(x, y_weight)",
        "y = ::Add<>(y_MatMul, float32[1.0, 0.0])",
    ]
    codes = array(model.graph.initializers["y.weight.codes"])
    assert codes is not None and codes.dtype == ml_dtypes.int4


def test_layers_of_one_input_quantize_it_once_and_layers_of_one_weight_store_it_once():
    text = "g (float[2,8] x) => (y, z) <float[8,3] w = {W}> { y = MatMul (x, w) z = MatMul (x, w) }"
    model = parse(text.replace("W", ", ".join(map(str, range(24)))))
    storage = BlockStorage(weights="mxint8", activations="bfp16")
    wanted = outputs(model)
    to_qdq(Scheme(values={}, blocks={"w": storage}))(model)
    types = [node.op_type for node in model.graph]
    assert (types.count("ReduceMax"), types.count("DequantizeLinear"), types.count("MatMul")) == (1, 1, 2)
    for got, want in zip(outputs(model), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=0.02, atol=0.5)


def test_other_readers_keep_a_weight():
    model = parse("g (float[2,2] x) => (y) <float[2,2] w = {1, 2, 3, 300}> { a = MatMul (x, w) y = Add (a, w) }")
    to_qdq(scheme(model, "int4_g32", None))(model)
    assert "w" in model.graph.initializers
    assert lines(model)[1:] == ["a = ::MatMul<>(x, w_1)", "y = ::Add<>(a, float32[[1.0, 2.0], [3.0, 300.0]])"]
    checked(model)


@pytest.mark.parametrize("name", ["nvfp4", "mxfp4", "int4_g32", "mxfp8_e5m2", "mxfp6_e3m2"])
@pytest.mark.parametrize(("dims", "axis"), [((40, 9), 0), ((7, 33, 3, 3), 1)])
def test_weights_are_quantized_in_parts(name, dims, axis, monkeypatch):
    monkeypatch.setattr(weights, "CHUNK", 100)
    form, data = format_named(name), np.random.default_rng(0).standard_normal(dims).astype(np.float32)
    for native in (False, True):
        code = weights.code_of(form.element, native)
        codes, scales, tensor = weights.stored(data, axis, BlockStorage(weights=name), code)
        spread = np.moveaxis(np.repeat(scales, form.block, axis), axis, -1)[..., : dims[axis]] * tensor
        np.testing.assert_array_equal(np.moveaxis(codes.astype(np.float64), axis, -1) * spread,
                                      np.moveaxis(along(name, data, axis), axis, -1))  # fmt: skip


@pytest.mark.parametrize("name", ["int4_g32", "mxfp4", "mxint8_brevitas", "nvfp4"])
@pytest.mark.parametrize("conv", [False, True])
def test_given_scales_are_kept(name, conv, monkeypatch):
    """Those of GPTQ, or of training: the format's rules would choose others. In the order of channel, tap, block."""
    monkeypatch.setattr(weights, "CHUNK", 100)
    rng, form, tensor = np.random.default_rng(0), format_named(name), 0.75 if name == "nvfp4" else 1.0
    dims, axis = ((7, 40, 3, 2), 1) if conv else ((40, 9), 0)
    rows, count = (7 * 6 if conv else 9), -(-40 // form.block)
    codes = rng.choice(form.element.table[form.element.table >= form.element.low], (rows, 40))
    steps = rng.uniform(0.5, 2, (rows, count)).astype(np.float32).astype(np.float64) * tensor
    flat = codes * np.repeat(steps, form.block, axis=1)[:, :40]
    data = np.moveaxis(flat.reshape(7, 3, 2, 40), -1, 1) if conv else flat.T
    storage = BlockStorage(weights=name, scales=tuple(steps.ravel().tolist()), tensor_scale=tensor)
    code = weights.code_of(form.element, native=False)
    got, scales, whole = weights.stored(data.astype(np.float32), axis, storage, code)
    assert (got.shape, whole) == (dims, tensor)
    np.testing.assert_array_equal(np.moveaxis(got, axis, -1).reshape(rows, 40).astype(np.int64), codes)
    np.testing.assert_allclose(np.moveaxis(scales, axis, -1).reshape(rows, count) * tensor, steps, rtol=1e-15)


@pytest.mark.parametrize("opset", ["runtime", "native"])
@pytest.mark.parametrize("name", ["int4_g32", "mxfp4", "mxint8_brevitas"])
def test_given_scales_reach_the_file(name, opset):
    """As float32, also in a format whose own scales are powers of two."""
    codes = np.random.default_rng(0).integers(-3, 4, (32, 2)) * 2
    steps = np.array([0.3, 0.7], np.float32)
    text = ", ".join(map(str, (codes * steps).astype(np.float32).ravel().tolist()))
    model = parse(f"g (float[2,32] x) => (y) <float[32,2] w = {{{text}}}> {{ y = MatMul (x, w) }}")
    storage = BlockStorage(weights=name, scales=tuple(steps.astype(float).tolist()))
    to_qdq(Scheme(values={}, blocks={"w": storage}), opset=opset)(model)
    (node,) = matches(model, "DequantizeLinear")
    scales = array(node.inputs[1])
    assert scales is not None and scales.dtype == np.float32
    code = 2 if (name, opset) == ("mxfp4", "native") else 1  # of E2M1, a step is half of 1
    assert scales.tolist() == [(steps * code).tolist()]


@pytest.mark.parametrize("kind", ["hadamard", "matrix"])
@pytest.mark.parametrize("layer", ["linear", "conv3x3"])
def test_transforms_are_matrix_products(kind, layer):
    model = ir.from_proto(layer_of(layer)[1])
    (node,), (x, *_) = [found.node for found in layers(model)], model.graph.inputs
    matrices = sylvester(8)[None] if kind == "hadamard" else np.random.default_rng(0).integers(-9, 10, (5, 8, 8))
    insert_transform(model, x, [node], matrices, kind, layers(model)[0].channel_axis)
    wanted = outputs(model)
    to_qdq(Scheme(values={}))(model)
    for got, want in zip(outputs(model), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)
    checked(model)
    assert len(matches(model, "MatMul")) == 1 + (layer == "linear")
    assert not matches(model, "Shape", "Div", "Concat")


def test_corrections_of_biases_count():
    model = ir.from_proto(layer_of("linear")[1])
    (layer,) = layers(model)
    assert layer.bias is not None
    bias, name = layer.bias_data(), str(layer.bias.name)
    plan, correction = scheme(model, "bfp16", None), np.arange(-8.0, 8.0)
    to_qdq(Scheme(values={}, blocks=plan.blocks, biases={name: tuple(correction.tolist())}))(model)
    got = computed(model, np.zeros((2, 3, 40), np.float32))
    np.testing.assert_array_equal(got[0, 0], (bias + correction).astype(np.float32))


def test_what_is_refused():
    with pytest.raises(ValueError, match="opset must be one of runtime, native, got 21"):
        to_qdq(Scheme(values={}), opset=21)  # type: ignore[arg-type]
    storage = BlockStorage(weights="mxfp4")
    model = parse(
        "g (float[1,4,1,1] x) => (y) <float[2,2,1,1] weight = {1, 2, 3, 4}> { y = Conv <group = 2> (x, weight) }"
    )
    weight = "weight"
    with pytest.raises(CompileError) as caught:
        to_qdq(Scheme(values={}, blocks={weight: storage, f"{weight}x": storage, "q": storage}))(model)
    messages = "\n".join(map(str, caught.value.problems))
    assert f"{weight} is stored in blocks, but its output channels do not read all input channels" in messages
    assert f"stores {weight}x in blocks, which no layer reads; it may mean {weight}" in messages
    assert "stores q in blocks, which no layer reads; take it out" in messages
    model = parse(
        "g (float[1,2,2,2] x, float[2,2] z) => (y, v) <float[2,2,1,1] w = {1, 2, 3, 4}, float[2,2] u = {1, 2, 3, 4}>"
        "{ y = Conv (x, w) v = MatMul (z, u) }"
    )
    model.graph[1].replace_input_with(1, model.graph[0].inputs[1])
    with pytest.raises(CompileError, match="reads w along another axis"):
        to_qdq(Scheme(values={}, blocks={"w": storage}))(model)
