import numpy as np
import onnx_ir as ir
import pytest

from edgegate.passes import run
from edgegate.passes.resizes_to_products import resizes_to_products
from edgegate.stages import floating
from tests.passes.text import outputs, parse, unchanged

MODES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")


def op_types(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("place", MODES)
@pytest.mark.parametrize(
    "target",
    [
        "int64[4] r = {1, 2, 5, 9}> { y = Resize <MODE> (x, , , r)",
        "float[2] r = {0.7, 1.6}> { y = Resize <axes = [2, 3], MODE> (x, , r)",
    ],
)
@pytest.mark.parametrize("mode", ["cubic", 'cubic", cubic_coeff_a = -0.5, exclude_outside = 1, extra = "'])
def test_cubic_is_two_products(place, target, mode):
    mode = f'mode = "{mode}"'.replace(', extra = ""', "")
    text = target.replace("MODE", f'{mode}, coordinate_transformation_mode = "{place}"')
    model = parse(f"g (float[1,2,7,6] x) => (y) <{text} }}")
    wanted = outputs(model)
    run(model, [resizes_to_products], floating)
    assert op_types(model) == ["Transpose", "MatMul", "Transpose", "MatMul"]
    np.testing.assert_allclose(outputs(model)[0], wanted[0], rtol=1e-4, atol=1e-4)


def test_a_filter_against_aliasing_is_one():
    model = parse(
        "g (float[1,2,6,8] x) => (y) <int64[4] r = {1, 2, 6, 3}> {"
        ' y = Resize <mode = "linear", antialias = 1> (x, , , r) }'
    )
    wanted = outputs(model)
    run(model, [resizes_to_products], floating)
    assert op_types(model) == ["MatMul"]
    np.testing.assert_allclose(outputs(model)[0], wanted[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "attributes",
    [
        'mode = "linear"',
        'mode = "nearest"',
        'mode = "linear", antialias = 1',
        'mode = "cubic", keep_aspect_ratio_policy = "not_larger"',
    ],
)
def test_what_has_a_form_of_its_own_is_left_alone(attributes):
    unchanged(
        resizes_to_products,
        f"g (float[1,1,4,4] x) => (y) <int64[4] r = {{1, 1, 8, 8}}> {{ y = Resize <{attributes}> (x, , , r) }}",
    )
