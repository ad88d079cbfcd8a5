"""Convolutions over three axes of which one is seen place by place."""

import numpy as np
import pytest

from edgegate.passes import run
from edgegate.passes.drop_unused import drop_unused
from edgegate.passes.flat_convs import flat_convs
from edgegate.stages import floating
from tests.passes.text import check, outputs, parse, unchanged


def test_the_axis_is_samples() -> None:
    check(
        flat_convs,
        """g (float[1,1,2,3,4] x) => (y) <float[2,1,1,2,1] w = {1, 2, 3, 4}, float[2] b = {5, 6}> {
            y = Conv <pads = [0, 1, 0, 0, 0, 0]> (x, w, b) }""",
        """g (float[1,1,2,3,4] x) => (y) <float[2,1,1,2] w = {1, 2, 3, 4}, float[2] b = {5, 6},
            int64[4] flat = {4, 1, 2, 3}, int64[5] apart = {1, 4, 2, 2, 3}> {
            y_flat_turned = Transpose <perm = [0, 4, 1, 2, 3]> (x)
            y_flat = Reshape <allowzero = 0> (y_flat_turned, flat)
            y_layer = Conv <dilations = [1, 1], group = 1, pads = [0, 1, 0, 0], strides = [1, 1]> (y_flat, w, b)
            y_apart = Reshape <allowzero = 0> (y_layer, apart)
            y = Transpose <perm = [0, 2, 3, 4, 1]> (y_apart)
        }""",
    )


@pytest.mark.parametrize(
    ("kernel", "attributes"),
    [
        ("4,2,1,3,3", "pads = [0, 1, 1, 0, 1, 1], strides = [1, 2, 1], group = 2"),
        ("4,4,3,1,2", "pads = [2, 0, 0, 1, 0, 1], dilations = [2, 1, 1]"),
    ],
)
def test_any_axis(kernel: str, attributes: str) -> None:
    size = int(np.prod([int(d) for d in kernel.split(",")]))
    data = ", ".join(str(i % 7 - 3) for i in range(size))
    model = parse(
        f"g (float[2,4,5,6,7] x) => (y) <float[{kernel}] w = {{{data}}}> {{ y = Conv <{attributes}> (x, w) }}"
    )
    wanted = outputs(model)
    run(model, [flat_convs, drop_unused], floating)
    assert [n.op_type for n in model.graph] == ["Transpose", "Reshape", "Conv", "Reshape", "Transpose"]
    np.testing.assert_allclose(outputs(model)[0], wanted[0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("kernel", "attributes"), [("1,1,2,2,2", ""), ("1,1,2,2,1", "<strides = [1, 1, 2]>")])
def test_neighbours_on_every_axis_stay(kernel: str, attributes: str) -> None:
    size = int(np.prod([int(d) for d in kernel.split(",")]))
    data = ", ".join(["1"] * size)
    unchanged(
        flat_convs, f"g (float[1,1,3,3,3] x) => (y) <float[{kernel}] w = {{{data}}}> {{ y = Conv {attributes} (x, w) }}"
    )
