"""Storages refuse what is impossible, and round half up."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgegate.quant.storage import Storage, WeightStorage, half_up


@given(st.floats(-(2.0**60), 2.0**60))
@example(0.49999999999999994)
@example(-0.5)
@example(0.5)
@example(2.0**52 + 0.5)
def test_half_up_is_exact(x: float) -> None:
    assert int(half_up(np.array(x))) == math.floor(Fraction(x) + Fraction(1, 2))


@given(st.integers(-128, 127), st.integers(-300, 300), st.integers(-20, 3))
def test_quantize_rounds_ties_up_and_saturates(zero_point: int, half: int, exponent: int) -> None:
    storage = Storage(dtype="int8", scale=2.0**exponent, zero_point=zero_point)
    stored = int(storage.quantize(np.array(half * 2.0**exponent / 2)))
    assert stored == min(max(math.floor(Fraction(half, 2) + Fraction(1, 2)) + zero_point, -128), 127)


def test_zero_is_exact_and_infinity_saturates() -> None:
    storage = Storage(dtype="uint8", scale=0.1, zero_point=37)
    assert storage.quantize(np.array([0.0, np.inf, -np.inf])).tolist() == [37, 255, 0]
    assert storage.dequantize(np.array([37], np.uint8))[0] == 0.0
    with pytest.raises(ValueError, match="NaN"):
        storage.quantize(np.array([np.nan]))


def test_scales_are_what_a_file_holds() -> None:
    assert Storage(dtype="int8", scale=0.1).scale == float(np.float32(0.1))
    assert Storage(dtype="int8", scale=1).scale == 1.0
    assert WeightStorage(axis=0, scales=(0.1,)).scales == (float(np.float32(0.1)),)


@pytest.mark.parametrize("change", [
    {"dtype": "int4"}, {"scale": 0.0}, {"scale": -1.0}, {"scale": math.nan}, {"scale": math.inf},
    {"scale": 2.0**-65}, {"scale": True}, {"scale": "1"}, {"scale": 10**400}, {"zero_point": 128},
    {"zero_point": -129}, {"zero_point": 0.0}, {"zero_point": True}, {"dtype": "uint8", "zero_point": -1},
    {"dtype": "int16", "zero_point": 1},
])  # fmt: skip
def test_impossible_storages_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"scale|zero.point|dtype"):
        Storage(**{"dtype": "int8", "scale": 1.0, "zero_point": 0, **change})


@pytest.mark.parametrize("change", [
    {"bits": 9}, {"bits": 1}, {"bits": True}, {"axis": -1}, {"axis": 1.0}, {"scales": ()},
    {"scales": (1.0, 0.0)}, {"scales": (math.nan,)}, {"scales": "12"},
])  # fmt: skip
def test_impossible_weight_storages_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"scale|bits|axis"):
        WeightStorage(**{"axis": 0, "scales": (1.0,), **change})


def test_weights_are_narrow_and_per_channel() -> None:
    storage = WeightStorage(axis=1, scales=(1.0, 0.5))
    weight = np.array([[0.5, 0.25], [-0.5, -0.25], [-1e9, 1e9]])
    assert storage.quantize(weight).tolist() == [[1, 1], [0, 0], [-127, 127]]
    assert storage.dequantize(storage.quantize(weight))[2].tolist() == [-127, 63.5]
    with pytest.raises(ValueError, match="fit"):
        storage.quantize(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="finite"):
        storage.quantize(np.array([[np.inf, 0]]))
    assert WeightStorage(bits=4, axis=0, scales=(1.0,)).quantize(np.array([[-9.0]])) == -7
