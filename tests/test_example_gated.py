"""The always-on detector: what its integer program does with images that nothing has seen."""

from __future__ import annotations

import onnx
import pytest

from edgegate.point import curves
from examples import gated_detector


@pytest.fixture(scope="module")
def artifact():
    return gated_detector.compiled(gated_detector.trained(gated=True))


def test_nine_of_ten_negatives_stop_at_a_point_of_accuracy(artifact):
    found = gated_detector.measured(artifact)
    plain = gated_detector.measured(gated_detector.compiled(gated_detector.trained(gated=False)))
    assert plain.stopped == 0 and plain.accuracy > 0.98
    assert found.stopped >= gated_detector.STOPPED
    assert found.accuracy >= plain.accuracy - gated_detector.LOST


def test_the_operating_point_moves(artifact):
    strict, loose = (gated_detector.measured(artifact, f"recall={r}") for r in (0.8, 1.0))
    assert strict.stopped >= loose.stopped and strict.lost >= loose.lost
    curve = curves(artifact)["gate_0"]
    assert curve.recalls[0] == 1 and curve.stops[-1] >= gated_detector.STOPPED


def test_masked_channels_are_not_in_the_program(artifact):
    graph = onnx.load_model_from_string(artifact.files["model.onnx"]).graph
    sizes = {w.name: list(w.dims) for w in graph.initializer}
    convolutions = [sizes[n.input[1]] for n in graph.node if n.op_type == "Conv2d"]
    kept = gated_detector.kept(gated_detector.trained(gated=True))
    assert 0 < kept < gated_detector.FIRST
    assert (convolutions[0][0], convolutions[1][-1]) == (kept, kept)
