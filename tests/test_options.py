"""Options are refused before anything slow starts, by one line that names the value."""

import re
from typing import Any

import numpy as np
import pytest

from edgegate import CompileOptions

ONE = np.zeros((1, 3), np.float32)
IMPOSSIBLE: dict[str, dict[str, Any]] = {
    "target must have a name": {"target": ""},
    "batch and threads must be at least 1, got 0 and None": {"batch": 0},
    "batch and threads must be at least 1, got 1 and 0": {"threads": 0},
    "model must be package.module:factory, got 'net'": {"model": "net"},
    "calib_method must be one of minmax, percentile, mse, got 'best'": {"calib_method": "best"},
    "logic must be one of code, table, got 'vhdl'": {"logic": "vhdl"},
    "input_range must be finite and rising, got 1,0": {"input_range": (1, 0)},
    "got no arrays": {"calib": {}},
    "for each input, got 1 and 2": {"calib": {"a": ONE, "b": np.zeros((2, 3), np.float32)}},
    "sizes of at least 1": {"shapes": ((1, 0),)},
    "2147483648 elements at most": {"shapes": ((1 << 16, 1 << 16),)},
    "at least one batch of 4 samples, got 1": {"calib": {"a": ONE}, "batch": 4},
    "at least one batch of 1 samples, got 0": {"calib": {"a": np.float32(1)}},
}


@pytest.mark.parametrize("message", IMPOSSIBLE)
def test_refused(message):
    with pytest.raises(ValueError, match=re.escape(message)):
        CompileOptions(**IMPOSSIBLE[message])


def test_data_may_be_lists():
    lists: Any = {"x": [[1.0, 2.0]]}
    found: Any = CompileOptions(calib=lists).calib
    assert found["x"].shape == (1, 2)


def test_data_is_described_by_its_digest():
    same, other = (CompileOptions(calib={"x": ONE + i}).describe()["calib"] for i in (0, 1))
    assert same == CompileOptions(calib={"x": ONE.copy()}).describe()["calib"] != other
    assert CompileOptions().describe()["calib"] == "none"
