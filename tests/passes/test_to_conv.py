import numpy as np
import pytest

from edgegate.graph import attribute, shape
from edgegate.passes import run
from edgegate.passes.drop_unused import drop_unused
from edgegate.passes.to_conv import to_conv
from edgegate.stages import floating
from tests.passes.text import check, outputs, parse, unchanged


def test_phases_of_two_are_interleaved():
    check(
        to_conv,
        "g (float[1,1,3] x) => (y) <float[1,1,2] w = {2, 3}, float[1] b = {5}>"
        "{ y = ConvTranspose <strides = [2]> (x, w, b) }",
        """g (float[1,1,3] x) => (y) <float[2,1,1] w = {2, 3}, float[2] b = {5, 5},
            int64[4] parts = {1, 1, 2, 3}, int64[3] after = {1, 1, 6}> {
            y_phases = Conv <dilations = [1], group = 1, pads = [0, 0], strides = [1]> (x, w, b)
            y_parts = Reshape (y_phases, parts)
            y_moved = Transpose <perm = [0, 1, 3, 2]> (y_parts)
            y = Reshape (y_moved, after)
        }""",
    )


def test_stride_one_needs_no_shuffle():
    check(
        to_conv,
        "g (float[1,1,4] x) => (y) <float[1,1,3] w = {1, 2, 3}> { y = ConvTranspose <pads = [1, 1]> (x, w) }",
        """g (float[1,1,4] x) => (y) <float[1,1,3] w = {3, 2, 1}, float[1] b = {0}> {
            y = Conv <dilations = [1], group = 1, pads = [1, 1], strides = [1]> (x, w, b)
        }""",
    )


@pytest.mark.parametrize(
    ("channels", "kernel", "attributes"),
    [
        ((4, 3), (4, 4), "strides = [2, 2], pads = [1, 1, 1, 1]"),
        ((4, 3), (3, 3), "strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1]"),
        ((4, 2), (3, 3), "strides = [2, 1], group = 2"),
        ((4, 1), (5, 2), "strides = [3, 2], group = 4, pads = [2, 0, 1, 1]"),
        ((2, 3), (2, 3), "strides = [2, 3], dilations = [3, 2], pads = [0, 1, 2, 2]"),
        ((2, 2), (3, 3), 'strides = [2, 2], auto_pad = "SAME_UPPER"'),
        ((2, 2), (3, 3), 'strides = [2, 2], auto_pad = "SAME_LOWER"'),
        ((2, 2), (2, 2), "strides = [3, 3], output_padding = [2, 0]"),
        ((2, 2), (4, 4), "strides = [2, 2], output_shape = [9, 12]"),
    ],
)
def test_meaning_is_kept(channels, kernel, attributes):
    (inputs, outs), size = channels, int(np.prod(channels) * np.prod(kernel))
    numbers = ", ".join(f"{v:.3f}" for v in np.sin(np.arange(size) * 1.7))
    dims = ",".join(map(str, (*channels, *kernel)))
    model = parse(
        f"g (float[2,{inputs},5,6] x) => (y) <float[{dims}] w = {{{numbers}}}>"
        f"{{ y = ConvTranspose <{attributes}> (x, w) }}"
    )
    (want,), groups = outputs(model), attribute(model.graph[0], "group", 1)
    run(model, [to_conv, drop_unused], floating)
    types = [n.op_type for n in model.graph]
    assert "ConvTranspose" not in types
    assert shape(model.graph.outputs[0]) == want.shape == (2, outs * groups, *want.shape[2:])
    np.testing.assert_allclose(outputs(model)[0], want, atol=1e-5)


def test_computed_weights_and_cuts_past_a_phase_stay():
    unchanged(to_conv, "g (float[1,1,3] x, float[1,1,2] w) => (y) { y = ConvTranspose <strides = [2]> (x, w) }")
    unchanged(
        to_conv,
        "g (float[1,1,5] x) => (y) <float[1,1,1] w = {2}>{ y = ConvTranspose <strides = [2], pads = [2, 2]> (x, w) }",
    )
