"""Each family of gates, from torch to integers: recognised, quantized, proved, one answer, near to float."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgegate import stages
from edgegate.graph import GATE, attribute
from tests.families.bench import answers, floating, inputs, integer, lowered, ratio, session
from tests.families.table import NETS

KEYS = ("family", "activation", "value_activation")
either = pytest.mark.parametrize("calibrated", [True, False], ids=["calibrated", "alone"])


@pytest.mark.parametrize("name", NETS)
def test_gates_and_functions_have_names(name):
    graph = floating(name)[1].graph
    gates = tuple((n.op_type, *(attribute(n, k) for k in KEYS)) for n in graph if n.domain == "edgegate.gate")
    assert gates == NETS[name].gates
    assert tuple(n.op_type for n in graph if n.domain == "edgegate.unary") == NETS[name].unary


@either
@pytest.mark.parametrize("name", NETS)
def test_one_answer(name, calibrated):
    """ONNX Runtime says what the interpreter says, on inputs like those of calibration and far beyond."""
    model = integer(name, calibrated)
    assert stages.prove(model).rescales > 0
    (key,) = (str(v.name) for v in model.graph.inputs)
    feeds = inputs(model, 3, 2)
    feeds += [{key: feed[key] * np.float32(scale)} for feed in feeds for scale in (0, 0.1, 30)]
    engine = session(model)
    for feed, got in zip(feeds, answers(model, feeds), strict=True):
        np.testing.assert_array_equal(engine.run(None, feed)[0], got)


@either
@pytest.mark.parametrize("name", NETS)
def test_integers_are_near_to_float(name, calibrated):
    net = NETS[name]
    assert ratio(name, calibrated) > (net.calibrated if calibrated else net.alone)


@pytest.mark.parametrize("name", [name for name, net in NETS.items() if net.gates])
def test_gates_keep_their_names(name):
    """Each gated product says what gate it is, before the integer passes and after."""
    for model in (lowered(name, True), integer(name, True)):
        products = [n for n in model.graph if n.op_type == "GatedProduct"]
        said = [json.loads(n.metadata_props[GATE]) for n in products]
        assert [(s.pop("kind"), *(s.pop(k) for k in KEYS)) for s in said] == list(NETS[name].gates)
        assert not any(said)
        for text in (n.metadata_props[GATE] for n in products):
            assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
