"""Quantizers of the model's own: what is kept of them, and which are refused."""

from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir
import pytest

from edgegate import stages
from edgegate.errors import CompileError
from edgegate.graph import GRID, array
from edgegate.passes import FLOAT, run
from edgegate.passes.read_qdq import read_qdq
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Recipe, quantize_scheme
from edgegate.quant.storage import Storage
from tests.passes.text import check, outputs, parse

RECIPE = Recipe(input_range=(-4.0, 4.0))
EDGE = "int8 z = {0}, float s = {0.125}"


def grid_of(model: ir.Model, op_type: str) -> dict[str, object]:
    node = next(n for n in model.graph if n.op_type == op_type)
    return json.loads(node.metadata_props[GRID])


def data_of(value: ir.Value | None) -> np.ndarray:
    found = array(value)
    assert found is not None
    return found


def refusal(text: str) -> str:
    model = parse(text)
    with pytest.raises(CompileError) as error:
        run(model, [read_qdq], stages.floating)
    return str(error.value)


def normal(text: str) -> ir.Model:
    model = parse(text)
    run(model, FLOAT, stages.floating)
    return model


def test_an_activation_passes_a_fake_quantizer():
    check(
        read_qdq,
        f"""g (float[1, 4] x) => (float[1, 4] y) <{EDGE}> {{
            r = Relu(x)
            q = QuantizeLinear(r, s, z)
            d = DequantizeLinear(q, s, z)
            y = Neg(d)
        }}""",
        """g (float[1, 4] x) => (float[1, 4] y) <float s = {0.125}, int8 z = {0}, float l = {-16}, float h = {15.875}> {
            r = Relu(x)
            d = edgegate.FakeQuantize <low = -128, high = 127> (r, s, z, l, h)
            y = Neg(d)
        }""",
    )


def test_the_clip_of_few_bits_is_kept():
    check(
        read_qdq,
        """g (float[1, 4] x) => (float[1, 4] d) <uint8 z = {3}, float s = {0.5}, uint8 l = {1}, uint8 h = {15}> {
            q = QuantizeLinear(x, s, z)
            c = Clip(q, l, h)
            d = DequantizeLinear(c, s, z)
        }""",
        """g (float[1, 4] x) => (float[1, 4] d) <float s = {0.5}, uint8 z = {3}, float l = {-1}, float h = {6}> {
            d = edgegate.FakeQuantize <low = 1, high = 15> (x, s, z, l, h)
        }""",
    )


def test_doubles_are_one_and_other_scales_stay():
    model = parse(f"""g (float[1, 4] x) => (float[1, 4] y) <{EDGE}, float t = {{0.25}}> {{
        q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z)
        q2 = QuantizeLinear(d, s, z) d2 = DequantizeLinear(q2, s, z)
        q3 = QuantizeLinear(d2, t, z) d3 = DequantizeLinear(q3, t, z)
        y = Neg(d3)
    }}""")
    wanted = outputs(model)
    run(model, [read_qdq], stages.floating)
    assert [n.op_type for n in model.graph] == ["FakeQuantize", "FakeQuantize", "Neg"]
    np.testing.assert_array_equal(outputs(model), wanted)


def test_weights_are_floats_with_a_grid():
    model = parse("""g (float[1, 2] x) => (float[1, 2] y)
        <int8[2, 2] w = {1, -7, 3, 4}, float[2] s = {0.5, 0.1}, int8[2] z = {0, 0},
         int32[2] b = {3, -5}, float[2] bs = {0.1, 0.2}> {
        dw = DequantizeLinear <axis = 0> (w, s, z)
        db = DequantizeLinear <axis = 0> (b, bs)
        y = Gemm <transB = 1> (x, dw, db)
    }""")
    wanted = outputs(model)
    run(model, [read_qdq], stages.floating)
    assert [n.op_type for n in model.graph] == ["Gemm"]
    assert grid_of(model, "Gemm") == {"bits": 4, "scales": [0.5, float(np.float32(0.1))]}
    assert data_of(model.graph[0].inputs[2]).tolist() == [float(np.float32(0.3)), -1]
    np.testing.assert_allclose(outputs(model), wanted, rtol=1e-6)


def test_weights_keep_their_grid_through_transposes():
    """torch writes linear layers as a MatMul with the transposed weights."""
    model = normal("""g (float[1, 2] x) => (float[1, 3] y)
        <int8[3, 2] w = {1, -1, 1, 0, -1, -1}, float[3] s = {0.5, 0.25, 2}> {
        d = DequantizeLinear <axis = 0> (w, s)
        t = Transpose <perm = [1, 0]> (d)
        y = MatMul(x, t)
    }""")
    scheme = quantize_scheme(model, recipe=RECIPE)
    (name, storage), *_ = scheme.weights.items()
    assert (storage.bits, storage.axis, storage.scales) == (2, 1, (0.5, 0.25, 2.0))
    stored = storage.quantize(data_of(model.graph.initializers[name]))
    assert stored.tolist() == [[1, 1, -1], [-1, 0, -1]]


def test_constants_that_are_quantized_in_the_graph():
    """Half to even, saturated, clipped: what QuantizeLinear makes of them."""
    model = parse(f"""g (float[1, 2] x) => (float[1, 2] y)
        <float[2, 2] w = {{0.0625, 0.1875, 99, -0.3}}, int8 l = {{-7}}, int8 h = {{7}}, {EDGE}> {{
        q = QuantizeLinear(w, s, z) c = Clip(q, l, h) d = DequantizeLinear(c, s, z)
        y = MatMul(x, d)
    }}""")  # fmt: skip
    wanted = outputs(model)
    run(model, [read_qdq], stages.floating)
    assert (data_of(model.graph[0].inputs[1]) * 8).tolist() == [[0, 2], [7, -2]]
    np.testing.assert_array_equal(outputs(model), wanted)


@pytest.mark.parametrize("bits", range(2, 9))
def test_every_integer_of_every_width_comes_out(bits):
    high = (1 << (bits - 1)) - 1
    integers = np.arange(-high, high + 1)
    scale = float(np.float32(0.0137 * bits))
    listed, count = ", ".join(map(str, integers)), len(integers)
    model = normal(f"""g (float[1, {count}] x) => (float[1, 1] y)
        <int8[{count}, 1] w = {{{listed}}}, float s = {{{scale!r}}}> {{
        d = DequantizeLinear(w, s) y = MatMul(x, d)
    }}""")
    scheme = quantize_scheme(model, recipe=RECIPE)
    (name, storage), *_ = scheme.weights.items()
    assert (storage.bits, storage.scales) == (bits, (scale,))
    assert storage.quantize(data_of(model.graph.initializers[name])).ravel().tolist() == integers.tolist()


def test_a_norm_scales_the_grid():
    """Also by negative gains, and by none."""
    model = normal("""g (float[1, 1, 2, 2] x) => (float[1, 3, 2, 2] y)
        <int8[3, 1, 1, 1] w = {3, 7, -2}, float s = {0.1}, float[3] gain = {2, -3, 0}, float[3] bias = {1, 2, 3},
         float[3] mean = {0, 0, 0}, float[3] var = {4, 1, 1}> {
        d = DequantizeLinear(w, s)
        c = Conv(x, d)
        y = BatchNormalization <epsilon = 0.0> (c, gain, bias, mean, var)
    }""")
    scheme = quantize_scheme(model, recipe=RECIPE)
    (name, storage), *_ = scheme.weights.items()
    stored = storage.quantize(data_of(model.graph.initializers[name])).ravel()
    shift = storage.bits - 4  # the bias is no step of the accumulator: finer steps, the same numbers
    assert (stored >> shift).tolist() == [3, -7, 0]
    assert np.allclose(np.array(storage.scales)[:2] * 2**shift, [0.1, 0.3], rtol=1e-6)


def test_given_storages_are_the_schemes():
    """Whatever the calibration would have chosen, and in 16 bits what lies between."""
    model = normal("""g (float[1, 2] x) => (float[1, 2] y)
        <int8[2, 2] w = {1, 2, 3, 4}, float ws = {0.5}, float s = {0.1}, int8 z = {5}, float t = {7.0}, uint8 u = {9}> {
        q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z)
        dw = DequantizeLinear(w, ws)
        m = MatMul(d, dw)
        r = Relu(m)
        q2 = QuantizeLinear(r, t, u) d2 = DequantizeLinear(q2, t, u)
        y = Sigmoid(d2)
    }""")
    values = quantize_scheme(model, recipe=RECIPE).values
    given = Storage(dtype="int8", scale=0.1, zero_point=5)
    then = Storage(dtype="uint8", scale=7.0, zero_point=9)
    assert values["x"] == values["d"] == given
    assert values["m"] == values["r"] == values["d2"] == then
    assert values["y"].dtype == "uint8"


def test_a_value_with_two_quantizers_is_exact_enough_for_both():
    model = normal("""g (float[1, 2] x) => (float[1, 2] y, float[1, 2] v)
        <float s = {0.1}, int8 z = {0}, float t = {0.03}> {
        q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)
        q2 = QuantizeLinear(x, t, z) v = DequantizeLinear(q2, t, z)
    }""")
    values = quantize_scheme(model, recipe=Recipe(input_range=(-999.0, 999.0))).values
    assert values["x"].dtype == "int16"
    assert 12.8 <= values["x"].real_high <= 13  # the wider of both: beyond it both saturate


def test_integers_equal_the_quantized_floats():
    """Two layers in fixed point, float biases: the integer graph is the float graph, up to ties."""
    text = """g (float[1, 16] x) => (float[1, 8] y)
        <int8[16, 8] w = {%s}, float ws = {0.013},
         int8[8, 8] v = {%s}, float[8] vs = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8},
         float[8] b = {0.1, 0.2, -0.3, 0.4, 0.5, 0.6, 0.7, 0.8}, float s = {0.04}, int8 z = {3}, float t = {0.05},
         uint8 u = {0}, uint8 h = {15}> {
        q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z)
        dw = DequantizeLinear(w, ws) dv = DequantizeLinear <axis = 1> (v, vs)
        m = Gemm(d, dw, b) r = Relu(m)
        q2 = QuantizeLinear(r, t, u) c = Clip(q2, u, h) d2 = DequantizeLinear(c, t, u)
        n = Gemm(d2, dv, b)
        q3 = QuantizeLinear(n, s, z) y = DequantizeLinear(q3, s, z)
    }"""  # fmt: skip
    rng = np.random.default_rng(0)
    numbers = [", ".join(map(str, rng.integers(-7, 8, n))) for n in (128, 64)]
    given, model = parse(text % tuple(numbers)), normal(text % tuple(numbers))
    to_integer(quantize_scheme(model, recipe=RECIPE))(model)
    (got,), (want,) = outputs(model), outputs(given)
    assert np.abs(got - want).max() <= 0.04 * 1.001


HEAD = "g (float[1, 2] x) => (float[1, 2] y) "
WEIGHTED = HEAD + "<int8[2, 2] w = {1, -128, 3, 4}, float s = {0.5}> "
PAIR = "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD} <float s = {{0}}, int8 z = {{0}}> {{ {PAIR} }}", "not a finite positive"),
        (f"{HEAD} <float s = {{nan}}, int8 z = {{0}}> {{ {PAIR} }}", "not a finite positive"),
        (f"{HEAD} <float s = {{inf}}, int8 z = {{0}}> {{ {PAIR} }}", "not a finite positive"),
        (f"{HEAD} <float s = {{1e30}}, int8 z = {{0}}> {{ {PAIR} }}", "cannot be stored: a scale"),
        (f"{HEAD} <float s = {{1}}, int16 z = {{3}}> {{ {PAIR} }}", "a zero point of int16"),
        (f"{HEAD} <float s = {{1}}, uint16 z = {{3}}> {{ {PAIR} }}", "stores an activation as uint16"),
        (f"{HEAD} <float[2] s = {{1, 2}}, int8[2] z = {{0, 0}}> {{ {PAIR} }}", "has 2 scales"),
        (f"g (float[1, 2] x, float s) => (float[1, 2] y) <int8 z = {{0}}> {{ {PAIR} }}", "computed at run time"),
        ("g (float[1, 2] x) => (int8[1, 2] y) <float s = {1}, int8 z = {0}> { y = QuantizeLinear(x, s, z) }",
         "its integers are not dequantized"),
        (HEAD + "<float s = {1}, float t = {2}, int8 z = {0}> "
         "{ q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, t, z) }", "another scale or zero point"),
        (HEAD + "<float s = {1}, int8 z = {0}> "
         "{ q = QuantizeLinear(x, s, z) n = Neg(q) y = DequantizeLinear(n, s, z) }", "come from Neg"),
        (HEAD + "<float s = {1}, int8 z = {0}, int8 l = {5}, int8 h = {4}> "
         "{ q = QuantizeLinear(x, s, z) c = Clip(q, l, h) y = DequantizeLinear(c, s, z) }", "which is empty"),
        (WEIGHTED + "{ d = DequantizeLinear(w, s) y = MatMul(x, d) }", "up to 128 steps"),
        (HEAD + "<uint8[2, 2] w = {1, 2, 3, 255}, float s = {0.5}, uint8 z = {100}>"
         "{ d = DequantizeLinear(w, s, z) y = MatMul(x, d) }", "up to 155 steps"),
        (HEAD + "<int8[2, 2] w = {1, 2, 3, 4}, float[2] s = {0.5, 1}>"
         "{ d = DequantizeLinear <axis = 0> (w, s) y = MatMul(x, d) }", "differ within an output channel of"),
        (HEAD + "<int8[2, 2] w = {1, 2, 3, 4}, float[3] s = {0.5, 1, 2}>"
         "{ d = DequantizeLinear(w, s) y = MatMul(x, d) }", "3 scales or zero points for axis 1, which has 2"),
        (HEAD + "<int8[2, 2] w = {1, 2, 3, 4}, float[2] s = {0.5, 1}>"
         "{ d = DequantizeLinear <axis = 5> (w, s) y = MatMul(x, d) }", "scales along axis 5"),
    ],
)  # fmt: skip
def test_refused_with_the_node_and_the_reason(text, said):
    message = refusal(text)
    assert message.startswith("layer (")
    assert said in message
    assert "\n" not in message


def test_every_refusal_is_listed():
    message = refusal("""g (float[1, 2] x) => (float[1, 2] y, float[1, 2] v)
        <float s = {0}, float t = {-1}, int8 z = {0}> {
        q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)
        p = QuantizeLinear(x, t, z) v = DequantizeLinear(p, t, z)
    }""")  # fmt: skip
    assert len(message.splitlines()) == 2


def test_off_centre_weights_that_fit_are_stored():
    """Weights of uint8 around 128: as good as int8."""
    model = normal("""g (float[1, 2] x) => (float[1, 2] y)
        <uint8[2, 2] w = {1, 128, 255, 129}, float s = {0.5}, uint8 z = {128}> {
        d = DequantizeLinear(w, s, z) y = MatMul(x, d)
    }""")
    scheme = quantize_scheme(model, recipe=RECIPE)
    (name, storage), *_ = scheme.weights.items()
    assert storage.quantize(data_of(model.graph.initializers[name])).tolist() == [[-127, 0], [127, 1]]
