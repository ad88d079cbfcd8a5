"""Decoders in integers find the token that float finds."""

from __future__ import annotations

import pytest

from tests.recurrent.decoding import MODELS, decoded

STORAGES = {
    "lfm2_like": ["int16", "int16", "int8", "int8", "int8", "int16"],
    "delta_like": ["int16", "int16"],
}
"""Long queues in bytes: keys, values, and which of them there are."""


@pytest.mark.parametrize("name", MODELS)
def test_the_next_token(name):
    made = decoded(name, 100)
    assert made.agreement >= 0.97 and made.sqnr > 40
    assert made.storages == STORAGES[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_next_of_1000_tokens(name):
    made = decoded(name, 1000)
    assert made.agreement >= 0.98 and made.sqnr > 40
