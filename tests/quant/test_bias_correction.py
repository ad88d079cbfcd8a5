"""Bias correction takes away exactly the mean shift that rounding the weights causes."""

import numpy as np
import onnx_ir as ir
import pytest

from edgegate.quant import Recipe, quantize_scheme
from edgegate.quant.bias_correction import corrections, inside, mean_shift
from edgegate.quant.execute import run
from edgegate.quant.storage import WeightStorage
from edgegate.quant.weights import layers
from tests.quant.gated_nets import batches, gated, model


def test_a_known_shift_is_taken_away_exactly() -> None:
    text = "g (float[1,2] x) => (float[1,2] y) { y = edgegate.Linear (x, w, b) }"
    weight = np.array([[1.25, -1.0], [3.0, 0.5]], np.float32)
    found = layers(model(text, {"w": weight, "b": np.zeros(2, np.float32)}))
    storage = WeightStorage(axis=1, scales=(1.0, 1.0))
    # 1.25 -> 1 and 0.5 -> 1: with means 8 and 2 the outputs move by -0.25 * 8 and 0.5 * 2.
    assert corrections(found, {"w": storage}, {"x": np.array([8.0, 2.0])}) == {"b": (2.0, -1.0)}


def test_exact_weights_need_no_correction() -> None:
    text = "g (float[1,2] x) => (float[1,2] y) { y = edgegate.Linear (x, w, b) }"
    found = layers(model(text, {"w": np.eye(2, dtype=np.float32), "b": np.zeros(2, np.float32)}))
    assert corrections(found, {"w": WeightStorage(axis=1, scales=(1.0, 1.0))}, {"x": np.ones(2)}) == {}


def conv(pads: str, strides: str, dilations: str, group: int, kernel: tuple[int, ...], out: str) -> ir.Model:
    rng = np.random.default_rng(5)
    weight = rng.standard_normal((4, 4 // group, *kernel)).astype(np.float32)
    text = f"""g (float[1,4,7,6] x) => (float[{out}] y) {{ y = Conv <pads = [{pads}], strides = [{strides}],
    dilations = [{dilations}], group = {group}> (x, w, b) }}"""
    return model(text, {"w": weight, "b": np.zeros(4, np.float32)})


CONVS = {
    "plain": ("0,0,0,0", "1,1", "1,1", 1, (3, 3), "1,4,5,4"),
    "same": ("1,1,1,1", "1,1", "1,1", 1, (3, 3), "1,4,7,6"),
    "strided, lopsided": ("0,2,1,0", "2,1", "1,1", 1, (3, 2), "1,4,3,7"),
    "dilated": ("2,2,2,2", "1,2", "2,2", 1, (3, 3), "1,4,7,3"),
    "depthwise": ("1,1,1,1", "1,1", "1,1", 4, (3, 3), "1,4,7,6"),
    "groups": ("1,1,1,1", "1,1", "1,1", 2, (3, 3), "1,4,7,6"),
}


@pytest.mark.parametrize("name", CONVS)
def test_the_shift_of_a_conv_is_what_onnx_runtime_sees(name: str) -> None:
    net = conv(*CONVS[name])
    (layer,) = layers(net)
    storage = WeightStorage(axis=0, scales=(0.5, 0.25, 0.7, 0.1))
    mean = np.array([1.0, -2.0, 0.5, 3.0])
    x = np.broadcast_to(mean.reshape(1, 4, 1, 1), (1, 4, 7, 6)).astype(np.float32)  # so every place has the mean
    before = next(iter(run(net, [{"x": x}])))["y"]
    shift = mean_shift(layer, storage, mean)
    rounded = storage.dequantize(storage.quantize(layer.data())).astype(np.float32)
    layer.weight.const_value = ir.tensor(rounded, name="w")
    after = next(iter(run(net, [{"x": x}])))["y"]
    expected = (after.astype(np.float64) - before).mean(axis=(0, 2, 3))
    np.testing.assert_allclose(shift, expected, atol=1e-5)


def test_inside_counts_the_taps() -> None:
    (layer,) = layers(conv(*CONVS["same"]))
    np.testing.assert_allclose(inside(layer), np.outer([6 / 7, 1, 6 / 7], [5 / 6, 1, 5 / 6]))


def test_a_shared_bias_is_left_alone() -> None:
    text = """g (float[1,2] x) => (float[1,2] y)
    <float[1,2] h> { h = edgegate.Linear (x, w, b) y = edgegate.Linear (h, v, b) }"""
    data = {"w": np.ones((2, 2)) / 3, "v": np.ones((2, 2)) / 3, "b": np.zeros(2)}
    found = layers(model(text, {k: v.astype(np.float32) for k, v in data.items()}))
    coarse = WeightStorage(axis=1, scales=(1.0, 1.0))
    means = {"x": np.ones(2), "h": np.ones(2)}
    assert corrections(found, {"w": coarse, "v": coarse}, means) == {}


def test_the_scheme_corrects_on_real_data() -> None:
    """The head's mean output over the calibration data is that of the float head, to float32's precision."""
    net, data = gated(), batches()
    scheme = quantize_scheme(net, data, Recipe(weight_method="absmax"))
    head = next(layer for layer in layers(net) if layer.output == "logits")
    pooled = np.concatenate([v["pooled"] for v in run(net, data)]).astype(np.float64)
    storage = scheme.weights["wl"]
    rounded = storage.dequantize(storage.quantize(head.data()))
    shift = (pooled @ rounded - pooled @ head.data().astype(np.float64)).mean(axis=0)
    assert np.abs(shift).max() > 1e-5
    np.testing.assert_allclose(np.array(scheme.biases["bl"]), -shift, atol=1e-12)
    assert quantize_scheme(net, data, Recipe(bias_correction=False)).biases == {}
