"""Integer models as netlists: the design computes what the model does."""

from __future__ import annotations

import numpy as np
import pytest

from edgegate import interpreter
from edgegate.errors import CompileError
from edgegate.logic import GroupSum, counts, evaluate
from edgegate.targets._design import design_of
from tests.targets.logic_models import Graph, classifier, network


def computed(design, *bits):
    """What the design gives for rows of bits, by output."""
    values = evaluate(design.netlist, np.concatenate([b.reshape(len(b), -1) for b in bits], 1))
    sums = values if design.sums is None else counts(design.sums, values)
    found = {}
    for out in design.outputs:
        source = values if out.kind == "bits" else sums
        part = source[:, out.start : out.start + out.size]
        found[out.name] = part.argmax(1) if out.kind == "class" else part.reshape(-1, *out.shape)
    return found


def agree(model, *bits):
    design = design_of(model, "c")
    names = [str(v.name) for v in model.graph.inputs]
    expected = interpreter.run(model, dict(zip(names, bits, strict=True)))
    found = computed(design, *bits)
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])
    return design


def bits(rng, *dims):
    return rng.integers(0, 2, dims).astype(np.uint8)


@pytest.mark.parametrize("k", [1, 2, 3, 6])
@pytest.mark.parametrize("batch", [1, 3])
def test_bits_and_sums(k, batch):
    rng = np.random.default_rng(k)
    netlist = network(rng, 9, (20, 12), k)
    assert agree(classifier(netlist, None, batch=batch), bits(rng, batch, 9)).sums is None
    sums = GroupSum.contiguous(12, 5)
    design = agree(classifier(netlist, sums, batch=batch), bits(rng, batch, 9))
    assert (design.batch, design.argmax, design.tau, design.outputs[0].shape) == (batch, False, 1.0, (5,))


def test_moves_around_networks_that_read_each_other():
    """Inverted and constant bits between two networks, rows of one sample, a state beside the class counts."""
    rng = np.random.default_rng(7)
    graph = Graph()
    x, state = graph.input("x", (2, 3, 4)), graph.input("state", (2, 6))
    inner = graph.logic(x, network(rng, 4, (9, 5)), "inner")
    flat = graph.add("Reshape", [inner, np.array([2, 15])], "flat", (2, 15))
    ones = np.ones((2, 1), np.uint8)
    joined = graph.add("Concat", [flat, state, ones], "joined", (2, 22), axis=1)
    outer = graph.logic(joined, network(rng, 22, (30, 18), 3), "outer")
    chosen = graph.add("Gather", [outer, np.array([3, 1, 1, -1])], "next", (2, 4), axis=1)
    model = graph.model(graph.sums(outer, GroupSum.contiguous(18, 3), "counts"), chosen)
    design = agree(model, bits(rng, 2, 3, 4), bits(rng, 2, 6))
    assert [given.start for given in design.inputs] == [0, 12]
    assert [(out.kind, out.start) for out in design.outputs] == [("counts", 0), ("bits", 18)]


def test_the_place_of_the_greatest_sum():
    rng = np.random.default_rng(1)
    design = design_of(classifier(network(rng, 9, (20, 12)), GroupSum.contiguous(12, 4), batch=2, argmax=True), "c")
    (out,) = design.outputs
    assert (out.kind, out.start, out.size, out.shape, design.argmax) == ("class", 0, 4, (), True)


def test_scores_and_thresholds_stand_at_the_edge():
    rng = np.random.default_rng(1)
    graph = Graph()
    x = graph.input("x", (1, 4), np.float32)
    limits = rng.random((1, 3)).astype(np.float32)
    marks = graph.add("Threshold", [x, limits], "marks", (1, 4, 3))
    flat = graph.add("Reshape", [marks, np.array([1, 12])], "flat", (1, 12))
    total = graph.sums(graph.logic(flat, network(rng, 12, (8,)), "y"), GroupSum.contiguous(8, 2), "total")
    tau, beta = np.float32(0.1), np.float32(-2)
    model = graph.model(
        graph.add(
            "Scores",
            [total, tau, beta],
            "scores",
            (1, 2),
            np.float32,
        )
    )
    design = design_of(model, "c")
    assert (design.tau, design.beta) == (float(tau), -2.0)
    assert design.inputs[0].thresholds is not None
    np.testing.assert_array_equal(design.inputs[0].thresholds, np.tile(limits, (4, 1)))


def test_what_is_not_logic_is_listed():
    graph = Graph()
    x = graph.input("x", (1, 4))
    y = graph.add("MaxPool", [x], "pooled", (1, 4))
    z = graph.add("Relu", [y], "positive", (1, 4))
    with pytest.raises(CompileError, match=r"(?s)pooled.*positive.*--target llvm"):
        design_of(graph.model(z), "c")


def test_samples_must_be_alike():
    rng = np.random.default_rng(3)
    graph = Graph()
    x = graph.input("x", (2, 4))
    swapped = graph.add("Gather", [x, np.array([1, 0])], "swapped", (2, 4), axis=0)
    with pytest.raises(CompileError, match="samples"):
        design_of(graph.model(graph.logic(swapped, network(rng, 4, (5,)), "y")), "c")
    graph = Graph()
    x = graph.input("x", (2, 4))
    mixed = graph.add("Transpose", [x], "mixed", (4, 2), perm=[1, 0])
    y = graph.logic(mixed, network(rng, 2, (2,)), "y")
    back = graph.add("Transpose", [y], "back", (2, 4), perm=[1, 0])
    with pytest.raises(CompileError, match="mixes the samples"):
        design_of(graph.model(back), "c")
