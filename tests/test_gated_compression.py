"""Gated Compression from training to the program: the layer, its bits, its thresholds, its curves."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import edgegate
from edgegate.artifact import Artifact
from edgegate.errors import CompileError, InputError, UnsafeError
from edgegate.gates import Labelled, curve, recalibrate
from edgegate.manifest import FileEntry
from edgegate.nn import GatedCompression, gate_losses
from edgegate.point import CURVES, Curve, curves, thresholds
from tests.gated_nets import Gated, gated


@pytest.fixture(scope="module")
def two():
    """A network with two cuts, compiled for four samples a call, samples, and labels that its gates half know."""
    net, x = gated(cuts=2, mask="dynamic")
    with torch.no_grad():
        net.eval()(x)
    rng = np.random.default_rng(0)
    labels = (net.cuts[0].logits[:, 0].numpy() + rng.normal(0, 0.05, len(x)) > 0).astype(np.int64)
    data = {"x": x.numpy()}
    artifact = edgegate.compile(net, (x[:4],), batch=4, calib=data, gate_data={**data, "labels": labels}, recall=0.9)
    return artifact, x.numpy(), labels


def test_impossible_arguments():
    for wrong in ({"theta": 1.0}, {"alpha": -1.0}, {"beta": -1.0}, {"mask": "soft"}, {"pool": "max"}, {"axis": 0}):
        with pytest.raises(ValueError, match=r"theta lies|impossible"):
            GatedCompression(**wrong)
    with pytest.raises(ValueError, match="after a forward pass"):
        gate_losses(nn.Linear(2, 2), torch.ones(2))
    net, _ = gated()
    with pytest.raises(ValueError, match="3 labels for 64 samples"):
        gate_losses(net, torch.ones(3))


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.Adam])
@pytest.mark.parametrize("mask", ["static", "dynamic", "none"])
def test_any_optimiser_trains_gates_and_masks(optimiser, mask):
    torch.manual_seed(0)
    net, x = Gated(mask=mask).train(), torch.rand(64, 1, 6, 6)
    positive = x.mean((1, 2, 3)) > 0.5
    net(x)
    steps = optimiser(net.parameters(), lr=0.3 if optimiser is torch.optim.SGD else 0.03)
    losses = []
    for _ in range(60):
        steps.zero_grad()
        net(x)
        found = gate_losses(net, positive)
        found.total.backward()
        steps.step()
        losses.append((float(found.gate.detach()), float(found.sparsity.detach())))
    assert losses[-1][0] < 0.8 * losses[0][0]
    assert losses[-1][1] < losses[0][1] or mask == "none"
    assert net.cuts[0].gate_weight.grad is not None


def test_the_gradient_of_a_mask_goes_straight_through():
    layer = GatedCompression(beta=0).train()
    x = torch.rand(4, 3, 2, 2)
    layer(x)
    with torch.no_grad():
        layer.mask_bias.copy_(torch.tensor([1.0, -0.5, 0.2]))
    y = layer(x)
    assert torch.allclose(y, x * torch.tensor([1.0, 0.0, 1.0])[:, None, None])
    y.sum().backward()
    soft = torch.sigmoid(layer.mask_bias)
    assert torch.allclose(layer.mask_bias.grad, x.sum((0, 2, 3)) * soft * (1 - soft))
    assert layer.kept().tolist() == [True, False, True]


def test_weights_load_into_a_layer_that_saw_nothing():
    net, x = gated()
    fresh = Gated()
    fresh.load_state_dict(net.state_dict())
    assert torch.equal(fresh.eval()(x), net(x))


def test_features_of_rows_and_of_tokens():
    for layer, dims in ((GatedCompression(), (5, 7)), (GatedCompression(axis=-1, mask="dynamic"), (5, 4, 7))):
        assert layer(torch.rand(dims)).shape == dims
        assert layer.logits is not None and layer.logits.shape == (5, 1)
        assert layer.gate_weight.shape == (1, 7)


def test_bits_go_out_beside_the_result(two):
    artifact, x, _ = two
    names = [spec.name for spec in artifact.manifest.outputs]
    assert names[1:] == ["gate_0", "gate_1"]
    y, first, second = artifact(x[:7])
    assert (y.shape, first.shape, second.dtype) == ((7, 2), (7, 1), np.bool_)
    assert artifact.verify() == 3


def test_calibration_keeps_the_recall_of_both_gates(two):
    artifact, x, labels = two
    _, first, second = artifact(x)
    going = (first & second)[:, 0]
    assert going[labels == 1].mean() >= 0.9
    assert going[labels == 0].mean() < 0.9


def test_every_point_of_a_curve_is_what_the_program_does(two):
    artifact, x, labels = two
    known = curves(artifact)
    session = artifact.session(threads=1)
    for gate in ("gate_0", "gate_1"):
        points = list(zip(known[gate].thresholds, known[gate].recalls, known[gate].stops, strict=True))
        for threshold, recall, stop in points[:: max(len(points) // 5, 1)]:
            session.thresholds[f"{gate}.threshold"][0] = threshold
            bits = session.run({"x": x})[gate][:, 0]
            assert (bits[labels == 1].mean(), 1 - bits[labels == 0].mean()) == pytest.approx((recall, stop), abs=1e-12)


def test_operating_points(two):
    artifact, x, _ = two
    chosen = thresholds(artifact, "recall=1")
    assert {name: int(a[0]) for name, a in chosen.items()} == {f"{g}.threshold": c.thresholds[0] for g, c in
                                                               curves(artifact).items()}  # fmt: skip
    assert thresholds(artifact, "gate_1=-5")["gate_1.threshold"].tolist() == [-5]
    assert thresholds(artifact, {"gate_0": 3})["gate_0.threshold"].dtype == np.int32
    moved = artifact.session(operating_point={"gate_0": 2**31 - 1, "gate_1": -(2**31)})
    assert [bits.mean() for bits in moved(x)[1:]] == [0, 1]
    for wrong in ("recall=0", "recall=x", "5", "gate_7=1", "gate_0=1e3", "gate_0=99999999999"):
        with pytest.raises(InputError, match=r"operating point|no gate|past what"):
            thresholds(artifact, wrong)


def test_recalibration_needs_no_compiler(two):
    artifact, x, labels = two
    again = recalibrate(artifact, {"x": x}, labels == 0, recall=0.8)
    assert again.files["program.so"] == artifact.files["program.so"]
    assert again.manifest.operating_point != artifact.manifest.operating_point
    _, first, second = again(x)
    assert (first & second)[labels == 0].mean() >= 0.8
    for data, marks in ((x[:3], labels), (x, np.zeros(len(x))), (x, labels + 1)):
        with pytest.raises(ValueError, match="labels"):
            recalibrate(artifact, data, marks)
    with pytest.raises(InputError, match="expected the inputs x"):
        recalibrate(artifact, {"y": x, "z": x}, labels)
    with pytest.raises(ValueError, match="recall lies"):
        recalibrate(artifact, x, labels, recall=1.5)


def test_curves_that_were_altered_are_refused(two):
    artifact, _, _ = two
    for text in (b"[]\n", b'{\n "gate_0": 1\n}\n', artifact.files[CURVES].replace(b"1.0", b"2.0")):
        files = {**artifact.files, CURVES: text}
        manifest = replace(artifact.manifest, files={n: FileEntry.of(c) for n, c in files.items()})
        with pytest.raises(UnsafeError, match=CURVES):
            thresholds(Artifact(manifest, files), "recall=0.9")
    for point in ({"nothing": 1}, {"x": 1}, {"gate_0.threshold": 1 << 40}, {"gate_0.threshold": "1"}):
        with pytest.raises(ValueError, match=r"threshold|cannot be|operating_point"):
            replace(artifact.manifest, options={**artifact.manifest.options, "operating_point": point})


def test_curves_are_exact_and_monotone():
    values, positive = np.array([5, 3, 3, -2, 9, 3, 0]), np.array([1, 1, 0, 0, 1, 0, 0], np.bool_)
    found = curve(values, positive)
    assert found.thresholds == (2, 4, 8, 9)
    assert found.recalls == pytest.approx((1, 2 / 3, 1 / 3, 0))
    assert found.stops == (0.5, 1, 1, 1)
    assert [found.at(r) for r in (1.0, 0.7, 2 / 3, 0.5, 0.01)] == [0, 0, 1, 1, 2]
    assert Curve.of(json.loads(json.dumps(found.document()))) == found
    with pytest.raises(ValueError, match="recall falls"):
        Curve(thresholds=(1, 2), recalls=(0.5, 1.0), stops=(0.0, 0.0))
    with pytest.raises(InputError, match="no positive sample"):
        curve(values, np.zeros(7, np.bool_))
    assert Labelled(data={"": values}, positive=np.array([1, 0, 0, 0, 0, 0, 1])).positive.dtype == np.bool_


class Cut(nn.Module):
    """A cut by any condition on the features' layer."""

    def __init__(self, condition, outputs=1) -> None:
        super().__init__()
        self.layer, self.head, self.condition = nn.Linear(4, 6), nn.Linear(6, outputs), condition

    def forward(self, x):
        x = torch.relu(self.layer(x))
        return torch.ops.edgegate.stage_gate(x, self.condition(self.head(x))) * 2


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (lambda z: z > z.abs(), "no comparison of a logit with a constant"),
        (lambda z: torch.sin(9 * z) > 0.2, "rises and falls"),
        (lambda z: torch.sigmoid(z) > 2, "always open, or never"),
    ],
)
def test_gates_that_no_threshold_can_hold(condition, message):
    torch.manual_seed(0)
    x = torch.rand(8, 4)
    with pytest.raises(CompileError, match=message) as caught:
        edgegate.compile(Cut(condition), (x[:1],), calib={"": x.numpy()})
    assert "test_gated_compression.py" in str(caught.value)
