"""Masks that are computed at run time and added to scores become choices."""

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from edgegate.passes import run
from edgegate.passes.drop_unused import drop_unused
from edgegate.passes.mask_softmax import mask_softmax
from edgegate.passes.masks_to_choices import masks_to_choices
from edgegate.stages import floating
from tests.passes.text import parse, unchanged

HEAD = """g (float[2,3,3] x, float[2,1,3] m) => (y) <int64[3] d = {2, 1, 3}, float n = {-1e9}, float w = {1e9},
    float o = {1}, float h = {0.5}, float z = {0}, float i = {-inf}> """
WAYS = {
    "Greater": ["r = Sub (o, m) b = Mul (r, n)",
                "r = Sub (m, o) b = Mul (w, r)", "c = Greater (m, h) b = Where (c, z, i)",
                "r = Sub (o, m) q = Mul (r, n) b = Reshape (q, d)"],
    "Less": ["b = Mul (n, m)", "c = Less (m, h) b = Where (c, z, n)"],
}  # fmt: skip


def ended(line: str) -> str:
    return f"{HEAD} {{ {line} s = Add (x, b) y = Softmax <axis = -1> (s) }}"


def computed(model: ir.Model) -> np.ndarray:
    rng = np.random.default_rng(0)
    flags = np.array([[[1, 0, 1]], [[1, 1, 0]]], np.float32)
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    return session.run(None, {"x": rng.standard_normal((2, 3, 3), np.float32), "m": flags})[0]


@pytest.mark.parametrize(("op", "line"), [(op, line) for op, lines in WAYS.items() for line in lines])
def test_what_hides_scores_is_a_choice(op: str, line: str) -> None:
    model = parse(ended(line))
    wanted = computed(model)
    run(model, [masks_to_choices, drop_unused], floating)
    np.testing.assert_allclose(computed(model), wanted, atol=1e-6)
    assert {n.op_type for n in model.graph} - {"Reshape"} == {op, "Where", "Softmax"}


def test_other_sums_stay() -> None:
    for line in ("b = Mul (m, o)", "c = Greater (m, h) b = Where (c, o, n)", "b = Relu (m)"):
        unchanged(masks_to_choices, ended(line))


def test_masks_one_behind_the_other_are_one() -> None:
    line = "r = Sub (o, m) b = Mul (r, n) a = Add (x, k) s = Add (a, b) y = Softmax <axis = -1> (s)"
    hidden = "float[3,3] k = {0, -inf, -inf, 0, 0, -inf, 0, 0, 0}> "
    model = parse(f"{HEAD.strip()[:-1]}, {hidden} {{ {line} }}")
    wanted = np.nan_to_num(computed(model))
    run(model, [masks_to_choices, mask_softmax, drop_unused], floating)
    np.testing.assert_allclose(computed(model), wanted, atol=1e-6)
    assert sorted(n.op_type for n in model.graph) == ["And", "Greater", "MaskedSoftmax"]
