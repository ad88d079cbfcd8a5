"""``edgegate compile``: a program, what was proved of it, and a manifest that says what was asked for."""

import json
from typing import Any

import numpy as np
import pytest
import torch

import edgegate as package
from edgegate import _npz
from tests import tiny_program as tiny
from tests.cli import models
from tests.frontend import nets


@pytest.fixture
def sample(folder):
    """net.onnx, and c.npz with what it will see."""
    models.write(folder / "net.onnx")
    x = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    np.savez(folder / "c.npz", x=x)
    return x


@pytest.fixture
def asked(monkeypatch):
    """The options of every compilation, none of which takes place."""
    seen = []

    def compile_model(source, example, options):
        seen.append((source, example, options))
        return tiny.artifact()

    monkeypatch.setattr("edgegate.compiler.compile_model", compile_model)
    return seen


def test_from_onnx_to_a_program_that_equals_its_graph(edgegate, folder, sample):
    done = edgegate.good("compile", "net.onnx", "--target", "llvm", "--calib", "c.npz")
    made = package.load("net.egate")
    summary, size = made.manifest.proof["summary"], sum(map(len, made.files.values()))
    assert "accumulators bounded" in summary
    assert (done.out, done.lines) == ("", (f"proved: {summary}", f"net.egate: llvm, {size} bytes"))
    assert edgegate.good("verify", "net.egate").lines == ("net.egate: 3 test vectors, every bit equal",)
    edgegate.good("run", "net.egate", "-i", "c.npz", "-o", "y.npz")
    assert np.array_equal(_npz.load(folder / "y.npz")["y"], onnxruntime_on(made, sample))


def onnxruntime_on(artifact, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(artifact.files["model.onnx"], providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": x[i : i + 1]})[0] for i in range(len(x))])


def test_from_a_torch_archive_and_from_weights(edgegate, folder):
    net, x = nets.make(nets.GatedLinear)
    np.savez(folder / "c.npz", x=x.numpy())
    package.save(net, (x,), folder / "net.pt2")
    torch.save(net.state_dict(), folder / "w.pt")
    options = ["--calib", "c.npz", "--batch", "2"]
    edgegate.good("compile", "net.pt2", *options, "-o", "a")
    edgegate.good("compile", "w.pt", *options, "--model", "tests.frontend.nets:glu", "-o", "b")
    answers: list[Any] = []
    for name in ("a", "b"):
        edgegate.good("run", name, "-i", "c.npz", "-o", "y.npz")
        answers += _npz.load(folder / "y.npz").values()
    assert answers[0].shape == (2, 5, 4)
    assert np.array_equal(*answers)


def test_from_weights_alone_with_a_factory_beside_them(edgegate, folder):
    """The factory's module is found in the current folder; the input's shape is said, for no data says it."""
    (folder / "beside.py").write_text("from tests.frontend.nets import glu as build\n")
    torch.save(nets.glu().state_dict(), folder / "w.pt")
    edgegate.good("compile", "w.pt", "--model", "beside:build", "--shape", "1,5,6", "-o", "b")
    assert package.load("b").manifest.inputs[0].shape == (1, 5, 6)


def test_the_same_model_gives_the_same_bytes(edgegate, folder, sample):
    for name in ("a", "b"):
        edgegate.good("compile", "net.onnx", "-o", name)
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


def test_json_is_one_document_with_the_manifest(edgegate, folder, sample):
    done = edgegate.good("compile", "net.onnx", "--json", "-o", "m")
    found = json.loads(done.out)
    assert list(found) == ["schema", "command", "output", "manifest"]
    assert (found["schema"], found["command"], found["output"]) == (1, "compile", "m")
    assert found["manifest"] == json.loads(json.dumps(package.load("m").manifest.document()))
    assert found["manifest"]["proof"]["summary"] in done.lines[0]


def test_a_target_that_proves_nothing(edgegate, folder, sample, asked):
    assert edgegate.good("compile", "net.onnx").lines == (
        f"net.egate: llvm, {sum(map(len, tiny.artifact().files.values()))} bytes",
    )


def test_every_argument_arrives(edgegate, folder, sample, asked):
    (folder / "s.json").write_text('{"a": 1}')
    edgegate.good(
        "compile", "net.onnx", "--target", "t", "--calib", "c.npz", "--calib-method", "minmax", "--scheme", "s.json",
        "--int16", "a*", "--int16", "b", "--model", "p:f", "--batch", "3", "--mcpu", "m", "--triple", "r-s",
        "--threads", "2", "--input-range", "-1,2.5", "-o", "y", "--shape", "1,4", "--shape", "2",
        "--format", "mxfp4", "--format", "a=int8", "--transform", "wush", "--transform-bits", "0",
        "--rounding", "gptq", "--keys", "bfp12:bfp16", "--logic", "table", "--state", "a=b",
        "--state", "c=d", "--recall", "0.9", "--activation-bits", "16", "--steps", "4",
    )  # fmt: skip
    ((source, example, options),) = asked
    assert source == "net.onnx"
    assert [x.shape for x in example] == [(1, 4), (2,)]  # with a state, calibration data is over time
    assert np.array_equal(options.calib["x"], sample)
    found = {name: getattr(options, name) for name in options.__dataclass_fields__ if name != "calib"}
    assert found == {
        "target": "t", "calib_method": "minmax", "scheme": '{"a": 1}', "int16": ("a*", "b"), "model": "p:f",
        "batch": 3, "mcpu": "m", "triple": "r-s", "threads": 2, "input_range": (-1.0, 2.5),
        "shapes": ((1, 4), (2,)), "formats": ("mxfp4", "a=int8"), "transform": "wush", "transform_bits": 0,
        "rounding": "gptq", "keys": "bfp12:bfp16", "form": "integer", "logic": "table", "pipeline": None,
        "state": ["a=b", "c=d"], "gate_data": None, "recall": 0.9, "activation_bits": 16, "steps": 4, "sqnr": None,
        "stage_targets": (),
    }  # fmt: skip


def test_a_ratio_arrives_and_not_beside_a_scheme(edgegate, folder, sample, asked):
    edgegate.good("compile", "net.onnx", "--calib", "c.npz", "--sqnr", "40", "--arch", "m")
    ((_, _, options),) = asked
    assert (options.sqnr, options.mcpu) == (40.0, "m")
    (folder / "s.json").write_text("{}")
    said = edgegate.refused(2, "compile", "net.onnx", "--calib", "c.npz", "--sqnr", "40", "--scheme", "s.json")
    assert "exclude each other" in said[0]


def test_defaults_are_those_of_the_python_interface(edgegate, folder, sample, asked):
    edgegate.good("compile", "net.onnx")
    ((_, example, options),) = asked
    assert example is None
    assert options.describe() == package.CompileOptions().describe()
