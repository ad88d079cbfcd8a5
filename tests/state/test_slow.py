"""A session with a state of 24 bits: the same bits on every engine; any int32 that it is given stays within them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import edgegate
from edgegate.errors import InputError
from edgegate.storage import STATE_LIMIT
from tests.state.steps import stepped
from tests.test_long_memory import MATRIX, ROW, Matrix

X = np.random.default_rng(0).standard_normal((48, *ROW), np.float32)


@pytest.fixture(scope="module")
def artifact():
    torch.manual_seed(0)
    example = (torch.zeros(ROW), torch.zeros(MATRIX))
    return edgegate.compile(Matrix(0.9999).eval(), example, state={"state": 1}, calib={"": X})


def test_every_engine_steps_alike(artifact):
    assert [s.stored_dtype for s in artifact.manifest.inputs] == ["int16", "int32"]
    assert artifact.verify() == 3
    session = artifact.session()
    found = np.stack([session.step(x) for x in X])
    for rows in stepped(artifact, X):
        assert np.array_equal(found, np.stack([row[0] for row in rows]))
        how = artifact.manifest.inputs[1].storage
        assert np.array_equal(np.float32(how.scale) * session.state["state"], rows[-1][1])


def test_a_saved_state_goes_on_with_the_same_bits(artifact, tmp_path):
    first, second = artifact.session(), artifact.session()
    first.steps(X[:24])
    first.save(tmp_path / "state")
    second.restore(tmp_path / "state")
    assert second.state["state"].dtype == np.int32
    assert np.array_equal(first.steps(X[24:]), second.steps(X[24:]))


@pytest.mark.parametrize("raw", [-(1 << 31), (1 << 31) - 1])
def test_integers_beyond_24_bits_are_cut(artifact, raw: int):
    ends = []
    for start in (raw, STATE_LIMIT if raw > 0 else -STATE_LIMIT):
        session = artifact.session()
        y, state = session(X[0], np.full(MATRIX, start, np.int32))
        assert np.abs(state).max() <= STATE_LIMIT * np.float32(artifact.manifest.inputs[1].storage.scale)
        ends.append((y, state))
    assert all(np.array_equal(a, b) for a, b in zip(*ends, strict=True))
    assert not np.array_equal(ends[0][1], artifact.session()(X[0], np.zeros(MATRIX, np.int32))[1])


def test_a_state_of_another_type_is_refused(artifact):
    with pytest.raises(InputError, match="state"):
        artifact.session()(X[0], np.zeros(MATRIX, np.int16))
