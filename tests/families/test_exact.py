"""Ops that only move or pick values are exact, and averages are rounded once: against float, on stored integers."""

from __future__ import annotations

import numpy as np
import pytest

from edgegate import interpreter, passes, stages
from edgegate.graph import shape
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Scheme, Storage
from tests.families.bench import session
from tests.passes.text import parse

SCALE, ZERO = 0.5, 3
MOVES = {
    "slice": (
        "1,4,6,5", "y = Slice (x, s, e, a, t)",
        "int64[2] s = {1, -1}, int64[2] e = {4, -9}, int64[2] a = {1, 3}, int64[2] t = {2, -1}",
    ),
    "slice_all": ("1,4,6,5", "y = Slice (x, s, e)", "int64[2] s = {0, 1}, int64[2] e = {1, 99}"),
    "one": ("1,4,6,5", "y = Gather <axis = 2> (x, s)", "int64 s = {-2}"),
    "listed": ("1,4,6,5", "y = Gather <axis = -1> (x, s)", "int64[3] s = {3, -1, 0}"),
    "table_of_indices": ("1,4,6,5", "y = Gather <axis = 2> (x, s)", "int64[2,3] s = {5, -1, 0, 2, 2, 3}"),
    "pad_zero": ("1,4,3,5", "y = Pad (x, s)", "int64[8] s = {0, 1, 0, 2, 0, 0, 1, -1}"),
    "pad_number": ("1,2,3,5", "y = Pad (x, s, v)", "int64[8] s = {0, 0, 1, 0, 0, 0, 0, 2}, float v = {-6}"),
    "pad_edge": ("1,2,3,5", 'y = Pad <mode = "edge"> (x, s)', "int64[8] s = {0, 0, 1, 2, 0, 0, 0, 1}"),
    "pad_reflect": ("1,2,3,5", 'y = Pad <mode = "reflect"> (x, s)', "int64[8] s = {0, 0, 2, 4, 0, 0, 1, 1}"),
    "pad_wrap": ("1,2,3,5", 'y = Pad <mode = "wrap"> (x, s)', "int64[8] s = {0, 0, 2, 4, 0, 0, 1, 1}"),
    "pad_axes": ("2,3,5", "y = Pad (x, s, , a)", "int64[4] s = {1, 2, 0, 1}, int64[2] a = {-1, 1}"),
    "expand": ("1,4,1,5", "y = Expand (x, s)", "int64[4] s = {2, 1, 3, 5}"),
    "expand_rank": ("4,1", "y = Expand (x, s)", "int64[3] s = {2, 4, 3}"),
    "tile": ("1,2,3", "y = Tile (x, s)", "int64[3] s = {2, 1, 3}"),
    "split_axis": ("1,8,3,5", "z = Relu (x) y = Reshape (z, s)", "int64[5] s = {1, 2, 4, 3, 5}"),
    "join_axes": ("1,4,6,5", "z = Reshape (x, s) y = Transpose <perm = [0, 2, 1]> (z)", "int64[3] s = {1, 4, 30}"),
    "mixed_axes": ("2,4,6,1", "y = Reshape (x, s)", "int64[4] s = {8, 1, 3, 2}"),
    "ones": ("1,1,6,1", "y = Reshape (x, s)", "int64[1] s = {6}"),
    "from_ones": ("6", "y = Reshape (x, s)", "int64[4] s = {1, 6, 1, 1}"),
    "shuffle": ("1,8,3,2", 'y = DepthToSpace <blocksize = 2, mode = "CRD"> (x)', "int64 s = {0}"),
    "pool_least": (
        "1,2,4,5", "p = Pad (x, s, v) y = MaxPool <kernel_shape = [2, 3], strides = [2, 2]> (p)",
        "int64[8] s = {0, 0, 0, 1, 0, 0, 1, 2}, float v = {-inf}",
    ),
    "greatest": (
        "1,4,6,5", "z = MaxPool <kernel_shape = [1, 1]> (x) y = ReduceMax <keepdims = 0> (z, s)",
        "int64[1] s = {1}",
    ),
    "least": ("2,4,6", "y = ReduceMin (x, s)", "int64[2] s = {1, -1}"),
    "pool": (
        "1,4,7,5", "y = MaxPool <kernel_shape = [3, 2], pads = [1, 0, 1, 1], strides = [2, 2]> (x)",
        "int64 s = {0}",
    ),
    "pool_holes": (
        "1,4,7,6",
        "y = MaxPool <kernel_shape = [3, 2], dilations = [2, 3], pads = [2, 1, 1, 0]> (x)",
        "int64 s = {0}",
    ),
    "pool_up": (
        "1,4,7,5", "y = MaxPool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1> (x)",
        "int64 s = {0}",
    ),
    "pool_line": ("1,4,9", "y = MaxPool <kernel_shape = [3], pads = [1, 1], strides = [2]> (x)", "int64 s = {0}"),
    "nearest": ("1,4,5", "y = Resize <mode = \"nearest\"> (x, , r)", "int64 s = {0}, float[3] r = {1, 1, 2}"),
}  # fmt: skip
AVERAGES = {
    "whole": ("1,4,6,6", "kernel_shape = [2, 3], strides = [2, 3]"),
    "border": ("1,4,7,5", "kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 1]"),
    "one_side": ("1,4,7,5", "kernel_shape = [2, 4], pads = [0, 2, 1, 0], strides = [1, 2]"),
    "counted": ("1,4,7,5", "kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1"),
    "up": ("1,4,7,6", "kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1"),
    "up_border": ("1,4,8,6", "kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2], ceil_mode = 1"),
    "line": ("1,4,9", "kernel_shape = [4], pads = [2, 1], strides = [2]"),
}


def both(text: str, bits: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Float and integer outputs of a model, in real numbers, on inputs that are stored exactly."""
    model = parse(text)
    (source,) = model.graph.inputs
    feed = np.random.default_rng(0).integers(-128, 128, shape(source))
    real = ((feed - ZERO) * SCALE).astype(np.float32)
    floats = session(model).run(None, {str(source.name): real})[0]
    passes.run(model, passes.FLOAT, stages.floating)
    storage = Storage(dtype="int8", scale=SCALE, zero_point=ZERO) if bits == 8 else Storage(dtype="int16", scale=SCALE)
    names = [v.name for n in model.graph for v in (*n.inputs, *n.outputs) if v is not None]
    to_integer(Scheme(values={str(name): storage for name in names}))(model)
    passes.run(model, passes.INTEGER, stages.integer)
    (got,) = interpreter.run(model, {str(source.name): real}).values()
    np.testing.assert_array_equal(session(model).run(None, {str(source.name): real})[0], got)
    return floats, got


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", MOVES)
def test_moves_are_exact(name, bits):
    dims, nodes, constants = MOVES[name]
    want, got = both(f"g (float[{dims}] x) => (y) <{constants}> {{ {nodes} }}", bits)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", AVERAGES)
def test_averages_are_rounded_once(name):
    dims, attributes = AVERAGES[name]
    want, got = both(f"g (float[{dims}] x) => (y) {{ y = AveragePool <{attributes}> (x) }}")
    assert np.abs(got / SCALE - want.astype(np.float64) / SCALE).max() < 0.5001  # no ties: 1/9 has 31 bits
