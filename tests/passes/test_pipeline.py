"""The runner names the pass that broke the model, and the check finds what can be broken."""

from functools import partial

import numpy as np
import onnx_ir as ir
import pytest

from edgegate.errors import CompileError
from edgegate.graph import constant, insert
from edgegate.passes import run
from edgegate.stages import floating
from tests.passes.text import parse

TEXT = "g (float[2] x) => (y) { a = Relu (x) y = Neg (a) }"


def nodes(model: ir.Model) -> list[ir.Node]:
    return list(model.graph)


def reverse(model):
    relu, neg = nodes(model)
    model.graph.remove(neg)
    model.graph.insert_before(relu, neg)


def forget_shape(model):
    nodes(model)[0].outputs[0].shape = None


def symbolic_shape(model):
    nodes(model)[0].outputs[0].shape = ir.Shape(["n"])


def forget_dtype(model):
    nodes(model)[0].outputs[0].type = None


def name_twice(model):
    nodes(model)[0].outputs[0].name = "x"


def unknown_domain(model):
    nodes(model)[0].domain = "elsewhere"


def no_function(model):
    model.opset_imports["edgegate.unary"] = 1
    nodes(model)[0].domain = "edgegate.unary"


def dangling(model):
    lost = ir.Value(name="lost", shape=ir.Shape([2]), type=ir.TensorType(ir.DataType.FLOAT))
    nodes(model)[1].replace_input_with(0, lost)


BREAKS = {
    reverse: "reads a, which nothing before it makes",
    forget_shape: "a: has no static shape",
    symbolic_shape: "a: has no static shape",
    forget_dtype: "a: has no dtype",
    name_twice: "is no name of its own",
    unknown_domain: "elsewhere: has no opset import",
    no_function: "has no function in the model",
    dangling: "reads lost, which nothing before it makes",
}


@pytest.mark.parametrize(("step", "said"), BREAKS.items())
def test_the_culprit_is_named(step, said):
    with pytest.raises(AssertionError, match=rf"(?s)pass {step.__name__} broke the model.*{said}"):
        run(parse(TEXT), [lambda model: None, step], floating)


@pytest.mark.parametrize("step", BREAKS)
def test_a_model_that_comes_broken_is_the_users(step):
    model = parse(TEXT)
    step(model)
    with pytest.raises(CompileError):
        run(model, [], floating)


def test_all_problems_are_told():
    model = parse(TEXT)
    forget_shape(model)
    name_twice(model)
    with pytest.raises(CompileError) as error:
        floating(model)
    assert len(error.value.problems) == 2


def test_passes_run_in_order():
    model = parse(TEXT)

    def add(name):
        def step(model):
            last = nodes(model)[-1]
            number = constant(model, name, np.zeros(2, np.float32))
            made = partial(insert, domain="", name=f"{name}_sum", dtype=ir.DataType.FLOAT, dims=(2,))
            made(last, "Add", [last.inputs[0], number])

        return step

    run(model, [add("first"), add("second")], floating)
    assert [n.outputs[0].name for n in model.graph] == ["a", "first_sum", "second_sum", "y"]
