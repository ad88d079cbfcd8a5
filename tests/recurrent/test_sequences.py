"""A sequence at once has the bits of its steps, and its loop holds what waits for the step before, and no more."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch

from edgegate import interpreter
from edgegate.compiler import integer_model
from edgegate.graph import attribute, shape
from edgegate.options import CompileOptions
from edgegate.passes.split_loops import _plan
from edgegate.stages import integer as check
from edgegate.stages.scans import scans
from edgegate.targets._artifact import self_test
from edgegate.targets._edges import outputs_of
from edgegate.targets._sequence import sequence_of, stepped
from edgegate.vectors import Vector
from tests.recurrent import bench
from tests.recurrent.decoding import MODELS, WORDS
from tests.recurrent.table import STEPS
from tests.state.decoders import TOKENS, chosen, decoder, queued, scattered

T = 5


def any_of(model: ir.Model) -> list[Vector]:
    """Inputs of some steps, other ones in each: those of the self-test, their elements in another order."""
    rng, tests = np.random.default_rng(0), self_test(model, None)
    return [
        Vector(inputs={k: rng.permutation(x.reshape(-1)).reshape(x.shape) for k, x in test.inputs.items()}, outputs={})
        for test in (*tests, *tests)
    ]


def split(step: ir.Model, steps: int = T) -> list[list[str]]:
    """The types of nodes in each loop of a sequence, which is sound and has the bits of so many steps."""
    made = sequence_of(step, steps)
    check(made)
    feed, wanted = stepped(step, steps, any_of(step))
    values = interpreter.run(made, feed, keep=True)
    for output, stored in zip(made.graph.outputs, outputs_of(made), strict=True):
        np.testing.assert_array_equal(values[str(stored.name)], wanted[str(output.name)], err_msg=str(output.name))
    return [[n.op_type for n in attribute(scan, "body")] for scan in scans(made)]


LOOPS = {
    "short_conv": [], "wavenet": [], "fsmn": [], "gated_tsm": [], "lgtsm": [],
    "gla": [5], "mamba2": [5], "min_gru": [4], "retnet": [9], "gated_delta_net": [11],
    "gru": [20], "lstm": [19], "mlstm": [6, 10],
}  # fmt: skip
"""How many nodes the loops of some steps have."""


@pytest.mark.parametrize("name", STEPS)
def test_a_sequence_has_the_bits_of_its_steps(name):
    found = split(bench.integer(STEPS[name], 16)[0])
    assert [len(body) for body in found] == LOOPS.get(name, [len(body) for body in found])


def test_the_loop_of_linear_attention_makes_and_reads_its_state():
    (body,) = split(bench.integer(STEPS["gla"], 16)[0], 2)
    assert body == ["GatedProduct", "GatedProduct", "Add", "MatMul16", "Rescale"]


@pytest.mark.parametrize("name", ["short_conv", "fsmn", "lgtsm", "mamba2"])
def test_a_long_queue_is_read_step_by_step(name, monkeypatch):
    step, _ = bench.integer(STEPS[name], 16)
    monkeypatch.setattr(_plan, "WINDOWS", 0)
    assert sum(body.count("Gather") for body in split(step)) == {"fsmn": 2, "lgtsm": 2}.get(name, 1)


def test_the_loop_of_a_gru_holds_no_product_with_its_input():
    step, _ = bench.integer(STEPS["gru"], 16)
    (body,) = split(step, 2)
    assert body.count("MatMul16x8") == 3 and sum(n.op_type == "MatMul16x8" for n in step.graph) == 7
    rows = [n for n in sequence_of(step, T).graph if n.op_type == "MatMul16x8"]
    assert [shape(n.outputs[0]) for n in rows] == [(T, 32)] * 4


@pytest.mark.parametrize("name", MODELS)
def test_a_decoder_of_queues_and_delta_rules(name):
    net = MODELS[name]()
    held = [torch.zeros(dims) for dims in net.states()]
    calib = {"": np.random.default_rng(0).integers(0, WORDS, (16, 1))}
    options = CompileOptions(state={i + 1: i + 1 for i in range(len(held))}, calib=calib)
    step, _, _ = integer_model(net, (torch.zeros(1, dtype=torch.int64), *held), options)
    found = split(step)
    assert [body.count("MatMul16") for body in found] == {"lfm2_like": [], "delta_like": [2, 2]}[name]
    assert not any("MatMul16x8" in body for body in found)


@pytest.mark.parametrize("put", [queued, chosen, scattered])
def test_a_decoder_of_caches(put):
    net, example = decoder(put)
    calib = {"": np.random.default_rng(0).integers(0, TOKENS, (2, 16))}
    options = CompileOptions(state={i: i for i in range(1, len(example))}, calib=calib)
    step, _, _ = integer_model(net, example, options)
    assert not any("MatMul16x8" in body for body in split(step))
