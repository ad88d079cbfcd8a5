import numpy as np
import onnx_ir as ir

from edgegate.graph import array
from edgegate.passes.fold_constants import fold_constants
from edgegate.passes.lift_constants import lift_constants
from tests.passes.text import HEADER, check, lines, unchanged


def test_constants_are_computed():
    check(
        fold_constants,
        """g (float[1,2] x) => (y) <float[3,2] w = {1, 2, 3, 4, 5, 6}> {
            t = Transpose (w)
            y = MatMul (x, t)
        }""",
        "g (float[1,2] x) => (y) <float[2,3] w = {1, 3, 5, 2, 4, 6}> { y = MatMul (x, w) }",
    )


def test_a_result_above_the_budget_is_never_computed():
    unchanged(
        fold_constants,
        f"""g (float[1] x) => (y) <float[1] c = {{1}}, int64[1] repeats = {{{1 << 45}}}> {{
            e = Tile (c, repeats)
            m = ReduceMax <keepdims = 0> (e)
            y = Add (x, m)
        }}""",
    )


def test_constants_become_initializers():
    model = ir.from_onnx_text(
        HEADER + "g (float[1] x) => (y) { c = Constant <value = float[1] {2}> () y = Add (x, c) }"
    )
    lift_constants(model)
    assert lines(model) == ["y = ::Add<>(x, float32[2.0])"]
    np.testing.assert_equal(array(model.graph.initializers["c"]), [2])


def test_a_constant_is_cut_and_its_parts_are_computed_with():
    check(
        fold_constants,
        """g (float[1,2] x) => (y) <float[3] w = {1, 2, 3}, int64[2] sizes = {1, 2}> {
            a, b = Split <axis: int = 0> (w, sizes)
            c = Add (b, a)
            y = Mul (x, c)
        }""",
        "g (float[1,2] x) => (y) <float[2] w = {3, 4}> { y = Mul (x, w) }",
    )
    unchanged(
        fold_constants,
        "g (float[1,4] x) => (a, b) { a, b = Split <axis: int = 1, num_outputs: int = 2> (x) }",
    )
