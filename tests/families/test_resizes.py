"""Resizing, against ONNX Runtime in float: nearest picks the same values, linear is rounded once."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from edgegate.errors import CompileError
from tests.families.test_exact import SCALE, both

MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
TARGETS = {
    "rounded_down": "float[4] r = {1, 1, 1.5, 2.3}",
    "smaller": "float[4] r = {1, 1, 0.7, 0.5}",
    "sizes": "int64[4] r = {1, 2, 8, 3}",
    "one_row": "int64[4] r = {1, 2, 1, 12}",
    "no_float32_scale": "int64[4] r = {1, 2, 5, 47}",
}


def resized(target: str, attributes: str, bits: int = 8, dims: str = "1,2,5,6") -> tuple[np.ndarray, np.ndarray]:
    place = "r" if "float" in target else ", r"
    return both(f"g (float[{dims}] x) => (y) <{target}> {{ y = Resize <{attributes}> (x, , {place}) }}", bits)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("mode", MODES[:4])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_nearest_is_exact(target, mode, rounding):
    want, got = resized(target, f'coordinate_transformation_mode = "{mode}", nearest_mode = "{rounding}"')
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(("bits", "most"), [(8, 0.65), (16, 1.3)])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_linear_is_rounded_once(target, mode, bits, most):
    """Half a step for the result, and the rest for weights of 11 bits; of 7 for 16-bit inputs."""
    want, got = resized(target, f'mode = "linear", coordinate_transformation_mode = "{mode}"', bits)
    assert np.abs(got - want).max() < most * SCALE


@pytest.mark.parametrize(("target", "attributes", "said"), [
    (TARGETS["sizes"], 'mode = "cubic"', "in cubic mode has no integer form; use bilinear or nearest"),
    ("float[4] r = {1, 1, 0.5, 0.5}", 'mode = "linear", antialias = 1', "antialias .*; use average pooling"),
    ("float[4] r = {1, 2, 1, 1}", 'mode = "nearest"', "samples or channels .*; resize along space alone"),
    ("float[4] r = {2, 1, 1, 1}", 'mode = "nearest"', "samples or channels .*; resize along space alone"),
])  # fmt: skip
def test_what_is_neither_is_refused(target, attributes, said, monkeypatch):
    """Splines too, where their matrix would be too large."""
    monkeypatch.setattr(sys.modules["edgegate.passes.resizes_to_products"], "LARGEST", 0)
    with pytest.raises(CompileError, match=f"layer .Resize.: Resize of .*: resizing .*{said}"):
        resized(target, attributes, dims="1,2,6,6")


def test_antialias_means_nothing_where_nothing_shrinks():
    want, got = resized("float[4] r = {1, 1, 2, 1}", 'mode = "linear", antialias = 1')
    assert np.abs(got - want).max() <= SCALE / 2
