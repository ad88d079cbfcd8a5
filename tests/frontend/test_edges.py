"""Inputs and outputs that no program can have are named, with their type and what to do."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from edgegate.errors import CompileError
from edgegate.frontend import load
from edgegate.graph import shape

FLOAT = "call model.float() and export again with a float32 example"
CONVERT = "convert it to float32 before the model, and export with a float32 example"


def problems(text: str, folder: Path) -> list[str]:
    path = folder / "m.onnx"
    path.write_bytes(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> {text}').SerializeToString())
    with pytest.raises(CompileError) as error:
        load(path)
    return str(error.value).splitlines()


TAKEN = "a program takes float32, int64, int32 or bool"


@pytest.mark.parametrize(
    ("dtype", "name", "fix"),
    [
        ("string", "string", "turn text into numbers before the model, and export with a float32 example"),
        ("float16", "float16", FLOAT),
        ("bfloat16", "bfloat16", FLOAT),
        ("double", "float64", FLOAT),
        ("complex64", "complex64", "let the model take real and imaginary part as float32"),
        ("uint8", "uint8", CONVERT),
        ("float8e5m2", "float8e5m2", CONVERT),
    ],
)
def test_types_of_inputs(dtype: str, name: str, fix: str, tmp_path: Path) -> None:
    said = problems(f"g ({dtype}[1, 4] x, float[1] z) => ({dtype}[1, 4] y) {{ y = Identity(x) }}", tmp_path)
    assert said == [f"input x: is {name}, {TAKEN}; {fix}"]


def test_all_inputs_at_once(tmp_path: Path) -> None:
    said = problems("""g (uint8[1, 4] ids, int16[2] rest, int64[1] place) => (float[1, 4, 2] y)
        <float[3, 2] w = {1, 2, 3, 4, 5, 6}> 
        { c = Cast<to = 7>(ids) e = Gather(w, c) y = Sigmoid(e) }""", tmp_path)  # fmt: skip
    assert said == [
        f"input ids: is uint8, {TAKEN}; {CONVERT}",
        f"input rest: is int16, {TAKEN}; nothing reads it: leave it out of the model",
    ]


def test_no_input(tmp_path: Path) -> None:
    said = problems("g () => (float[2] y) <float[2] w = {1, 2}> { y = Relu(w) }", tmp_path)
    assert said == ["the model: has no input, so its outputs are constants; export it with an input"]


NOTHING = "is input x itself: there is nothing to compute; leave it out of the model's outputs"
CONSTANT = "is a constant, the same for every input; leave it out of the model's outputs"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("y = Identity(x) }", f"output y: {NOTHING}"),
        ("a = Identity(x) y = Dropout(a) }", f"output y: {NOTHING}"),
        ("y = Concat<axis = 1>(x, none) }", f"output y: {NOTHING}"),
        ("y = Constant<value_floats = [1.0]>() }", f"output y: {CONSTANT}"),
        ("s = Shape(x) y = Cast<to = 1>(s) }", f"output y: {CONSTANT}"),
        ("y = Identity(w) }", f"output y: {CONSTANT}"),
    ],
)
def test_outputs_that_nothing_computes(body: str, said: str, tmp_path: Path) -> None:
    text = f"g (float[1, 2] x) => (float[1, 2] y) <float[2] w = {{1, 2}}, float[1, 0] none = {{}}> {{ {body}"
    assert problems(text, tmp_path) == [said]


def test_inputs_and_weights_listed_as_outputs(tmp_path: Path) -> None:
    said = problems("""g (float[1, 2] x) => (float[1, 2] x, float[2] w, float[1, 2] y, float[1, 2] y)
        <float[2] w = {1, 2}> { y = Sigmoid(x) }""", tmp_path)  # fmt: skip
    twice = "output y: is listed twice; leave it out of the model's outputs"
    assert said == [f"output x: {NOTHING}", f"output w: {CONSTANT}", twice]


def test_quantized_models(tmp_path: Path) -> None:
    said = problems("""g (float[1, 4] x) => (float[1, 4] y)
        { q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z) }""", tmp_path)  # fmt: skip
    assert len(said) == 1
    start = "q (DynamicQuantizeLinear, m.onnx): the model is quantized, but not by QuantizeLinear and DequantizeLinear"
    assert said[0].startswith(start)


def test_quantized_weights_stay_quantized(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
        g (float[1, 2] x) => (float[1, 2] y) <int8[2, 2] w = {1, 2, 3, 4}, float s = {0.5}>
        { d = DequantizeLinear(w, s) y = MatMul(x, d) }""").SerializeToString())  # fmt: skip
    model = load(path)
    assert [n.op_type for n in model.graph] == ["DequantizeLinear", "MatMul"]
    assert shape(model.graph.outputs[0]) == (1, 2)


OF_DATA = "its inputs do not fit, or its output's shape depends on data; make its shape constant in the model"
BODY = "(int64 k, bool c, float[1, 4] v) => (bool d, float[1, 4] w) { d = Identity(c) w = Exp(v) }"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "a = Cast<to = 11>(x) b = Sigmoid(a) y = Cast<to = 1>(b)",
            f"a (Cast, m.onnx): computes in float64, a program in float32 alone; {FLOAT}",
        ),
        (
            "a = Sigmoid(x) y = Slice(a, i, i, i)",
            "y (Slice, m.onnx): makes a tensor without elements, of shape [1, 0]; leave it out of the model",
        ),
        (
            "a = Relu(x) y = Add(a, n)",
            "y (Add, m.onnx): Add of float32, int64: its inputs must have one type; cast them to float32",
        ),
        ("a = NonZero(x) b = Cast<to = 1>(a) y = Relu(b)", f"a (NonZero, m.onnx): NonZero of [1,4]: {OF_DATA}"),
        ("a = Relu(x) y = MatMul(a, x)", f"y (MatMul, m.onnx): MatMul of [1,4], [1,4]: {OF_DATA}"),
        (
            f"s = ReduceSum <keepdims = 0> (x) m = Cast <to = 7> (s) y = Loop(m, , x) <body = b {BODY}>",
            "y (Loop, m.onnx): a loop whose number of steps depends on data; count its steps by a number that the "
            "model knows, as in `for i in range(8)`; or export one step, with the state as input and output",
        ),
    ],
)
def test_values_that_no_program_computes(body: str, said: str, tmp_path: Path) -> None:
    """Of a node that no shape is known for, and all that follow from it, the first alone is reported."""
    text = f"g (float[1, 4] x) => (float[1, 4] y) <int64[1] i = {{1}}, int64 n = {{2}}> {{ {body} }}"
    assert problems(text, tmp_path) == [said]


def test_an_empty_part_of_a_concat_is_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
        g (float[1, 4] x) => (float[1, 4] y) <int64[1] i = {1}>
        { a = Sigmoid(x) b = Slice(a, i, i, i) y = Concat<axis = 1>(a, b) }""").SerializeToString())  # fmt: skip
    assert shape(load(path).graph.outputs[0]) == (1, 4)


def test_every_open_dimension(tmp_path: Path) -> None:
    said = problems("g (float[N, C, T] x, float[1, T] z) => (float[N, C, T] y) { y = Add(x, z) }", tmp_path)
    sizes = [line.partition(";")[0] for line in said]
    assert sizes == [
        "input x, dimension 1: has no size (C)",
        "input x, dimension 2: has no size (T)",
        "input z, dimension 1: has no size (T)",
    ]
