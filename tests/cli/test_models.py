"""Models and arguments that cannot be compiled: a line per problem, the right exit code, and no file."""

from typing import Any

import numpy as np
import pytest
import torch

from tests.cli import models
from tests.frontend import corpus, nets

COMMANDS = ("compile", "quantize")
NAN = np.array([[np.nan, 1], [2, 3], [4, 5], [np.inf, 6]], np.float32)


@pytest.fixture(params=COMMANDS)
def command(request):
    return request.param


@pytest.fixture
def net(folder):
    """net.onnx, a good one."""
    models.write(folder / "net.onnx")


def test_a_model_that_is_not_there(edgegate, command):
    (line,) = edgegate.refused(5, command, "net.onnx")
    assert line == "net.onnx: No such file or directory"


def test_every_unsupported_op_is_listed_at_once(edgegate, command, folder):
    ops = "a = Hardmax(x) b = ReduceProd <keepdims = 1> (a, k) c = Add(x, b) y = Shrink(c)"
    models.write(folder / "net.onnx", f"g (float[2, 4] x) => (float[2, 4] y) <int64[1] k = {{1}}> {{ {ops} }}")
    lines = edgegate.refused(3, command, "net.onnx")
    assert [line.partition(" of ")[0] for line in lines] == [
        "a (Hardmax, net.onnx): Hardmax",
        "b (ReduceProd, net.onnx): ReduceProd",
        "y (Shrink, net.onnx): Shrink",
    ]
    assert all("no integer form" in line for line in lines)


def test_weights_that_are_no_numbers(edgegate, command, folder):
    models.write(folder / "net.onnx", w=NAN, v=NAN[::-1])
    assert edgegate.refused(3, command, "net.onnx") == [
        "tensor w: 2 of 8 elements are NaN or infinite; train again or repair the weights",
        "tensor v: 2 of 8 elements are NaN or infinite; train again or repair the weights",
    ]


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("pt_whole_module", 7, "edgegate.save"),
        pytest.param(
            "pt_torchscript", 7, "TorchScript", marks=pytest.mark.filterwarnings("ignore::DeprecationWarning")
        ),
        ("pt_reduce", 7, "edgegate.save"),
        ("onnx_external_symlink", 7, "link"),
        ("file_fifo", 5, "regular file"),
    ],
)
def test_files_that_could_do_harm(edgegate, command, folder, kind, code, words):
    path = corpus.KINDS[kind][0](folder)
    (line,) = edgegate.refused(code, command, str(path.relative_to(folder)))
    assert line.startswith(path.name)
    assert words in line
    assert not (folder / corpus.MARKER).exists()


@pytest.mark.parametrize("size", [0, 1, 40, -1])
def test_a_truncated_model(edgegate, command, folder, net, size):
    data = (folder / "net.onnx").read_bytes()
    (folder / "net.onnx").write_bytes(data[:size])
    (line,) = edgegate.refused(5, command, "net.onnx")
    assert line.startswith("net.onnx: ")


def test_weights_without_their_module(edgegate, command, folder):
    torch.save(nets.glu().state_dict(), folder / "w.pt")
    (line,) = edgegate.refused(2, command, "w.pt")
    assert "give --model package.module:factory" in line
    (line,) = edgegate.refused(2, command, "w.pt", "--model", "tests.frontend.nets:glu")
    assert "give an example" in line
    np.savez(folder / "c.npz", x=np.ones((3, 6), np.float32))
    (line,) = edgegate.refused(2, command, "w.pt", "--calib", "c.npz", "--model", "tests.frontend.nets:nothing")
    assert "tests.frontend.nets:nothing" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input-range", "1"], "--input-range: expected LOW,HIGH, got '1'"),
        (["--input-range", "1,2,3"], "expected LOW,HIGH"),
        (["--input-range", "2,1"], "finite and rising"),
        (["--input-range", "nan,1"], "finite and rising"),
        (["--calib-method", "guess"], "one of minmax, percentile, mse, got 'guess'"),
        (["--model", "no_colon"], "package.module:factory"),
        (["--shape", "1,x"], "--shape: expected whole numbers such as 1,3,224,224, got '1,x'"),
        (["--shape", "0"], "at least 1"),
        (["--int16", "nothing*"], "'nothing*' matches no"),
    ],
)
def test_impossible_arguments(edgegate, command, net, arguments, words):
    (line,) = edgegate.refused(2, command, "net.onnx", *arguments)
    assert words in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["net.onnx", "--batch", "0"], "--batch"),
        (["net.onnx", "--batch", "many"], "--batch"),
        (["net.onnx", "--no-such-option"], "--no-such-option"),
        (["net.onnx", "another"], "another"),
        ([], "MODEL"),
    ],
)
def test_arguments_that_the_parser_refuses(edgegate, command, net, arguments, words):
    assert words in edgegate.misused(command, *arguments)


CALIBRATION: dict[str, tuple[dict[str, Any], int, str]] = {
    "another name": ({"z": np.ones((3, 4), np.float32)}, 2, "'z'"),
    "another shape": ({"x": np.ones((3, 5), np.float32)}, 2, "is 4"),
    "too many": ({"x": np.ones((3, 4), np.float32), "z": np.ones((3, 4), np.float32)}, 2, "2"),
    "of different length": ({"x": np.ones((3, 4), np.float32), "z": np.ones((2, 4), np.float32)}, 2, "same number"),
    "none": ({}, 2, "same number"),
    "empty": ({"x": np.ones((0, 4), np.float32)}, 2, "at least one batch of 1 samples, got 0"),
    "no samples": ({"x": np.float32(1)}, 2, "at least one batch"),
    "NaN": ({"x": np.full((3, 4), np.nan, np.float32)}, 2, "NaN"),
    "text": ({"x": np.array(["a"])}, 7, "only numbers"),
    "objects": ({"x": np.array([{}], dtype=object)}, 7, "only numbers"),
}


@pytest.mark.parametrize("kind", CALIBRATION)
def test_calibration_data_that_does_not_fit(edgegate, command, folder, net, kind):
    arrays, code, words = CALIBRATION[kind]
    np.savez(folder / "c.npz", **arrays)
    (line,) = edgegate.refused(code, command, "net.onnx", "--calib", "c.npz")
    assert words in line


def test_calibration_files_that_are_none(edgegate, command, folder, net):
    (line,) = edgegate.refused(5, command, "net.onnx", "--calib", "c.npz")
    assert line == "c.npz: no such file"
    np.savez(folder / "c.npz", x=np.ones((30, 4), np.float32))
    (folder / "c.npz").write_bytes((folder / "c.npz").read_bytes()[:-20])
    (line,) = edgegate.refused(5, command, "net.onnx", "--calib", "c.npz")
    assert line.startswith("c.npz: ")


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (b"", 5, "s.json: no JSON"),
        (b'{"schema": 1', 5, "s.json: no JSON"),
        (b"\xff\xfe{}", 5, "s.json: no JSON"),
        (b"[" * 100_000, 5, "s.json: no JSON"),
        (b"[]", 2, "must be an object"),
        (b'{"unknown": 1}', 2, "unknown"),
    ],
)
def test_a_broken_scheme(edgegate, command, folder, net, text, code, words):
    (folder / "s.json").write_bytes(text)
    (line,) = edgegate.refused(code, command, "net.onnx", "--scheme", "s.json")
    assert words in line


def test_the_scheme_of_another_model(edgegate, command, folder, net):
    (line,) = edgegate.refused(5, command, "net.onnx", "--scheme", "s.json")
    assert line == "s.json: no such file"
    edgegate.good("quantize", "net.onnx", "--scheme-out", "s.json")
    other = models.GATED.replace("b = MatMul(x, v)", "c = Tanh(x) b = MatMul(c, v)")
    models.write(folder / "other.onnx", other)
    (line,) = edgegate.refused(3, command, "other.onnx", "--scheme", "s.json")
    assert line == (
        "the scheme: does not say how to store values c; it is of another model, or cut: quantize this one again"
    )


def test_a_target_that_is_none(edgegate, net):
    (line,) = edgegate.refused(2, "compile", "net.onnx", "--target", "abacus")
    assert line.startswith("target must be one of ")
    assert "llvm" in line
    assert line.endswith("got 'abacus'")
    for option in ("--triple", "--mcpu"):
        (line,) = edgegate.refused(2, "compile", "net.onnx", option, "abacus")
        assert "'abacus'" in line


def test_json_says_nothing_of_a_failure(edgegate, command):
    edgegate.refused(5, command, "net.onnx", "--json")
