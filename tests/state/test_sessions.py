"""A session holds the states of a step in integers: stepping, resetting, saving, restoring."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import edgegate
from edgegate import _npz
from edgegate.errors import FileError, InputError, UnsafeError
from tests.state.steps import EXAMPLE, STATE, Leaky, X, stepped, storage


@pytest.fixture(scope="module")
def artifact():
    torch.manual_seed(0)
    return edgegate.compile(Leaky(), EXAMPLE, state=STATE, calib={"": X}, activation_bits=8)


def test_names_storages_and_outputs(artifact):
    manifest = artifact.manifest
    assert manifest.states == [("mean", "add"), ("queue", "cat"), ("last", "x")]
    assert [spec.name for spec in manifest.shown] == ["linear_1"]
    kept = {spec.name: spec.stored_dtype for spec in manifest.inputs}
    assert kept == {"x": "int8", "mean": "int16", "queue": "int8", "last": "int8"}


def test_what_a_small_step_keeps_has_16_bits():
    _, scheme, _ = edgegate.quantize(Leaky(), EXAMPLE, state=STATE, calib={"": X})
    assert {scheme.values[name].dtype for name in ("x", "mean", "queue", "last")} == {"int16"}


def test_every_step_is_the_interpreters_and_onnx_runtimes(artifact):
    assert artifact.verify() == 3
    session = artifact.session()
    found = np.stack([session.step(x) for x in X])
    for rows in stepped(artifact, X):
        assert np.array_equal(found, np.stack([row[0] for row in rows]))
    assert np.array_equal(found, artifact.session().steps(X))
    assert np.array_equal(found, artifact.session().steps(X[:, 0]))


def test_the_steps_are_near_those_of_torch(artifact):
    net, held = Leaky(), [torch.zeros_like(state) for state in EXAMPLE[1:]]
    torch.manual_seed(0)
    net = Leaky()
    wanted = []
    for x in X:
        y, *held = net(torch.tensor(x), *held)
        wanted.append(y.detach().numpy())
    error = artifact.session().steps(X) - np.stack(wanted)
    assert np.mean(np.square(wanted)) > 3000 * np.mean(np.square(error))


def test_reset_and_states_of_ones_own(artifact):
    first, second = artifact.session(), artifact.session()
    y = [first.step(x) for x in X[:4]]
    assert not second.state["mean"].any() and first.state["mean"].any()
    assert np.array_equal(second.step(X[0]), y[0])
    first.reset()
    assert np.array_equal(first.step(X[0]), y[0]) and not np.array_equal(first.step(X[0]), y[0])


def test_stored_integers_and_calls_between_steps(artifact):
    session, other = artifact.session(), artifact.session()
    how = storage(artifact.manifest.inputs[0])
    stored = [np.clip(np.rint(x / np.float32(how.scale)) + how.zero_point, -128, 127) for x in X[:5]]
    for x, n in zip(X[:5], stored, strict=True):
        held = session.state
        y = session.step(n.astype(np.int8))
        again = other(x, *(held[name] for name in ("mean", "queue", "last")))
        assert np.array_equal(y, again[0]) and np.array_equal(y, other.step(x))


def test_a_step_that_fails_changes_nothing(artifact):
    session = artifact.session()
    session.step(X[0])
    before = session.state
    for wrong in (X[0] * np.nan, X[0][:, :7], X[0].astype(np.int32)):
        with pytest.raises(InputError, match="input 'x'"):
            session.step(wrong)
    with pytest.raises(InputError, match="expected the inputs x, got x, mean"):
        session.step(X[0], mean=X[0])
    assert all(np.array_equal(before[name], array) for name, array in session.state.items())


def test_saved_states_go_on_with_the_same_bits(artifact, tmp_path):
    session = artifact.session()
    session.steps(X[:10])
    session.save(tmp_path / "state.npz")
    wanted = session.steps(X[10:20])
    other = edgegate.Artifact(artifact.manifest, artifact.files).session(threads=1)
    other.restore(tmp_path / "state.npz")
    assert np.array_equal(other.steps(X[10:20]), wanted)


def _altered(arrays):
    yield FileError, "not the states of this model", {**arrays, "graph": arrays["graph"][::-1]}
    yield FileError, "not the states of this model", {k: v for k, v in arrays.items() if k != "graph"}
    yield FileError, "expected the states", {k: v for k, v in arrays.items() if k != "state/mean"}
    yield FileError, "expected the states", {**arrays, "state/more": arrays["state/mean"]}
    yield UnsafeError, "expected int16", {**arrays, "state/mean": arrays["state/mean"].astype(np.int32)}
    yield UnsafeError, "expected int8", {**arrays, "state/queue": arrays["state/queue"][:, :9]}


def test_a_file_of_other_states_is_refused(artifact, tmp_path):
    session = artifact.session()
    session.step(X[0])
    before = session.state
    session.save(tmp_path / "state.npz")
    arrays = _npz.load(tmp_path / "state.npz")
    for error, message, altered in _altered(arrays):
        (tmp_path / "other.npz").write_bytes(_npz.pack(altered))
        with pytest.raises(error, match=message):
            session.restore(tmp_path / "other.npz")
    (tmp_path / "other.npz").write_bytes((tmp_path / "state.npz").read_bytes()[:-200])
    with pytest.raises(FileError):
        session.restore(tmp_path / "other.npz")
    assert all(np.array_equal(before[name], array) for name, array in session.state.items())


def test_the_whole_memory_can_be_put_in_place(artifact):
    session, other = artifact.session(), artifact.session()
    session.steps(X[:3])
    other.memory.update(session.state)
    assert np.array_equal(session.step(X[3]), other.step(X[3]))
    with pytest.raises(InputError, match="no state 'x'"):
        other.memory.update({"x": X[0]})
