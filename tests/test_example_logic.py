"""The example made of gates: what is committed is exact, and as accurate as it says."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from safetensors.torch import save_file

from edgegate import frontend, runtime
from edgegate.nn import hardened, relaxed
from examples import digits, logic_net
from examples.engines import in_onnx_runtime


@pytest.fixture(scope="module")
def images():
    return digits.load()[1].images


def test_the_committed_gates_reach_their_accuracy(images):
    found = logic_net.logits(logic_net.trained(), images)
    assert np.mean(found.argmax(1) == digits.load()[1].labels) >= logic_net.ACCURACY


def test_onnx_runtime_gives_what_torch_gives(images):
    net = logic_net.trained()
    model = ir.to_proto(frontend.load(net, example=(images,))).SerializeToString()
    assert np.array_equal(in_onnx_runtime(model)(images), logic_net.logits(net, images))


def test_the_artifact_gives_what_torch_gives(images):
    net = logic_net.trained()
    artifact = logic_net.compiled(net, images)
    assert np.array_equal(runtime.Session(artifact, threads=1)(images), logic_net.logits(net, images))
    assert 0 < logic_net.gates(artifact) < logic_net.LAYERS * logic_net.WIDTH / 2


def test_the_weights_are_small():
    assert logic_net.WEIGHTS.stat().st_size < 150_000


def test_training_twice_gives_the_same_gates(monkeypatch):
    monkeypatch.setattr(logic_net, "WIDTH", 200)
    first, second, other = (logic_net.train(seed, epochs=2) for seed in (0, 0, 1))
    kept = [logic_net.stored(net) for net in (first, second, other)]
    assert all(torch.equal(kept[0][key], kept[1][key]) for key in kept[0])
    assert not all(torch.equal(kept[0][key], kept[2][key]) for key in kept[0])
    assert {key: (t.dtype, list(t.shape)) for key, t in kept[0].items() if key[0] == "0"} == {
        "0.gates": (torch.uint8, [200]),
        "0.indices": (torch.int16, [200, 2]),
    }


def test_what_is_stored_is_the_network(monkeypatch, tmp_path, images):
    monkeypatch.setattr(logic_net, "WIDTH", 200)
    monkeypatch.setattr(logic_net, "WEIGHTS", tmp_path / "gates.safetensors")
    net = logic_net.train(epochs=2)
    save_file(logic_net.stored(net), logic_net.WEIGHTS)
    found = logic_net.logits(net, images)
    assert np.array_equal(logic_net.logits(logic_net.trained(), images), found)
    assert np.array_equal(logic_net.logits(hardened(net), images), found)
    with relaxed(net):
        assert not np.array_equal(logic_net.logits(net, images), found)
