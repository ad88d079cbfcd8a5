"""Steps at once: the program of a sequence gives the bits of so many steps, and leaves the same states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import edgegate
from edgegate import CompileOptions
from edgegate.artifact import Artifact
from edgegate.errors import FileError, InputError, MismatchError, UnsafeError
from edgegate.manifest import SEQUENCE
from edgegate.replay import verify
from tests.state.steps import EXAMPLE, STATE, Leaky, X

T = 5


class Chain(nn.Module):
    """An input of two steps ago, a sum that is shown as well, and a count of the steps, which is whole."""

    def forward(self, x, last, before, total, count):
        total = total * 0.5 + torch.sigmoid(x + before)
        return x * total, x, last, total, count + 1


CHAIN = tuple(torch.zeros(1, 8) for _ in range(4)), torch.zeros(1, dtype=torch.int64)


@pytest.fixture(scope="module")
def artifact():
    torch.manual_seed(0)
    return edgegate.compile(Leaky(), EXAMPLE, state=STATE, calib={"": X}, steps=T)


@pytest.fixture(scope="module")
def chain():
    given = (*CHAIN[0], CHAIN[1])
    state = {"last": "x", "before": "last", "total": 3, "count": 4}
    return edgegate.compile(Chain(), given, state=state, calib={"": X}, steps=T)


def same(artifact, count, before=0):
    whole, single = artifact.session(threads=1), artifact.session(threads=1)
    for session in (whole, single):
        for x in X[:before]:
            session.step(x)
    found, wanted = whole.steps(X[before : before + count]), [single.step(x) for x in X[before : before + count]]
    assert np.array_equal(found, np.stack(wanted))
    assert whole.state.keys() == single.state.keys()
    assert all(np.array_equal(single.state[name], array) for name, array in whole.state.items())
    return whole


@pytest.mark.parametrize("count", [1, T - 1, T, T + 1, 3 * T + 2])
def test_sequences_of_any_length_give_the_bits_of_steps(artifact, chain, count):
    for made in (artifact, chain):
        same(made, count)
        same(made, count, 3)


def test_an_output_that_is_a_state_and_shown():
    class Both(nn.Module):
        def forward(self, x, total):
            total = total * 0.5 + torch.sigmoid(x)
            return total, total + x

    made = edgegate.compile(Both(), EXAMPLE[:2], state={"total": 0}, calib={"": X}, steps=T)
    same(made, T + 1)


def test_whole_states_count_exactly(chain):
    assert chain.manifest.states[-1][0] == "count"
    assert same(chain, 2 * T + 1).state["count"].tolist() == [2 * T + 1]
    assert {spec.name: spec.dtype for spec in chain.manifest.inputs}["count"] == "int64"


def test_one_call_does_all_steps(artifact, monkeypatch):
    session = artifact.session()
    wanted = artifact.session().steps(X[: 2 * T])
    monkeypatch.setattr(session, "advance", None)
    assert np.array_equal(session.steps(X[: 2 * T]), wanted)
    assert np.array_equal(artifact.session().steps(X[: 2 * T, 0]), wanted)


def test_verify_compares_a_sequence_with_its_steps(artifact, chain):
    torch.manual_seed(1)
    other = edgegate.compile(Leaky(), EXAMPLE, state=STATE, calib={"": X}, steps=T)
    assert artifact.verify() == chain.verify() == 3
    mixed, told = {**artifact.files, SEQUENCE: other.files[SEQUENCE]}, artifact.manifest
    wrong = Artifact.create(
        mixed, target=told.target, inputs=told.inputs, outputs=told.outputs, options=told.options, proof=told.proof
    )
    with pytest.raises(MismatchError, match=f"{T} steps at once: output 'linear_1': .* values differ"):
        verify(wrong.session())


def test_the_step_that_fails_is_told_and_those_before_are_done(artifact):
    session, other = artifact.session(), artifact.session()
    wrong = X[:T].copy()
    wrong[3, 0, 2] = np.nan
    with pytest.raises(InputError, match=r"input 'x': nan at \[0, 2\]"):
        session.steps(wrong)
    other.steps(X[:3])
    assert all(np.array_equal(other.state[name], array) for name, array in session.state.items())


def test_it_is_saved_and_described(artifact, tmp_path):
    artifact.save(tmp_path / "a.egate")
    loaded = edgegate.load(tmp_path / "a.egate")
    assert loaded.manifest.steps == T and SEQUENCE in loaded.files
    same(loaded, T)


def _altered(artifact):
    manifest = artifact.manifest
    for steps in (0, -1, True, "5", 1 << 40, [5]):
        yield {"options": {**manifest.options, "steps": steps}}
    yield {"options": {k: v for k, v in manifest.options.items() if k != "steps"}}
    yield {"options": {**manifest.options, "state": []}}
    yield {"files": {k: v for k, v in manifest.files.items() if k != SEQUENCE}}


def test_a_manifest_that_says_other_things_is_refused(artifact):
    for change in _altered(artifact):
        with pytest.raises(ValueError, match="steps"):
            replace(artifact.manifest, **change)


def test_a_program_of_other_steps_is_refused(artifact, tmp_path):
    manifest = replace(artifact.manifest, options={**artifact.manifest.options, "steps": T + 1})
    with pytest.raises((UnsafeError, FileError, InputError, edgegate.MismatchError)):
        Artifact(manifest, artifact.files).session().steps(X[: T + 1])


@pytest.mark.parametrize("options", [{"steps": 0, "state": STATE}, {"steps": 4}, {"steps": 1 << 21, "state": STATE}])
def test_impossible_steps(options):
    with pytest.raises(ValueError, match="steps must be 1 to 1048576 of a model with state"):
        CompileOptions(**options)


def test_targets_that_go_step_by_step():
    with pytest.raises(ValueError, match="steps is for llvm, not verilog"):
        edgegate.compile(Leaky(), EXAMPLE, state=STATE, target="verilog", steps=T)
