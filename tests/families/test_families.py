"""Each family of gates, from torch to integers: recognised, quantized, proved, one answer, near to float."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgegate import stages
from edgegate.graph import GATE, attribute
from tests.families.bench import HOW, answers, floating, inputs, integer, lowered, ratio, session
from tests.families.table import FLOORS, NETS

KEYS = ("family", "activation", "value_activation")
every = pytest.mark.parametrize("how", HOW)


@pytest.mark.parametrize("name", NETS)
def test_gates_and_functions_have_names(name):
    graph = floating(name)[1].graph
    gates = tuple((n.op_type, *(attribute(n, k) for k in KEYS)) for n in graph if n.domain == "edgegate.gate")
    assert gates == NETS[name].gates
    assert tuple(n.op_type for n in graph if n.domain == "edgegate.unary") == NETS[name].unary


@every
@pytest.mark.parametrize("name", NETS)
def test_one_answer(name, how):
    """ONNX Runtime says what the interpreter says, on inputs like those of calibration and far beyond."""
    model = integer(name, how)
    assert stages.prove(model).rescales > 0
    (key,) = (str(v.name) for v in model.graph.inputs)
    feeds = inputs(model, 3, 2)
    feeds += [{key: feed[key] * np.float32(scale)} for feed in feeds for scale in (0, 0.1, 30)]
    engine = session(model)
    for feed, got in zip(feeds, answers(model, feeds), strict=True):
        np.testing.assert_array_equal(engine.run(None, feed)[0], got)


@every
@pytest.mark.parametrize("name", NETS)
def test_integers_are_near_to_float(name, how):
    """8 bits round; in 16 what is left is an error of a rule: a wrong scale or zero point costs 20 dB and more."""
    assert ratio(name, how) > dict(zip(HOW, FLOORS[name], strict=True))[how]


@pytest.mark.parametrize("name", [name for name, net in NETS.items() if net.gates])
def test_gates_keep_their_names(name):
    """Each gated product says what gate it is, before the integer passes and after."""
    for model in (lowered(name, "calibrated"), integer(name, "calibrated")):
        products = [n for n in model.graph if n.op_type == "GatedProduct"]
        said = [json.loads(n.metadata_props[GATE]) for n in products]
        assert [(s.pop("kind"), *(s.pop(k) for k in KEYS)) for s in said] == list(NETS[name].gates)
        assert not any(said)
        for text in (n.metadata_props[GATE] for n in products):
            assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
