"""Loops keep what waits for the step before: integer ONNX text before and after, and the bits of a Scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes import common

from edgegate import interpreter
from edgegate.graph import array, attribute, shape
from edgegate.passes.drop_unread import drop_unread
from edgegate.passes.join_moves import join_moves
from edgegate.passes.split_loops import split_loops
from edgegate.stages import integer
from edgegate.stages.loops import LOOP
from edgegate.stages.scans import roll
from tests.passes.text import HEADER, lines

T = 4
HALF = "edgegate.Rescale <input_zero_point = 0, output_zero_point = 0, low = -128, high = 127, to = 3>"
FACTOR = "int32[1] one = {1073741824}, int32[1] by = {31}"


def loop(states: str, elements: str, constants: str, nodes: str, results: str, many: int = 1) -> ir.Model:
    """A loop of T steps, laid flat: states ``name[dims]``, elements, what a step does, and what it makes."""
    held, read = (dict(part.rstrip("]").split("[") for part in text.split("; ") if part) for text in (states, elements))
    given = ", ".join([f"int8[{d}] {n}0" for n, d in held.items()] + [f"int8[{T}, {d}] {n}s" for n, d in read.items()])
    made = [f"{n}9" for n in held] + [f"y{i}" for i in range(many)]
    text = f"""g ({given}) => ({", ".join(f"int8[N] {n}" for n in made)}) <{constants}> {{
        {", ".join([*held, *read])} = edgegate.loop.Begin <loop = "l", states = {len(held)}> (
            {", ".join([f"{n}0" for n in held] + [f"{n}s" for n in read])})
        {nodes}
        {", ".join(made)} = edgegate.loop.End <loop = "l", states = {len(held)}> ({results})
    }}"""
    model = ir.from_onnx_text(HEADER.replace('"edgegate" : 1', '"edgegate" : 1, "edgegate.loop" : 1') + text)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    _typed(model)
    return model


def _typed(model: ir.Model) -> None:
    """Shapes and types, those that the interpreter finds in one step."""
    values: dict[str, Any] = {str(v.name): np.zeros(shape(v), np.int8) for v in model.graph.inputs}
    values |= {str(n): array(v) for n, v in model.graph.initializers.items()}
    for node in model.graph:
        states = attribute(node, "states", 0)
        given = [values[str(v.name)] for v in node.inputs if v is not None]
        if node.domain != LOOP:
            found = interpreter.evaluate(node, given)
        elif node.op_type == "Begin":
            found = tuple(x if i < states else x[0] for i, x in enumerate(given))
        else:
            found = tuple(x if i < states else np.stack([x] * T) for i, x in enumerate(given))
        for value, data in zip(node.outputs, found, strict=True):
            values[str(value.name)] = data
            value.shape, value.dtype = ir.Shape(data.shape), ir.DataType.from_numpy(data.dtype)


def check(model: ir.Model) -> tuple[ir.Model, list[str]]:
    """The split model and what its loops hold; it is sound, and has the bits of one Scan."""
    whole, rng = model.clone(), np.random.default_rng(0)
    roll(whole)
    for step in (split_loops, join_moves, drop_unread):
        step(model)
        integer(model)
    scanned = model.clone()
    roll(scanned)
    for _ in range(3):
        feed = {str(v.name): rng.integers(-128, 128, shape(v)).astype(np.int8) for v in whole.graph.inputs}
        wanted, found = interpreter.run(whole, feed), interpreter.run(scanned, feed)
        assert list(found) == list(wanted)
        for name, data in wanted.items():
            np.testing.assert_array_equal(found[name], data, err_msg=name)
    begins = [n for n in model.graph if n.op_type == "Begin"]
    ends = [n for n in model.graph if n.op_type == "End"]
    nodes, kinds = list(model.graph), []
    for begin, end in zip(begins, ends, strict=True):
        kinds.append(" ".join(n.op_type for n in nodes[nodes.index(begin) + 1 : nodes.index(end)]))
    return model, kinds


def test_what_is_made_of_the_input_alone_is_a_batch():
    model, held = check(loop("", "x[1, 3]", FACTOR, f"a = {HALF} (x, one, by)", "a"))
    assert held == []
    assert [line.split("<")[0] for line in lines(model)] == [
        "x_rows = ::Reshape", "a_made = edgegate::Rescale", "y0 = ::Reshape"
    ]  # fmt: skip
    assert [shape(n.outputs[0]) for n in model.graph] == [(T, 3), (T, 3), (T, 1, 3)]


def test_a_loop_keeps_what_waits_for_the_step_before():
    nodes = f"""
        u = {HALF} (x, one, by)
        n = Max (h, u)
        v = {HALF} (n, one, by)"""
    model, held = check(loop("h[1, 3]", "x[1, 3]", FACTOR, nodes, "n, v"))
    assert held == ["Max"]
    assert [n.op_type for n in model.graph if n.op_type == "Rescale"] == ["Rescale"] * 2


def test_loops_that_wait_for_each_other_stand_in_a_row():
    nodes = f"""
        n = Max (h, x)
        u = {HALF} (n, one, by)
        m = Min (g, u)"""
    assert check(loop("h[1, 3]; g[1, 3]", "x[1, 3]", FACTOR, nodes, "n, m, m"))[1] == ["Max", "Min"]


def test_a_state_of_the_step_before_is_no_reason_to_wait():
    nodes = f"""
        u = {HALF} (x, one, by)
        y = Max (h, u)"""
    assert check(loop("h[1, 3]", "x[1, 3]", FACTOR, nodes, "u, y"))[1] == []
    nodes = f"""
        y = Max (h, g)
        u = {HALF} (x, one, by)"""
    assert check(loop("h[1, 3]; g[1, 3]", "x[1, 3]", FACTOR, nodes, "g, u, y"))[1] == []
    nodes = f"""
        y = Max (h, x)
        u = Max (g, x)
        v = {HALF} (x, one, by)"""
    assert check(loop("h[1, 3]; g[1, 3]", "x[1, 3]", FACTOR, nodes, "u, v, y"))[1] == []


QUEUES = {
    "behind": ("q[1, 2, 3]", "x[1, 1, 3]", "int64[2] at = {1, 2}", """
        w = Concat <axis = 1> (q, x)
        n = Gather <axis = 1> (w, at)
        y = ReduceMax""", "w"),
    "before": ("q[1, 3, 4]", "x[1, 3, 1]", "int64[3] at = {1, 2, 3}", """
        k = Gather <axis = 2> (q, at)
        n = Concat <axis = 2> (k, x)
        y = ReduceMax""", "n"),
    "two at once": ("q[1, 5, 3]", "x[1, 2, 3]", "int64[3] at = {2, 3, 4}", """
        k = Gather <axis = 1> (q, at)
        n = Concat <axis = 1> (k, x)
        y = ReduceMax""", "q"),
    "no batch": ("q[4, 3]", "x[1, 3]", "int64[2] sizes = {1, 3}", """
        f, k = Split <axis = 0> (q, sizes)
        n = Concat <axis = 0> (k, x)
        y = ReduceMax""", "n"),
}  # fmt: skip


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_is_no_reason_to_wait(name):
    states, elements, constants, nodes, read = QUEUES[name]
    nodes = nodes.replace("ReduceMax", f"edgegate.ReduceMax <axes = [1], keepdims = 0> ({read})")
    model, held = check(loop(states, elements, constants, nodes, "n, y"))
    assert held == [] and "Concat" in [n.op_type for n in model.graph]


def test_a_queue_of_what_it_makes_itself_waits():
    nodes = """
        k = Gather <axis = 1> (q, at)
        f = Gather <axis = 1> (q, first)
        r = Max (f, x)
        n = Concat <axis = 1> (k, r)"""
    constants = "int64[2] at = {1, 2}, int64[1] first = {0}"
    assert check(loop("q[1, 3, 2]", "x[1, 1, 2]", constants, nodes, "n, r"))[1] == ["Gather Gather Max Concat"]


@pytest.mark.parametrize("at", ["2, 1", "0, 2"])
def test_rows_that_are_out_of_order_are_no_queue(at):
    nodes = """
        w = Concat <axis = 1> (q, x)
        n = Gather <axis = 1> (w, at)"""
    (held,) = check(loop("q[1, 2, 2]", "x[1, 1, 2]", f"int64[2] at = {{{at}}}", nodes, "n, w"))[1]
    assert held.startswith("Concat Gather")


FORMS = {
    "a row beside a batch": ("x[3]; z[1, 2, 3]", "", "y = Max (z, x)"),
    "no batch of one": ("x[2, 3]", "", "y = Transpose <perm = [1, 0]> (x)"),
    "the batch is moved": ("x[1, 3]", "", "y = Transpose <perm = [1, 0]> (x)"),
    "along the batch": ("x[1, 3]; z[1, 3]", "", "y = Concat <axis = 0> (x, z)"),
    "beside a constant": ("x[1, 3]", "int8[1, 2] c = {7, 8}", "y = Concat <axis = 1> (c, x)"),
    "places of a constant": ("x[1, 3]", "int64[2, 2] at = {0, 2, -1, 1}", "y = Gather <axis = 1> (x, at)"),
    "places along the batch": ("x[2, 3]", "int64[3] at = {1, 0, 1}", "y = Gather <axis = 0> (x, at)"),
    "the greatest of a column": ("x[2, 3]", "", "y = edgegate.ReduceMax <axes = [0], keepdims = 1> (x)"),
    "a new shape": ("x[2, 3]", "int64[3] d = {1, 3, 2}", "y = Reshape <allowzero = 0> (x, d)"),
    "parts": ("x[1, 3]", "int64[2] s = {1, 2}", "y, z = Split <axis = -1> (x, s)"),
}


@pytest.mark.parametrize("name", FORMS)
def test_all_steps_of_an_op_at_once(name):
    elements, constants, node = FORMS[name]
    assert check(loop("", elements, constants or FACTOR, node, "y"))[1] == []


def test_an_op_without_a_form_stays_in_a_loop():
    nodes = """
        p = Cast <to = 7> (i)
        y = Gather <axis = 1> (x, p)"""
    held = check(loop("", "x[1, 300]; i[2]", FACTOR, nodes, "y"))[1]
    assert held == ["Cast Gather"]  # the places are wider than what they are made of
