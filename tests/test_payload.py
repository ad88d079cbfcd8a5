"""Payloads: every array comes back, in each form by one spelling, and hostile bytes are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.errors import InputError
from edgegate.payload import DTYPES, FORMS, Payload, chosen


@st.composite
def crossing(draw, form=None):
    """A payload and an array, of any density."""
    dtype = draw(st.sampled_from(DTYPES))
    limits = np.iinfo(dtype)
    zero = draw(st.sampled_from([0, int(limits.min), int(limits.max), 7]))
    shape = draw(st.sampled_from([(1,), (7,), (1, 8), (2, 3, 5), (1, 40, 40), (1, 3000)]))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    array = rng.integers(limits.min, limits.max, shape, np.int64, endpoint=True).astype(dtype)
    keep = rng.random(shape) < draw(st.sampled_from([0, 0.0005, 0.01, 0.1, 0.5, 0.95, 1]))
    payload = Payload(shape=shape, dtype=dtype, zero_point=zero, form=form or draw(st.sampled_from(FORMS)))
    return payload, np.where(keep, array, np.array(zero, dtype))


@settings(max_examples=200, deadline=None)
@given(crossing())
def test_round_trip(both):
    payload, array = both
    found = payload.unpack(payload.pack(array))
    assert found.dtype == array.dtype and np.array_equal(found, array)


@settings(max_examples=300, deadline=None)
@given(crossing(), st.data())
def test_what_is_accepted_is_what_would_be_sent(both, data):
    payload, array = both
    sent = bytearray(payload.pack(array))
    for _ in range(data.draw(st.integers(1, 3))):
        match data.draw(st.sampled_from(["flip", "cut", "add", "swap"])):
            case "flip" if sent:
                sent[data.draw(st.integers(0, len(sent) - 1))] ^= data.draw(st.integers(1, 255))
            case "cut":
                del sent[data.draw(st.integers(0, len(sent))) :]
            case "add":
                sent += data.draw(st.binary(max_size=5))
            case _:
                sent[:1] = data.draw(st.binary(min_size=1, max_size=1))
    try:
        found = payload.unpack(bytes(sent))
    except InputError:
        return
    assert payload.pack(found) == bytes(sent)  # one spelling each


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FORMS), st.binary(max_size=60))
def test_any_bytes_are_refused_or_sound(form, data):
    payload = Payload(shape=(2, 9), dtype="int8", zero_point=-3, form=form)
    try:
        found = payload.unpack(bytes([FORMS.index(form)]) + data)
    except InputError:
        return
    assert payload.pack(found)[1:] == data


def test_sizes_of_the_bytes():
    array = np.zeros((1, 800), np.int8)
    array[0, ::100] = 5
    sizes = [len(Payload(shape=(1, 800), dtype="int8", form=form).pack(array)) for form in FORMS]
    assert sizes == [801, 1 + 100 + 8, 1 + 4 + 8 + 8]
    array[0, :] = 0
    array[0, 799] = 1
    assert Payload(shape=(1, 800), dtype="int8", form="index").pack(array) == bytes(
        [2, 4, 0, 0, 0, 255, 255, 255, 34, 1]
    )


def test_the_form_is_chosen_by_what_crossed():
    rng = np.random.default_rng(0)
    wanted = {1.0: "dense", 0.5: "bitmap", 0.02: "index"}
    for density, form in wanted.items():
        arrays = [np.where(rng.random((1, 4000)) < density, 9, -128).astype(np.int8) for _ in range(5)]
        found, size = chosen((1, 4000), "int8", -128, arrays)
        assert found.form == form
        assert size == np.mean([len(found.pack(a)) for a in arrays])
    assert chosen((4,), "int16", 0, [])[0].form == "dense"


def test_impossible_payloads():
    wrongs: tuple[dict[str, Any], ...] = ({"form": "zip"}, {"dtype": "float32"}, {"zero_point": 200}, {"shape": (0,)})
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"payload|store|shape"):
            Payload(**{"shape": (2,), "dtype": "int8", **wrong})
    with pytest.raises(InputError, match=r"expected int8\[2\] to cross the cut, got int16\[2\]"):
        Payload(shape=(2,), dtype="int8").pack(np.zeros(2, np.int16))
