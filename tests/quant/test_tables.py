"""Scalar functions and their tables, against exact evaluation at every entry."""

import math
from fractions import Fraction
from functools import partial

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from edgegate.errors import CompileError
from edgegate.quant.scalar_ops import SCALAR_OPS, evaluate, scalar_function
from edgegate.quant.storage import Storage
from edgegate.quant.tables import entries, knots
from tests.quant.gated_nets import gated


def function(body: str) -> ir.Function:
    text = (
        '<ir_version: 10, opset_import: ["" : 21, "edgegate.unary" : 1]>'
        " g (float[4] x) => (float[4] y) { y = edgegate.unary.F (x) }"
        f'<domain: "edgegate.unary", opset_import: ["" : 21]> F (x) => (y) {{ {body} }}'
    )
    return next(iter(ir.from_onnx_text(text).functions.values()))


UNARY = [
    ("Relu", {}), ("Sigmoid", {}), ("Tanh", {}), ("Erf", {}), ("Exp", {}), ("Softplus", {}),
    ("Softsign", {}), ("Elu", {"alpha": 0.7}), ("Elu", {}), ("Selu", {}), ("Celu", {"alpha": 1.5}),
    ("LeakyRelu", {"alpha": 0.2}), ("LeakyRelu", {}), ("ThresholdedRelu", {"alpha": 0.5}),
    ("HardSigmoid", {}), ("HardSwish", {}), ("Mish", {}), ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
    ("Gelu", {}), ("Gelu", {"approximate": "tanh"}), ("Neg", {}), ("Abs", {}), ("Sign", {}), ("Floor", {}),
    ("Ceil", {}), ("Round", {}), ("Sin", {}), ("Cos", {}), ("Tan", {}), ("Atan", {}), ("Sinh", {}),
    ("Cosh", {}), ("Asinh", {}), ("Reciprocal", {}), ("Identity", {}), ("Selu", {"alpha": 1.0}),
]  # fmt: skip


@pytest.mark.parametrize(("op_type", "attributes"), UNARY)
def test_ops_agree_with_onnx_runtime(op_type: str, attributes: dict[str, float]) -> None:
    x = np.concatenate([np.linspace(-6, 6, 97)[1:-1], [0.5, -0.5, 1.5, 2.5]]).astype(np.float32)
    x = x[x != 0]
    node = helper.make_node(op_type, ["x"], ["y"], **attributes)
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, x.shape) for n in ("x", "y")]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    (expected,) = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    made = SCALAR_OPS[op_type](ir.from_proto(node), x.astype(np.float64))
    np.testing.assert_allclose(made, expected, rtol=2e-6, atol=2e-6)


BODIES = {
    "binary": ("c = Constant <value_float: float = 2.5> () a = Add (x, c) b = Sub (a, x) d = Div"
               " (x, b) y = Pow (d, c)",
               lambda x: (x / 2.5) ** 2.5 if x >= 0 else math.nan),
    "select": ("z = Constant <value = float {0.0}> () p = Greater (x, z) n = Not (p) e = Exp (x) y"
               " = Where (n, e, x)",
               lambda x: x if x > 0 else math.exp(x)),
    "logic": ("z = Constant <value_float: float = 1.0> () p = Less (x, z) m = Neg (z) q = Less (m,"
              " x) r = And (p, q)"
              " y = Cast <to: int = 1> (r)", lambda x: float(-1 < x < 1)),
    "clip": ("l = Constant <value_float: float = -1.0> () h = Constant <value_float: float = 0.5>"
             " () y = Clip (x, l, h)",
             lambda x: min(max(x, -1), 0.5)),
    "clip above": ("h = Constant <value_float: float = 0.5> () y = Clip (x, , h)", lambda x: min(x, 0.5)),
    "many": ("a = Constant <value_ints: ints = [1]> () i = Cast <to: int = 7> (x) f = Cast <to: int = 1> (i)"
             " y = Max (a, f, x)", lambda x: max(1, math.trunc(x), x)),
    "naive silu": ("n = Neg (x) e = Exp (n) o = Constant <value_float: float = 1.0> () d = Add (o,"
                   " e) y = Div (x, d)",
                   lambda x: x / (1 + math.exp(-x))),
    "prelu": ("s = Constant <value_float: float = 0.25> () y = PRelu (x, s)",
              lambda x: x if x >= 0 else x / 4),
    "log": ("y = Log (x)", lambda x: math.log(x) if x > 0 else (-math.inf if x == 0 else math.nan)),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_bodies_are_evaluated_in_float64(name: str) -> None:
    body, meaning = BODIES[name]
    x = np.array([-3.25, -1.0, -0.3, 0.0, 0.7, 1.0, 2.5, 7.0])
    np.testing.assert_allclose(evaluate(function(body), x), [meaning(v) for v in x], rtol=1e-15)


def test_float64_has_no_overflow_where_it_matters() -> None:
    x = np.array([-1e6, -800.0, 800.0, 1e6])
    for op_type, expected in (
        ("Sigmoid", [0, 0, 1, 1]),
        ("Softplus", [0, 0, 800, 1e6]),
        ("Mish", [0, 0, 800, 1e6]),
    ):
        np.testing.assert_array_equal(evaluate(function(f"y = {op_type} (x)"), x), expected)


@pytest.mark.parametrize(("body", "said"), [
    ("y = Softmax (x)", "Softmax"), ("y = Cast <to: int = 8> (x)", "STRING"), ("y = Add (x)", "Add"),
    ("c = Constant <value_string: string = \"a\"> () y = Add (x, c)", "not a number"),
])  # fmt: skip
def test_what_has_no_meaning_is_named(body: str, said: str) -> None:
    with pytest.raises(CompileError, match=f"F: .*{said}"):
        evaluate(function(body), np.zeros(3))


def test_scalar_function_of_nodes() -> None:
    model = gated()
    found = {n.op_type: scalar_function(model, n) for n in model.graph}
    assert found["Conv"] is None
    assert found["Paired"] is None
    assert found["Relu"] is not None
    assert found["Sigmoid"] is not None
    np.testing.assert_array_equal(found["Relu"](np.array([-1.0, 2.0])), [0, 2])
    np.testing.assert_array_equal(found["Sigmoid"](np.array([0.0])), [0.5])


STORAGES = [
    Storage(dtype="int8", scale=0.05, zero_point=-7), Storage(dtype="uint8", scale=2.0**-8),
    Storage(dtype="int16", scale=2.0**-12),
]  # fmt: skip


@pytest.mark.parametrize("source", STORAGES[:2])
@pytest.mark.parametrize("target", STORAGES)
@pytest.mark.parametrize("body", ["s = Sigmoid (x) y = Mul (x, s)", "y = Tanh (x)", "y = Gelu (x)"])
def test_every_entry_is_the_exact_value_rounded_half_up(source: Storage, target: Storage, body: str) -> None:
    made = function(body)
    table = entries(lambda x: evaluate(made, x), source, target, name="F")
    assert table.shape == (256,)
    assert table.dtype == target.dtype
    for i, stored in enumerate(range(source.low, source.high + 1)):
        real = float(evaluate(made, np.array(source.scale * (stored - source.zero_point))))
        units = math.floor(Fraction(real) / Fraction(target.scale) + Fraction(1, 2)) + target.zero_point
        assert int(table[i]) == min(max(units, target.low), target.high)


def test_entries_round_ties_up() -> None:
    grid = Storage(dtype="int8", scale=0.5)
    table = entries(lambda x: x, grid, Storage(dtype="int8", scale=1.0), name="identity")
    assert table[128 - 3 : 128 + 4].tolist() == [-1, -1, 0, 0, 1, 1, 2]


def test_infinity_saturates_and_undefined_is_refused() -> None:
    log = function("y = Log (x)")
    target = Storage(dtype="int8", scale=0.1)
    table = entries(lambda x: evaluate(log, x), STORAGES[1], target, name="log")
    assert table[0] == -128
    with pytest.raises(CompileError, match=r"gate\.log: is undefined at -6\.05.*121 of 256"):
        entries(lambda x: evaluate(log, x), STORAGES[0], target, name="gate.log")
    acosh = function("y = Acosh (x)")
    with pytest.raises(CompileError, match=r"gate\.acosh: is undefined at -8"):
        knots(lambda x: evaluate(acosh, x), STORAGES[2], target, name="gate.acosh")
    with pytest.raises(ValueError, match="knots"):
        entries(np.tanh, STORAGES[2], target, name="tanh")
    with pytest.raises(ValueError, match="entries"):
        knots(np.tanh, STORAGES[1], target, name="tanh")


@pytest.mark.parametrize("target", STORAGES)
@pytest.mark.parametrize("body", ["s = Sigmoid (x) y = Mul (x, s)", "y = Tanh (x)", "y = Sigmoid (x)"])
def test_knots_interpolate_the_function(body: str, target: Storage) -> None:
    made, source = function(body), STORAGES[2]
    table, scale = knots(lambda x: evaluate(made, x), source, target, name="F")
    assert table.shape == (513,)
    assert table.dtype == np.int16
    assert np.abs(np.diff(table.astype(np.int64))).max() < 1 << 15
    x = np.arange(-32768, 32768)
    index, fraction = (x >> 7) + 256, x & 127
    wide = table.astype(np.int64)
    y = ((wide[index] << 7) + (wide[index + 1] - wide[index]) * fraction) * scale / 128
    exact = evaluate(made, x * source.scale)
    shown = np.abs(exact) < (32000 if target.dtype == "int16" else 256 * 64) * scale
    # Half a unit of rounding at the knots, and the chord's distance: step**2 * max|f''| / 8, |f''| < 1.
    step = 128 * source.scale
    assert np.abs(y - exact)[shown].max() <= scale / 2 + step**2 / 8


def test_a_jump_halves_the_knots() -> None:
    target = Storage(dtype="int16", scale=2.0**-15)
    table, scale = knots(np.sign, Storage(dtype="int16", scale=1.0), target, name="sign")
    assert scale == 2.0**-14
    assert table[0] == -16384
    assert table[-1] == 16383
    assert np.abs(np.diff(table.astype(np.int64))).max() < 1 << 15


def test_a_function_that_ends_at_the_last_value_goes_on_flat() -> None:
    def ends(x: np.ndarray) -> np.ndarray:
        return np.where(x > 32767, np.nan, x)

    table, _ = knots(ends, Storage(dtype="int16", scale=1.0), Storage(dtype="int16", scale=1.0), name="ends")
    assert table[-1] == table[-2] == 32640


@pytest.mark.parametrize("sign", [1, -1])
def test_a_function_that_ends_on_one_side_goes_on_flat(sign: int) -> None:
    def root(x: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.sqrt(sign * x + 2.0**-5)

    table, scale = knots(root, Storage(dtype="int16", scale=2.0**-13), Storage(dtype="int16", scale=2.0**-14), name="r")
    assert scale == 2.0**-14
    outward = table[256:] if sign == 1 else table[256::-1]
    x = np.arange(256) * 2.0**-6
    np.testing.assert_allclose(outward[:256], np.minimum(np.sqrt(x + 2.0**-5) / scale, 32767), atol=0.51)
    back = table[255::-1] if sign == 1 else table[257:]
    assert back[0] == 2048  # the square root of 2**-6
    np.testing.assert_array_equal(back[1:256], 0)


def test_a_function_with_a_gap_or_two_ends_is_refused() -> None:
    wide = Storage(dtype="int16", scale=2.0**-13)
    for body in ("y = Acos (x)", "y = Acosh (x)", "s = Mul (x, x) t = Sub (s, x) y = Sqrt (t)"):
        made = function(body)
        with pytest.raises(CompileError, match="F: is undefined"):
            knots(partial(evaluate, made), wide, wide, name="F")
