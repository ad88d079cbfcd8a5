"""Decoding with caches: each step the same bits everywhere, near the float model, and the same next tokens."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch

import edgegate
from edgegate import interpreter
from tests.state.decoders import STEPS, TOKENS, chosen, decoder, queued, scattered

DATA = np.random.default_rng(0).integers(0, TOKENS, (4, STEPS))
CASES = {"queued": (queued, 2, None), "chosen": (chosen, 1, None), "scattered": (scattered, 1, 16)}
"""Name -> how rows are put, layers, steps at once."""


@pytest.fixture(scope="module", params=CASES)
def case(request):
    put, layers, steps = CASES[request.param]
    net, example = decoder(put, layers)
    state = {i: i for i in range(1, len(example))}
    return net, example, edgegate.compile(net, example, state=state, calib={"": DATA[:3]}, steps=steps)


def engines(artifact):
    """One integer graph in the interpreter and in ONNX Runtime."""
    data = artifact.files["model.onnx"]
    model, session = ir.from_proto(onnx.load_from_string(data)), onnxruntime.InferenceSession(data)
    names = [spec.name for spec in artifact.manifest.outputs]
    yield lambda feed: interpreter.run(model, feed)
    yield lambda feed: dict(zip(names, session.run(None, feed), strict=True))


def test_steps_are_the_same_bits_everywhere(case):
    *_, artifact = case
    (token,) = [s.name for s in artifact.manifest.inputs if s.name not in dict(artifact.manifest.states)]
    (scores,) = [s.name for s in artifact.manifest.shown]
    found = artifact.session().steps(DATA[3, :12, None])
    for run in engines(artifact):
        held = {s.name: np.zeros(s.shape, s.dtype) for s in artifact.manifest.inputs if s.name != token}
        for x, wanted in zip(DATA[3, :12, None], found, strict=True):
            made = run({token: x, **held})
            held = {before: made[after] for before, after in artifact.manifest.states}
            assert np.array_equal(made[scores], wanted)


def test_scores_and_next_tokens_are_those_of_the_float_model(case):
    net, (_, *held), artifact = case
    rows = []
    with torch.no_grad():
        for token in DATA[3]:
            y, *held = net(torch.tensor([token]), *held)
            rows.append(y.numpy())
    session = artifact.session()
    found, wanted = session.steps(DATA[3, :, None]), np.stack(rows)
    noise = np.mean(np.square(found - wanted))
    assert 10 * np.log10(np.mean(np.square(wanted)) / noise) >= 35
    assert np.mean(found.argmax(-1) == wanted.argmax(-1)) >= 0.95
    assert session.state["place"].tolist() == [STEPS]
    kept = [spec.stored_dtype for spec in artifact.manifest.inputs if spec.name.startswith("caches")]
    assert set(kept) == {"int8"}


def test_a_prompt_at_once_is_the_prompt_step_by_step(case):
    *_, artifact = case
    if not artifact.manifest.steps:
        return
    whole, single = artifact.session(), artifact.session()
    prompt = DATA[2, : 2 * 16 + 3, None]
    assert np.array_equal(whole.steps(prompt), np.stack([single.step(x) for x in prompt]))
    assert all(np.array_equal(single.state[name], array) for name, array in whole.state.items())
