"""Decoders in integers find the token that float finds."""

from __future__ import annotations

import pytest

from tests.recurrent.decoding import MODELS, decoded


@pytest.mark.parametrize("name", MODELS)
def test_the_next_token(name):
    made = decoded(name, 100)
    assert made.agreement >= 0.97 and made.sqnr > 40
    assert set(made.storages) == {"int8" if name == "lfm2_like" else "int16"}  # queues in bytes


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_next_of_1000_tokens(name):
    made = decoded(name, 1000)
    assert made.agreement >= 0.98 and made.sqnr > 40
