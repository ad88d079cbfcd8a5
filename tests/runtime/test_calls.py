"""Calling a session: every wrong input told in one line, and no array shared by accident."""

import numpy as np
import pytest

from edgegate.errors import InputError
from edgegate.replay import verify
from edgegate.runtime import Session
from tests import tiny_program as tiny
from tests.runtime.definition import expected


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_any_number_of_samples(count, batch):
    x = np.random.default_rng(count).normal(scale=30, size=(count, 8)).astype(np.float32)
    y = tiny.artifact(tiny.library(1, batch), batch=batch)(x)
    assert y.dtype == np.float32
    assert np.array_equal(y, expected(x))


def test_a_first_dimension_that_is_no_batch_is_not_looped():
    made = tiny.artifact(tiny.library(1, 2), batch=2, options={})  # says nothing of a batch of 2
    assert made(np.zeros((2, 8), np.float32)).shape == (2, 8)
    with pytest.raises(InputError, match=r"expected shape \[2, 8\], got \[4, 8\]"):
        made(np.zeros((4, 8), np.float32))


class AsArray:
    def __array__(self, dtype=None, copy=None):
        return np.ones((1, 8), np.float32)


class AsDlpack:
    def __dlpack__(self, **named):
        return np.ones((1, 8), np.float32).__dlpack__(**named)

    def __dlpack_device__(self):
        return (1, 0)


def test_ways_to_give_the_input(plus_one):
    x = np.ones((1, 8), np.float32)
    wide = np.ones((8, 4), np.float32).T[:1]  # strided
    for y in (plus_one(x), plus_one(x=x), plus_one(AsArray()), plus_one(AsDlpack()), plus_one(wide)):
        assert np.array_equal(y, expected(x))
    stored = np.full((1, 8), -128, np.int8)
    assert np.array_equal(plus_one(stored), np.full((1, 8), (-127 - 3) * 0.5, np.float32))


def test_the_input_is_not_changed_and_outputs_are_the_callers(plus_one):
    x = np.linspace(-100, 100, 8, dtype=np.float32)[None]
    kept = x.copy()
    first = plus_one(x)
    answer = first.copy()
    plus_one(-x)
    assert np.array_equal(x, kept)
    assert np.array_equal(first, answer)
    first[:] = 0  # writable


def test_outputs_that_share_memory_with_the_input():
    session = Session(tiny.artifact(tiny.library(1, 1, 2), outputs=2, storage=None), threads=1)
    first = session(np.full((1, 8), 5, np.int8))
    session(np.full((1, 8), 9, np.int8))
    assert isinstance(first, tuple)
    assert [int(y[0, 0]) for y in first] == [6, 5]
    assert verify(session) == 2
    stored = session.run_stored([np.full((1, 8), 1, np.int8)])
    session.run_stored([np.full((1, 8), 2, np.int8)])
    assert [int(y[0, 0]) for y in stored] == [2, 1]


@pytest.mark.parametrize(
    ("positional", "named", "words"),
    [
        ([], {}, "expected the inputs x, got none"),
        ([np.zeros((1, 8), np.float32)] * 2, {}, "expected 1 inputs"),
        ([], {"z": np.zeros((1, 8), np.float32)}, "expected the inputs x, got z"),
        ([np.zeros((1, 8), np.float32)], {"x": np.zeros((1, 8), np.float32)}, "by place and by name"),
        ([np.zeros((8,), np.float32)], {}, r"expected shape \[N, 8\], got \[8\]"),
        ([np.zeros((1, 9), np.float32)], {}, r"expected shape \[N, 8\], got \[1, 9\]"),
        ([np.zeros((1, 8, 1), np.float32)], {}, "expected shape"),
        ([np.zeros((1, 8))], {}, r"expected float32 \(or stored int8\), got float64"),
        ([np.zeros((1, 8), ">f4")], {}, "got >f4"),
        ([np.zeros((1, 8), np.uint8)], {}, "got uint8"),
        ([np.zeros((1, 8), object)], {}, "got object"),
        ([None], {}, "got object"),
        (["text"], {}, "got <U4"),
        ([[[1], [1, 2]]], {}, "no array of numbers"),
        ([np.array([[0, 0, np.nan, 0, 0, 0, 0, 0]], np.float32)], {}, r"nan at \[0, 2\]; expected finite"),
        ([np.array([[0] * 8, [0] * 7 + [-np.inf]], np.float32)], {}, r"-inf at \[1, 7\]"),
    ],
)
def test_wrong_inputs(plus_one, positional, named, words):
    with pytest.raises(InputError, match=words) as caught:
        plus_one(*positional, **named)
    assert "\n" not in str(caught.value)
    x = np.ones((1, 8), np.float32)
    assert np.array_equal(plus_one(x), expected(x))  # and the session still works


@pytest.mark.parametrize(
    "inputs",
    [[], [np.zeros((1, 8), np.float32)], [np.zeros((2, 8), np.int8)], [np.zeros((1, 8), np.int8)] * 2],
)
def test_stored_inputs_must_fit_exactly(plus_one, inputs):
    with pytest.raises(InputError):
        plus_one.run_stored(inputs)


def test_huge_inputs_saturate(plus_one):
    y = plus_one(np.array([[3.4e38, -3.4e38, 1e30, -1e30, 0, 0, 0, 0]], np.float32))
    assert np.array_equal(y[0, :4], np.array([-131, -130, -131, -130], np.float32) / 2)
