"""The example that was trained in 4 bits: what is committed compiles to integers and reaches its accuracy."""

from __future__ import annotations

import numpy as np

import edgegate
from examples import digits, quantized_conv


def test_the_committed_weights_reach_their_accuracy_in_integers():
    net = quantized_conv.trained()
    _, test = digits.load()
    found = quantized_conv.logits(net, test.images)
    assert np.mean(found.argmax(1) == test.labels) >= quantized_conv.ACCURACY


def test_the_scheme_has_the_trained_scales():
    net = quantized_conv.trained()
    images = digits.calibration()
    _, scheme, report = edgegate.quantize(net, (images[:1],), calib={"": images})
    trained = {float(net.stem.product.act_quant.scale()), float(net.down.gate.output_quant.scale())}
    assert trained <= {s.scale for s in scheme.values.values()}
    assert [gate["family"] for gate in report["gates"].values()] == ["F2", "F2"]


def test_the_weights_are_small():
    assert quantized_conv.WEIGHTS.stat().st_size < 100_000
