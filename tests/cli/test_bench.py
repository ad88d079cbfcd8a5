"""``edgegate bench``: a time for every engine asked for, and no time for one that answers otherwise."""

import json

import pytest

from tests import tiny_program as tiny
from tests.cli import models

SCALE = "float s = {0.5}, int8 z = {3}"
EDGES = f"""g (float[1, 8] x) => (float[1, 8] y) <{SCALE}, int8 one = {{%d}}> {{
    q = QuantizeLinear(x, s, z) w = Cast<to = 6>(q) o = Cast<to = 6>(one) t = Add(w, o) r = Cast<to = 3>(t)
    y = DequantizeLinear(r, s, z)
}}"""
"""What the tiny program computes, as a graph; int32 sums, since ONNX Runtime adds no int8."""
FLOAT = "g (float[1, 8] x) => (float[1, 8] y) { y = Neg(x) }"
PEER = ("bench", "m.egate", "--peer", "onnxruntime", "--rounds", "3", "--threads", "1")


@pytest.fixture
def graph(folder):
    """m.egate with the graph that adds this constant."""

    def save(text):
        models.write(folder / "g.onnx", text)
        tiny.artifact(tiny.library(1), more={"model.onnx": (folder / "g.onnx").read_bytes()}).save("m.egate")

    return save


def test_the_program_alone(edgegate, artifact):
    done = edgegate.good("bench", "m.egate", "--rounds", "3")
    assert done.out == ""
    (line,) = done.lines
    assert line.split()[0] == "edgegate"
    assert "ms  (10%: " in line


def test_json_beside_onnx_runtime(edgegate, folder, graph):
    graph(EDGES % 1)
    models.write(folder / "f.onnx", FLOAT)
    found = json.loads(edgegate.good(*PEER, "--float", "f.onnx", "--json").out)
    engines = found.pop("engines")
    assert found == {"schema": 1, "command": "bench", "artifact": "m.egate", "threads": 1, "rounds": 3}
    assert list(engines) == ["edgegate", "onnxruntime-int", "onnxruntime-float"]
    for times in engines.values():
        assert 0 < times["p10_ms"] <= times["median_ms"] <= times["p90_ms"]


def test_a_peer_that_gives_another_answer(edgegate, graph):
    graph(EDGES % 2)
    (line,) = edgegate.refused(4, *PEER)
    assert line.startswith("ONNX Runtime's output 'y' and the program's: 8 of 8 values differ, first at [0, 0]: ")


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (FLOAT.replace("] x", "] z").replace("(x)", "(z)"), 2, "takes z, the artifact x"),
        (FLOAT.replace("1, 8", "1, 9"), 2, "ONNX Runtime refuses it"),
        (FLOAT.replace("=> (float[1, 8] y)", "=> (float[1, 8] y, float[1, 8] x2)").replace("}", "x2 = Abs(x) }"), 4,
         "has 2 outputs, the program 1"),
    ],
)  # fmt: skip
def test_a_graph_that_is_not_the_programs(edgegate, graph, text, code, words):
    graph(text)
    (line,) = edgegate.refused(code, *PEER)
    assert line.startswith("the artifact's model.onnx")
    assert words in line


def test_a_graph_that_is_none(edgegate, folder, artifact):
    (line,) = edgegate.refused(5, *PEER)  # the tiny program's is no ONNX
    assert line.startswith("the artifact's model.onnx: ONNX Runtime refuses it: ")


def test_a_float_model_that_is_none(edgegate, folder, graph):
    graph(EDGES % 1)
    assert edgegate.refused(5, *PEER, "--float", "f.onnx") == ["f.onnx: no such file"]
    (folder / "f.onnx").write_bytes(b"no model")
    (line,) = edgegate.refused(5, *PEER, "--float", "f.onnx")
    assert line.startswith("f.onnx: ONNX Runtime refuses it: ")


def test_wrong_arguments(edgegate, artifact):
    assert edgegate.refused(2, "bench", "m.egate", "--peer", "abacus") == ["--peer: expected onnxruntime, got 'abacus'"]
    assert edgegate.refused(2, "bench", "m.egate", "--float", "f") == ["--float needs --peer onnxruntime"]
    assert "--rounds" in edgegate.misused("bench", "m.egate", "--rounds", "2")
    assert "--threads" in edgegate.misused("bench", "m.egate", "--threads", "0")
