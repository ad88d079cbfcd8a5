"""Blocks that are added up where they lie are a transposed convolution with ones."""

import numpy as np
import pytest

from edgegate.passes import run
from edgegate.passes.drop_unused import drop_unused
from edgegate.passes.explicit_folds import explicit_folds
from edgegate.passes.to_conv import to_conv
from edgegate.stages import floating
from tests.passes.text import check, outputs, parse


def test_one_place_for_each_element() -> None:
    check(
        explicit_folds,
        "g (float[1,4,3] x) => (float[1,2,4] y) <int64[1] i = {4}, int64[1] k = {2}> { y = Col2Im (x, i, k) }",
        """g (float[1,4,3] x) => (float[1,2,4] y) <int64[3] d = {1, 4, 3}, float[4,1,2] w = {1, 0, 0, 1, 1, 0, 0, 1}> {
            y_blocks = Reshape <allowzero = 0> (x, d)
            y = ConvTranspose <dilations = [1], group = 2, output_padding = [0], pads = [0, 0], strides = [1]>
                (y_blocks, w)
        }""",
    )


@pytest.mark.parametrize(
    ("given", "blocks", "attributes"),
    [
        ("float[2,18,16] x", "int64[2] i = {8, 8}, int64[2] k = {3, 3}", "pads = [1, 1, 1, 1], strides = [2, 2]"),
        ("float[1,12,20] x", "int64[2] i = {8, 9}, int64[2] k = {2, 3}", "strides = [2, 1], pads = [0, 0, 2, 0], "
         "dilations = [2, 2]"),
    ],
)  # fmt: skip
def test_overlaps_holes_and_what_is_left_over(given: str, blocks: str, attributes: str) -> None:
    model = parse(f"g ({given}) => (y) <{blocks}> {{ y = Col2Im <{attributes}> (x, i, k) }}")
    wanted = outputs(model)
    run(model, [explicit_folds, to_conv, drop_unused], floating)
    assert not {n.op_type for n in model.graph} & {"Col2Im", "ConvTranspose"}
    np.testing.assert_allclose(outputs(model)[0], wanted[0], rtol=1e-5, atol=1e-5)
