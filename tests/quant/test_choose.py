"""The rules by which a Scheme is chosen."""

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgegate.errors import CompileError
from edgegate.quant import Recipe, Scheme, Storage, quantize_scheme
from edgegate.quant.execute import Program, run
from edgegate.quant.fixed_point import fixed_point
from edgegate.quant.sharing import Groups
from edgegate.quant.synthetic import covers
from edgegate.quant.weights import layers
from tests.quant.gated_nets import batches, gated, model


def scheme(net: ir.Model, feeds: list[dict[str, np.ndarray]], **options: Any) -> Scheme:
    return quantize_scheme(net, feeds, Recipe(**options))


def test_every_float_value_and_weight_is_stored() -> None:
    made = scheme(gated(), batches())
    assert set(made.values) == {
        "x",
        "value",
        "gate",
        "opened",
        "product",
        "mixed",
        "kept",
        "pooled",
        "logits",
    }
    assert {k: (w.axis, len(w.scales)) for k, w in made.weights.items()} == {
        "wv": (0, 8), "wg": (0, 8), "wm": (0, 8), "wl": (1, 10),
    }  # fmt: skip
    assert made.options["calibration"] == "data"
    assert made.options["batches"] == 6


def test_minmax_keeps_all_that_was_seen() -> None:
    net = gated()
    made = scheme(net, batches(), method="minmax")
    for values in run(net, batches()):
        for name, x in values.items():
            storage = made.values[name]
            error = np.abs(storage.dequantize(storage.quantize(x)) - x)
            if name not in ("opened", "mixed"):  # a fixed scale stops at 255/256, a clipped value at 0
                assert error.max() <= storage.scale * 1.001, name


def test_methods_differ_in_the_tails_only() -> None:
    feeds = batches()
    feeds[0]["x"][0, 0, 0, 0] = 300.0
    whole = scheme(gated(), feeds, method="minmax", int16_below=None).values["x"]
    assert whole.scale == pytest.approx(304 / 255, rel=0.01)
    narrow = scheme(gated(), feeds, method="percentile", percentile=99.0, int16_below=None).values["x"]
    assert narrow.scale < 0.03


def test_a_sigmoid_is_fixed_and_a_relu_clips_before() -> None:
    made = scheme(gated(), batches())
    assert made.values["opened"] == Storage(dtype="uint8", scale=2.0**-8)
    assert made.values["mixed"] == made.values["kept"]
    assert made.values["kept"].zero_point == -128


def test_a_relu_does_not_clip_what_others_read() -> None:
    text = """g (float[1,4] x) => (float[1,4] z) <float[1,4] y, float[1,4] r>
    { y = edgegate.Affine (x, s, b) r = Relu (y) z = Add (r, y) }"""
    net = model(text, {"s": np.ones(4, np.float32), "b": np.zeros(4, np.float32)})
    made = scheme(net, [{"x": np.array([[-1, 2, -3, 4.0]])}], method="minmax")
    assert made.values["y"].real_low == pytest.approx(-3, rel=0.01)
    assert made.values["r"].zero_point == -128


@pytest.mark.parametrize(("reach", "exponent"), [(20.0, -7), (3.0, -7), (0.6, -7), (0.3, -8), (0.01, -13)])
def test_a_tanh_is_symmetric_with_a_power_of_two(reach: float, exponent: int) -> None:
    net = model("g (float[1,2] x) => (float[1,2] y) { y = edgegate.unary.Tanh (x) }", {})
    made = scheme(net, [{"x": np.array([[-reach, reach / 3]])}], method="minmax")
    assert made.values["y"] == Storage(dtype="int8", scale=2.0**exponent)


MOVES = """
g (float[1,4,4,4] x) => (float[1,64] y)
<float[1,4,2,2] p, float[1,4,4,4] q, float[1,4,4,4] t, float[1,2,4,4] a, float[1,2,4,4] c, float[1,4,4,4] j>
{
    p = MaxPool <kernel_shape = [2,2], strides = [2,2]> (x)
    q = Pad (p, pads)
    t = Transpose <perm = [0,1,3,2]> (q)
    a, c = Split <axis = 1, num_outputs = 2> (t)
    j = Concat <axis = 1> (c, a)
    y = Reshape (j, dims)
}
"""


def test_moves_share_one_storage() -> None:
    net = model(MOVES, {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "dims": np.array([1, 64])})
    assert Groups(net).owners() == ["x", "j"]
    made = scheme(net, [{"x": np.random.default_rng(0).standard_normal((1, 4, 4, 4))}])
    assert len(set(made.values.values())) == 1
    assert len(made.values) == 8


def test_padding_with_a_constant_widens_the_range() -> None:
    text = "g (float[1,4] x) => (float[1,6] y) { y = Pad (x, pads, five) }"
    net = model(text, {"pads": np.array([0, 1, 0, 1]), "five": np.array(5.0, np.float32)})
    made = scheme(net, [{"x": np.array([[-1, 1, 0.5, 0]])}])
    assert made.values["x"] == made.values["y"]
    assert made.values["x"].real_high == pytest.approx(5, rel=0.01)


@pytest.mark.parametrize(("reach", "shared"), [(1.0, True), (1.95, True), (2.05, False), (0.55, True), (0.45, False)])
def test_a_concat_shares_if_nothing_loses_a_bit(reach: float, shared: bool) -> None:
    net = model("g (float[1,2] x, float[1,2] y) => (float[1,4] z) { z = Concat <axis = 1> (x, y) }", {})
    feed = {"x": np.array([[-1.0, 1]]), "y": np.array([[-reach, reach]])}
    made = scheme(net, [feed], method="minmax", int16_below=None)
    x, y, z = (made.values[name] for name in "xyz")
    assert (x == y) == shared
    assert z == (x if reach < 1 else y)


def test_a_concat_of_gates_keeps_their_scale() -> None:
    text = """g (float[1,4] x) => (float[1,8] z) <float[1,4] a, float[1,4] c>
    { a = edgegate.unary.Sigmoid (x) c = edgegate.unary.Sigmoid (a) z = Concat <axis = 1> (a, c) }"""
    made = scheme(model(text, {}), [{"x": np.zeros((1, 4))}])
    assert made.values["z"] == made.values["a"] == Storage(dtype="uint8", scale=2.0**-8)


def test_constant_operands_are_stored_by_their_own_range() -> None:
    text = "g (float[1,3] x) => (float[1,3] y) { y = Add (x, c) }"
    made = scheme(model(text, {"c": np.array([[0, 1, 2.55]], np.float32)}), [{"x": np.ones((1, 3))}], method="minmax")
    assert made.values["c"].scale == pytest.approx(0.01)
    assert made.values["c"].zero_point == -128


def test_int16_by_layer_and_by_value() -> None:
    made = scheme(gated(), batches(), int16=("block.val*", "pooled"))
    wide = {name for name, s in made.values.items() if s.dtype == "int16"}
    assert wide == {"value", "opened", "pooled"}  # the gate follows the value it multiplies
    assert made.values["opened"] == Storage(dtype="int16", scale=2.0**-15)
    everywhere = scheme(gated(), batches(), activation_bits=16)
    assert {s.dtype for s in everywhere.values.values()} == {"int16"}


@pytest.mark.parametrize(("pattern", "hint"), [("block.valeu", "block.value"), ("nothing*", "")])
def test_a_pattern_that_matches_nothing_is_an_error(pattern: str, hint: str) -> None:
    with pytest.raises(ValueError, match=f"matches no layer and no value.*{hint}"):
        scheme(gated(), batches(), int16=(pattern,))


def test_noise_decides_for_16_bits() -> None:
    feeds = batches(4)
    feeds[0]["x"][0, 0, 0, 0] = 1000.0
    noisy = {"method": "minmax"}
    assert scheme(gated(), feeds, **noisy).values["x"].dtype == "int16"
    assert scheme(gated(), feeds, **noisy, int16_below=None).values["x"].dtype == "int8"
    assert scheme(gated(), batches(4), **noisy).values["x"].dtype == "int8"


def test_noise_does_not_widen_what_a_reader_cannot_read() -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 10, 10))
    x[0, 0] = 1000
    for op, kind, last in (("Conv (x, y)", "int8", 1), ("MatMul (x, y)", "int16", 10), ("Add (x, y)", "int16", 10)):
        net = model(f"g (float[1,10,10] x, float[1,10,10] y) => (float[1,{last},{last}] z) {{ z = {op} }}", {})
        assert scheme(net, [{"x": x[None], "y": y[None]}], method="minmax").values["x"].dtype == kind


def test_without_data_ranges_cover_the_norms() -> None:
    net = gated()
    made = quantize_scheme(net, None, Recipe(samples=8))
    known = covers(net, Recipe())
    for name in ("x", "value", "gate", "kept"):
        low, high = known["mixed" if name == "kept" else name]
        storage = made.values[name]
        assert storage.real_low <= (0 if name == "kept" else low) + storage.scale
        assert storage.real_high >= high - storage.scale
    assert made.values["kept"].zero_point == -128  # the cover is clipped as the value is
    assert made.options["calibration"] == "synthetic"


def test_input_range_counts_with_data_too() -> None:
    made = scheme(gated(), batches(1), input_range=(-9.0, 9.0), method="minmax")
    assert made.values["x"].real_high == pytest.approx(9, rel=0.01)


def test_no_output_is_finer_than_its_accumulator() -> None:
    text = "g (float[1,2] x) => (float[1,2] y) { y = edgegate.Linear (x, w, b) }"
    net = model(text, {"w": np.array([[1, 1], [-1, 1]], np.float32), "b": np.zeros(2, np.float32)})
    made = scheme(net, [{"x": np.array([[1000.0, 1000.0]])}, {"x": np.zeros((1, 2))}])
    dead = model(text, {"w": np.array([[1, 0], [-1, 0]], np.float32), "b": np.zeros(2, np.float32)})
    flat = scheme(dead, [{"x": np.array([[1000.0, 1000.0]])}])  # all outputs are 0
    for found, scales in ((made, made.weights["w"].scales), (flat, flat.weights["w"].scales[:1])):
        factor = found.values["x"].scale * max(scales) / found.values["y"].scale
        assert factor <= 1
        assert fixed_point(factor)[1] >= 31


def test_a_healthy_net_needs_no_coarsening() -> None:
    net, made = gated(), scheme(gated(), batches())
    for layer in layers(net):
        source, output = made.values[layer.source], made.values[layer.output]
        assert source.scale * max(made.weights[str(layer.weight.name)].scales) < output.scale / 2


def test_dead_values_have_a_storage() -> None:
    text = "g (float[1,2] x) => (float[1,2] y) { y = Relu (x) }"
    made = scheme(model(text, {}), [{"x": -np.ones((1, 2))}])
    assert made.values["y"].scale == 2.0**-8


def test_unsound_weights_are_refused_before_anything_runs() -> None:
    text = "g (float[1,2] x) => (float[1,2] y) { y = edgegate.Linear (x, w, b) }"
    net = model(text, {"w": np.full((2, 2), np.inf, np.float32), "b": np.zeros(2, np.float32)})
    with pytest.raises(CompileError, match="infinite weights"):
        scheme(net, [])


@pytest.mark.parametrize("change", [
    {"method": "best"}, {"weight_method": "max"}, {"activation_bits": 4}, {"percentile": 50.0},
    {"int16": "a"}, {"int16": ("",)}, {"int16_below": -1.0}, {"input_range": (1.0, 1.0)},
    {"input_range": (0.0, float("inf"))}, {"samples": 1}, {"seed": -1}, {"percentile": float("nan")},
])  # fmt: skip
def test_impossible_recipes_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        Recipe(**change)


def test_the_same_scheme_twice() -> None:
    for calibration in (batches(), None):
        first = quantize_scheme(gated(), calibration, Recipe(samples=8))
        again = quantize_scheme(gated(), calibration, Recipe(samples=8))
        assert first.to_json() == again.to_json()
        assert Scheme.from_json(first.to_json()) == first


def test_the_same_scheme_in_another_process() -> None:
    code = (
        "from tests.quant.gated_nets import gated; from edgegate.quant import *;"
        "print(quantize_scheme(gated(), None, Recipe(samples=4)).to_json(), end='')"
    )
    texts = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, stdout=-1, check=True).stdout
        for seed in ("1", "2")
    ]
    assert texts[0] == texts[1]
    assert texts[0].decode() == quantize_scheme(gated(), None, Recipe(samples=4)).to_json()


def stored_run(made: Scheme, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The gated net, node by node, every weight and value rounded to what its storage holds."""
    net = gated()
    for name, storage in made.weights.items():
        value = net.graph.initializers[name]
        assert value.const_value is not None
        back = storage.dequantize(storage.quantize(value.const_value.numpy()))
        value.const_value = ir.tensor(back.astype(np.float32), name=name)
    for name, shifts in made.biases.items():
        value = net.graph.initializers[name]
        assert value.const_value is not None
        value.const_value = ir.tensor((value.const_value.numpy() + shifts).astype(np.float32), name=name)
    known = {"x": feed["x"]}
    for node in [None, *net.graph]:
        fresh = known if node is None else Program(net, [node])(known)
        for name, x in list(fresh.items()):
            kept = made.values[name]
            known[name] = kept.dequantize(kept.quantize(x)).astype(np.float32)
    return known


@pytest.mark.parametrize(("options", "least"), [
    ({}, 19), ({"method": "minmax"}, 19), ({"method": "percentile"}, 19), ({"activation_bits": 16}, 33),
])  # fmt: skip
def test_the_stored_net_answers_as_the_float_net(options: dict[str, Any], least: float) -> None:
    """Signal-to-noise ratio in dB of how the logits vary over data that calibration did not see.

    Low, because the logits of a random net hardly vary; the 16-bit figure is what rounding weights leaves.
    """
    made, unseen = scheme(gated(), batches(16), **options), batches(8, seed=11)
    exact = np.array([v["logits"] for v in run(gated(), unseen)])
    error = np.array([stored_run(made, feed)["logits"] for feed in unseen]) - exact
    assert 10 * np.log10(np.var(exact, axis=0).mean() / np.mean(error**2)) > least


def test_recipes_are_data() -> None:
    recipe = Recipe(int16=("a", "b"), input_range=(0.0, 1.0))
    assert recipe.options()["int16"] == ["a", "b"]
    assert dataclasses.replace(recipe, seed=3).seed == 3
