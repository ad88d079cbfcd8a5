"""Weight scales: per channel, finite, and such that the bias fits."""

import numpy as np
import onnx_ir as ir
import pytest

from edgegate.errors import CompileError
from edgegate.quant.storage import Storage, WeightStorage
from edgegate.quant.weights import channel_scales, choose_weights, layers
from tests.quant.gated_nets import gated, model

INPUT = Storage(dtype="int8", scale=0.02)
LINEAR = "g (float[1,4] x) => (float[1,3] y) { y = edgegate.Linear (x, w, b) }"


def linear(weight: np.ndarray, bias: np.ndarray) -> ir.Model:
    return model(LINEAR, {"w": weight.astype(np.float32), "b": bias.astype(np.float32)}, {"y": "head"})


def stored(net: ir.Model, source: Storage = INPUT, method: str = "absmax") -> WeightStorage:
    return choose_weights(layers(net), {"x": source}, method)["w"]


def test_absmax_maps_the_largest_weight_to_127() -> None:
    weight = np.random.default_rng(0).standard_normal((4, 3))
    storage = stored(linear(weight, np.zeros(3)))
    assert storage.axis == 1
    assert np.abs(storage.quantize(weight)).max(axis=0).tolist() == [127, 127, 127]


def test_mse_never_has_the_larger_error() -> None:
    weight = np.random.default_rng(1).standard_t(3, (4000, 6))
    errors = {}
    for method in ("absmax", "mse"):
        storage = WeightStorage(axis=1, scales=tuple(channel_scales(weight, 1, method)))
        back = storage.dequantize(storage.quantize(weight))
        errors[method] = ((back - weight) ** 2).sum(axis=0)
    assert (errors["mse"] <= errors["absmax"] * (1 + 1e-6)).all()
    assert (errors["mse"] < errors["absmax"] * 0.99).any()


def test_a_channel_of_zeros_stores_its_bias() -> None:
    weight = np.ones((4, 3))
    weight[:, 1:] = 0
    storage = stored(linear(weight, np.array([0.1, 0.1, 0.0])))
    assert storage.scales[0] == pytest.approx(1 / 127)
    assert 0.1 / (INPUT.scale * storage.scales[1]) == pytest.approx(2**16)
    assert storage.scales[2] == max(storage.scales[:2])
    assert storage.quantize(weight)[:, 1:].tolist() == [[0, 0]] * 4


@pytest.mark.parametrize(("dtype", "bits"), [("int8", 30), ("int16", 46)])
def test_a_bias_far_above_its_weights_still_fits(dtype: str, bits: int) -> None:
    bias = np.array([1e30, 1.0, -1e12])
    source = Storage(dtype=dtype, scale=1e-4)
    storage = stored(linear(np.full((4, 3), 1e-12), bias / 2.0**20), source)
    units = np.abs(bias / 2.0**20) / (np.array(storage.scales) * source.scale)
    assert (units <= 2.0**bits * (1 + 1e-6)).all()


def test_tiny_weights_keep_a_legal_scale() -> None:
    storage = stored(linear(np.full((4, 3), 1e-40), np.zeros(3)))
    assert storage.scales == (2.0**-64,) * 3


def test_unsound_weights_are_all_listed() -> None:
    net = gated()
    for name in ("wv", "wl"):
        data = net.graph.initializers[name].const_value.numpy().copy()  # type: ignore[union-attr]
        data[..., 1] = np.nan
        net.graph.initializers[name].const_value = ir.tensor(data, name=name)
    with pytest.raises(CompileError) as error:
        layers(net)
    assert [p.where.split(" ")[0] for p in error.value.problems] == ["block.value", "head"]
    assert "output channels [1]" in error.value.problems[1].what


def test_an_infinite_bias_is_refused() -> None:
    with pytest.raises(CompileError, match=r"head .*1 NaN or infinite biases, in output channels \[2\]"):
        layers(linear(np.ones((4, 3)), np.array([0, 0, np.inf])))


def test_shared_weights_fit_both_layers() -> None:
    text = """g (float[1,3] x) => (float[1,3] y)
    <float[1,3] h> { h = edgegate.Linear (x, w, b) y = edgegate.Linear (h, w, c) }"""
    data = {"w": np.eye(3), "b": np.zeros(3), "c": np.array([2.0**40, 0, 0])}
    net = model(text, {k: v.astype(np.float32) for k, v in data.items()})
    storage = choose_weights(layers(net), {"x": INPUT, "h": INPUT}, "mse")["w"]
    assert 2.0**40 / (storage.scales[0] * INPUT.scale) <= 2.0**30 * (1 + 1e-6)
    assert storage.scales[1] == pytest.approx(1 / 127)


def test_affine_and_matmul_are_layers() -> None:
    text = """g (float[1,3,4,4] x, float[2,5] t) => (float[1,3,4,4] y, float[2,3] u)
    { y = edgegate.Affine <axis = 1> (x, s, b) u = MatMul (t, w) }"""
    data = {"s": np.array([1.0, -2, 0]).reshape(3, 1, 1), "b": np.ones((3, 1, 1)), "w": np.ones((5, 3))}
    found = layers(model(text, {k: v.astype(np.float32) for k, v in data.items()}))
    assert [(f.weight.name, f.axis, f.channel_axis) for f in found] == [("s", 0, 1), ("w", 1, 1)]
    storage = choose_weights(found, {"x": INPUT, "t": INPUT}, "mse")["s"]
    assert storage.quantize(found[0].data()).ravel().tolist() == [127, -127, 0]
    assert found[1].bias_data().tolist() == [0, 0, 0]


def test_weights_past_every_scale_are_refused() -> None:
    with pytest.raises(CompileError, match=r"would need a scale of .*start a running maximum at -1e4"):
        stored(linear(np.full((4, 3), 1e30), np.zeros(3)))
