"""Assignments to slices, fills of what must not be chosen, and sums of squares, written with what all passes know."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from edgegate.graph import array
from edgegate.passes import run
from edgegate.passes.drop_unused import drop_unused
from edgegate.passes.explicit_reductions import explicit_reductions
from edgegate.passes.explicit_scatters import explicit_scatters
from edgegate.passes.finite_fills import finite_fills
from edgegate.stages import floating

HEAD = '<ir_version: 10, opset_import: ["": 21]> g (float[4, 6] x, float[2, 6] u) => (float[{dims}] y) <{constants}>'


def both(line: str, dims: str, constants: str, step) -> tuple[ir.Model, list[np.ndarray]]:
    """The model after a pass, and what it computes before and after."""
    text = f"{HEAD.format(dims=dims, constants=constants)} {{ {line} }}"
    before = onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text), data_prop=True)
    model = ir.from_proto(before)
    run(model, (step, drop_unused), floating)
    rng = np.random.default_rng(0)
    feed = {"x": rng.standard_normal((4, 6), np.float32), "u": rng.standard_normal((2, 6), np.float32)}
    protos = (before.SerializeToString(), ir.to_proto(model).SerializeToString())
    return model, [ort.InferenceSession(p).run(None, feed)[0] for p in protos]


@pytest.mark.parametrize(
    ("line", "constants", "ops"),
    [
        ("y = ScatterND (x, i, u)", "int64[2, 1] i = {-1, 1}", ["Reshape", "Reshape", "Concat", "Gather", "Reshape"]),
        ("r = Reshape (u, n) y = ScatterND (x, i, r)", "int64[2] n = {4, 3}, int64[4, 3, 2] i = "
         "{0,0,0,2,0,4,1,0,1,2,1,4,2,0,2,2,2,4,3,0,3,2,3,4}", ["Reshape"] * 3 + ["Concat", "Gather", "Reshape"]),
        ("c = Concat <axis = 0> (u, u) y = ScatterND (x, i, c)", "int64[4, 1] i = {3, 0, 1, 2}",
         ["Concat", "Reshape", "Gather", "Reshape"]),
    ],
)  # fmt: skip
def test_assignments_are_choices_of_rows(line: str, constants: str, ops: list[str]) -> None:
    model, (before, after) = both(line, "4, 6", constants, explicit_scatters)
    np.testing.assert_array_equal(before, after)
    assert [n.op_type for n in model.graph] == ops


def test_places_that_are_computed_are_elements() -> None:
    """As the inverse of an order is."""
    line = (
        "r = Reshape (x, all) v, i = TopK <largest = 0> (r, n) j = Reshape (i, shape) s = ScatterND (zeros, j, row)"
        " y = Cast <to = 1> (s)"
    )
    constants = (
        "int64[1] all = {-1}, int64[1] n = {24}, int64[2] shape = {24, 1}, int64[24] zeros = {"
        f"{', '.join('0' * 24)}}}, int64[24] row = {{{', '.join(map(str, range(24)))}}}"
    )
    model, (before, after) = both(line, "24", constants, explicit_scatters)
    np.testing.assert_array_equal(before, after)
    assert sorted(after) == list(range(24))
    assert [n.op_type for n in model.graph][-3:] == ["Reshape", "ScatterElements", "Cast"]


@pytest.mark.parametrize("op", ["ReduceL1", "ReduceL2", "ReduceSumSquare"])
def test_sums_of_squares(op: str) -> None:
    model, (before, after) = both(f"y = {op} <keepdims = 0> (x, a)", "4", "int64[1] a = {1}", explicit_reductions)
    np.testing.assert_allclose(before, after, rtol=1e-5)
    assert op not in [n.op_type for n in model.graph]


FILL = "s = Sigmoid (x) b = Add (s, w) m = Greater (x, z) "
CONSTANTS = "float[6] w = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}, float z = {0.3}, float inf = {-inf}, int64[1] k = {2}"


def fill_of(model: ir.Model) -> float:
    (where,) = [n for n in model.graph if n.op_type == "Where"]
    data = array(where.inputs[2])
    assert data is not None
    return float(data)


def test_fills_that_are_never_chosen() -> None:
    line = f"{FILL} f = Where (m, b, inf) r = Reshape (f, n) v, i = TopK (r, k) y = Cast <to = 1> (i)"
    model, (before, after) = both(line, "4, 2", f"{CONSTANTS}, int64[2] n = {{4, 6}}", finite_fills)
    np.testing.assert_array_equal(before, after)
    assert -0.2 < fill_of(model) < 0.1


@pytest.mark.parametrize("parts", ["m, x, inf", "m, inf, x"])
def test_exponentials_are_filled_with_zeros(parts: str) -> None:
    model, (before, after) = both(f"{FILL} f = Where ({parts}) y = Exp (f)", "4, 6", CONSTANTS, finite_fills)
    np.testing.assert_array_equal(before, after)
    assert [n.op_type for n in model.graph][-3:] == ["Where", "Exp", "Where"]


@pytest.mark.parametrize("line", [
    f"{FILL} f = Where (m, b, inf) y = Relu (f)", f"{FILL} f = Where (m, x, inf) y = ReduceMax (f)",
])  # fmt: skip
def test_other_fills_stay(line: str) -> None:
    model, _ = both(line, "1, 1" if "ReduceMax" in line else "4, 6", CONSTANTS, finite_fills)
    assert np.isneginf(fill_of(model))
