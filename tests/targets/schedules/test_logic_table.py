"""Networks of gates as data: the interpreter's kernels give the definition's bits and sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm

from edgegate import interpreter
from edgegate.logic import GroupSum, Netlist
from edgegate.targets.schedules import Cpu, Group
from edgegate.targets.schedules._logic_table import logic_table
from tests.targets.logic_models import Graph, classifier, network
from tests.targets.schedules.kernels import HERE, NATIVE, called, functions_of


def check(models: list[Any], target: Any, threads: int | None = 1) -> None:
    """Every model is one kernel."""
    cpu = Cpu.of(tvm.target.Target(target), threads)
    rng = np.random.default_rng(3)
    made, data = [], []
    for model in models:
        nodes = tuple(model.graph)
        made.append(logic_table(Group(nodes=nodes, anchors=(), output=nodes[-1].outputs[0]), cpu))
        dims = [int(d) for d in model.graph.inputs[0].shape]
        data.append({"x": np.where(rng.random(dims) < 0.5, 0, rng.choice([1, 2, 255], dims)).astype(np.uint8)})
    for i, (function, kernel) in enumerate(zip(functions_of(made, target), made, strict=True)):
        expected = interpreter.run(models[i], data[i])[str(kernel.output.name)]
        np.testing.assert_array_equal(called(function, kernel, data[i], expected), expected, f"case {i}")


@pytest.mark.parametrize("target", HERE)
def test_bits_of_any_number_of_samples(target):
    rng = np.random.default_rng(0)
    sizes = [(1, 70, 65), (63, 5, 3), (65, 64, 64), (513, 17, 130)]
    check([classifier(network(rng, i, (30, o)), None, batch=n) for n, i, o in sizes], target)


@pytest.mark.parametrize("target", HERE)
def test_sums_of_any_number_of_samples(target):
    rng = np.random.default_rng(1)
    cases = []
    for samples, bits, groups in ((1, 40, 10), (64, 33, 4), (530, 7, 7)):
        cases.append(classifier(network(rng, 20, (60, bits), 3), GroupSum.contiguous(bits, groups), batch=samples))
    weights = rng.choice([-(1 << 20), -3, 1, 7, 1000], 12).astype(np.int32)
    group = np.array([0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 3, 3], np.int32)
    member = np.array([0, 1, 2, 3, 0, 1, 4, 5, 6, 7, 7, 0], np.int32)
    offset = np.array([-5, 9, 1 << 29, 0], np.int32)
    odd = GroupSum(bits=8, group=group, member=member, weight=weights, offset=offset)
    check([*cases, classifier(network(rng, 20, (60, 8), 4), odd, batch=70)], target)


def test_all_tables_of_three_inputs():
    tables = np.arange(256, dtype=np.uint64)
    fanins = np.tile(np.array([[1, 2, 3]], np.int32), (256, 1))
    every = Netlist(inputs=3, fanins=fanins, tables=tables, outputs=np.arange(8, 520, 2, dtype=np.int32))
    check(
        [classifier(every, None, batch=100), classifier(every, GroupSum.contiguous(256, 256), batch=64)],
        NATIVE,
    )


def test_threads_share_the_blocks():
    rng = np.random.default_rng(2)
    netlist = network(rng, 64, (2000, 2000, 2000))
    check([classifier(netlist, GroupSum.contiguous(2000, 10), batch=5000)], NATIVE, threads=None)


def test_sums_alone_and_more_axes():
    rng = np.random.default_rng(4)
    graph = Graph()
    alone = graph.model(graph.sums(graph.input("x", (5, 30)), GroupSum.contiguous(30, 4), "y"))
    graph = Graph()
    rows = graph.model(graph.logic(graph.input("x", (3, 50, 6)), network(rng, 6, (20, 5)), "y"))
    x = rng.integers(0, 2, (5, 30)).astype(np.uint8)
    nodes = tuple(alone.graph)
    cpu = Cpu.of(tvm.target.Target(NATIVE), 1)
    kernel = logic_table(Group(nodes=nodes, anchors=(), output=nodes[-1].outputs[0]), cpu)
    expected = interpreter.run(alone, {"x": x})["y"]
    (function,) = functions_of([kernel], NATIVE)
    np.testing.assert_array_equal(called(function, kernel, {"x": x}, expected), expected)
    check([rows], NATIVE)


def test_two_thousand_groups():
    rng = np.random.default_rng(5)
    netlist = network(rng, 30, (500, 4100))
    check([classifier(netlist, GroupSum.contiguous(4100, 2000), batch=66)], NATIVE)
