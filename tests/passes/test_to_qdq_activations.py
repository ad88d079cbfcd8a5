"""Quantizing by standard ops: bit for bit what the formats define, on everything that float32 holds."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from edgegate.passes.to_qdq._build import Build, Names
from edgegate.passes.to_qdq.activations import quantized
from edgegate.passes.to_qdq.scales import floor_power
from edgegate.quant.formats import FORMATS, BlockFormat, format_named

RULED = (
    "int4_g32",
    "bfp10",
    "bfp12",
    "bfp16_bump",
    "bfp16_aie_trunc",
    "mxint8",
    "mxfp8_e4m3",
    "mxfp6_e3m2",
    "mxfp4",
    "nvfp4",
)
LARGEST = np.finfo(np.float32).max


def made(dims: tuple[int, ...], step, *, opset: int = 21) -> onnx.ModelProto:
    """A checked model whose output is ``step(build, x)``."""
    text = f"float[{','.join(map(str, dims))}]"
    header = f'<ir_version: {10 if opset == 21 else 13}, opset_import: ["" : {opset}]>'
    model = ir.from_onnx_text(f"{header} g ({text} x) => ({text} y) {{ y = Identity (x) }}")
    (node,) = model.graph
    result = step(Build(names=Names.of(model), anchor=node, prefix="x"), model.graph.inputs[0])
    node.replace_input_with(0, result)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def computed(proto: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """By ONNX Runtime, as it comes."""
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def hard(form: BlockFormat, rng: np.random.Generator) -> np.ndarray:
    """Rows at every magnitude, on ties, at borders of the rules, of zeros and of extremes; the last block is ragged."""
    size = 3 * form.block - 3
    spread = np.ldexp(rng.standard_normal((80, size)) / 8, rng.integers(-149, 127, (80, 1)))
    reach = min(4 * form.element.high, 1000)
    ties = np.ldexp(rng.integers(-reach, reach + 1, (40, size)) / 4, rng.integers(-20, 20, (40, 1)))
    below = np.nextafter(np.float32(2), np.float32(0))
    border = np.ldexp(np.array([1, below, 1.5, 1.75, 1.875, 127 / 64, 127.5 / 64, -127.5 / 64]), rng.integers(-9, 9, 8))
    rows = [
        np.zeros(size),
        np.full(size, 1e-45),
        np.full(size, -1e-45),
        np.full(size, below),
        *np.outer(border, np.ones(size)),
    ]
    extreme = np.zeros((4, size))
    extreme[0, 5], extreme[1], extreme[2], extreme[3, ::3] = (
        LARGEST,
        -LARGEST,
        np.where(np.arange(size) % 3, -1e-30, 1e30),
        -1,
    )
    with np.errstate(under="ignore"):
        return np.concatenate([spread, ties, np.array(rows), extreme]).astype(np.float32)


@pytest.mark.parametrize(
    "name", [*FORMATS, *(f"{name}-{rule}" for name in RULED for rule in ("floor", "even", "ceil"))]
)
def test_bits(name):
    form = format_named(name)
    x = hard(form, np.random.default_rng(0))
    with np.errstate(over="ignore"):  # a scale that a rule has raised lets the greatest numbers round beyond float32
        want = form.quantize(x).values().astype(np.float32)
    got = computed(made(x.shape, lambda build, v: quantized(build, v, 1, form, native=False)), x)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", ["int4_g32", "int8_g64", "int3_g16-floor", "int2_g16-even", "int7_g32-even"])
def test_beside_ties_of_small_float_scales(name):
    form, rng = format_named(name), np.random.default_rng(0)
    high, steps = form.element.high, rng.integers(1024, 2048, 512) * 2.0 ** rng.integers(-20, 4, 512)
    x = np.outer(steps, rng.integers(-high, high, form.block) + 0.5).astype(np.float32)
    x = np.nextafter(x, x + rng.integers(-1, 2, x.shape).astype(np.float32))
    x[:, 0] = np.nextafter((steps * high).astype(np.float32), np.float32(np.inf) * rng.choice([-1, 1], 512))
    x[::3, 0] = (steps * high)[::3]
    got = computed(made(x.shape, lambda build, v: quantized(build, v, 1, form, native=False)), x)
    np.testing.assert_array_equal(got, form.quantize(x).values().astype(np.float32))


@pytest.mark.parametrize("name", ["nvfp4", "nvfp4-ceil"])
@pytest.mark.parametrize("size", [0, 1e-45, 1e-30, 1, 1e30])
def test_a_tensor_scale(name, size):
    form, rng = format_named(name), np.random.default_rng(0)
    x = (rng.standard_normal((64, 40)) * rng.choice([1, 1e-2, 1e-4], (64, 1)) * size).astype(np.float32)
    got = computed(made(x.shape, lambda build, v: quantized(build, v, 1, form, native=False)), x)
    np.testing.assert_array_equal(got, form.quantize(x).values().astype(np.float32))


@pytest.mark.parametrize("name", ["mxfp4", "int4_g32", "bfp16_bump", "mxfp8_e5m2"])
@pytest.mark.parametrize(
    ("dims", "axis"), [((2, 40, 3, 3), 1), ((2, 32, 5), 1), ((70,), 0), ((1, 2, 3, 8), 3), ((64, 2), 0)]
)
def test_along_any_axis(name, dims, axis):
    form, x = format_named(name), np.random.default_rng(1).standard_normal(dims).astype(np.float32)
    want = np.moveaxis(form.quantize(np.ascontiguousarray(np.moveaxis(x, axis, -1))).values(), -1, axis)
    got = computed(made(dims, lambda build, v: quantized(build, v, axis, form, native=False)), x)
    np.testing.assert_array_equal(got, want.astype(np.float32))


@pytest.mark.parametrize("name", ["mxfp4", "mxfp4-even", "mxfp8_e4m3", "mxfp8_e5m2-ceil", "bfp12", "mxfp6_e2m3"])
def test_opset_25(name):
    form = format_named(name)
    x = hard(form, np.random.default_rng(0))
    x = x[np.abs(x).max(axis=1) > 1e-30][::4]  # the reference takes the E8M0 scale 2**-127 for another
    proto = made(x.shape, lambda build, v: quantized(build, v, 1, form, native=True), opset=25)
    types = {node.op_type for node in proto.graph.node}
    assert ("QuantizeLinear" in types) == (name[:5] in ("mxfp4", "mxfp8"))
    with np.errstate(all="ignore"):
        got = ReferenceEvaluator(proto).run(None, {"x": x})[0]
        np.testing.assert_array_equal(got, form.quantize(x).values().astype(np.float32))


def test_powers_of_two():
    """Every binade of float32, from its first number to its last."""
    first = np.ldexp(1.0, np.arange(-149, 128)).astype(np.float32)
    middle = (first[:-1].astype(np.float64) * 1.37).astype(np.float32)
    x = np.concatenate([first, middle, np.nextafter(first[1:], np.float32(0)), [LARGEST]]).astype(np.float32)
    want = np.ldexp(1.0, np.frexp(x.astype(np.float64))[1] - 1)
    np.testing.assert_array_equal(computed(made(x.shape, floor_power), x), want.astype(np.float32))
