"""What load returns computes what the torch module computes, in the form that the passes expect."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgegate.errors import CompileError
from edgegate.frontend import load, save
from edgegate.frontend._names import frame
from edgegate.graph import LAYER, SOURCE, matches, shape
from tests.frontend import nets

ROOT = Path(__file__).parents[2]


def run(model: ir.Model, *inputs: torch.Tensor) -> list[Any]:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {v.name: x.numpy() for v, x in zip(model.graph.inputs, inputs, strict=True)}
    return list(session.run(None, feed))


def check(model: ir.Model, net: nn.Module, x: torch.Tensor) -> None:
    """The promises of load, and the same numbers as torch's."""
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert dict(model.opset_imports) == {"": 21}
    assert not model.functions
    for node in model.graph:
        assert set(node.metadata_props) == {LAYER, SOURCE}
        assert node.doc_string is None
        assert node.op_type != "Constant"
        for value in node.outputs:
            assert shape(value) is not None
            assert value.dtype is not None
            assert not value.metadata_props
    with torch.no_grad():
        expected = net.eval()(x).numpy()
    (found,) = run(model, x)
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("kind", nets.EXAMPLES)
def test_module(kind: type[nn.Module]) -> None:
    net, x = nets.make(kind)
    check(load(net, example=(x,)), net, x)


@pytest.mark.parametrize("kind", nets.EXAMPLES)
def test_archive_with_any_ending_and_batch(kind: type[nn.Module], tmp_path: Path) -> None:
    net, x = nets.make(kind)
    save(net, (x,), tmp_path / "net.model")
    x = torch.cat([x, x[:1]])
    check(load(tmp_path / "net.model", batch=3), net, x)
    assert os.listdir(tmp_path) == ["net.model"]


def test_onnx_exported_at_opset_17(tmp_path: Path) -> None:
    net, x = nets.make(nets.SqueezeExcite)
    torch.onnx.export(net.eval(), (x,), tmp_path / "n.onnx", opset_version=17, dynamo=False, verbose=False)
    assert {o.version for o in onnx.load(tmp_path / "n.onnx").opset_import if not o.domain} == {17}
    model = load(tmp_path / "n.onnx")
    check(model, net, x)
    assert {n.metadata_props[SOURCE] for n in model.graph} == {"n.onnx"}


def test_onnx_with_symbolic_batch_and_functions(tmp_path: Path) -> None:
    path = tmp_path / "f.onnx"
    onnx.save(onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["": 21, "mine": 1]>
        g (float[N, 4] x, float[N, 4] z) => (float[N, 4] y) { y = mine.Gate(x, z) }
        <domain: "mine", opset_import: ["": 21]> Gate (a, b) => (c) { s = Sigmoid(b) c = Mul(a, s) }
    """), path)  # fmt: skip
    model = load(path, batch=5)
    assert [n.op_type for n in model.graph] == ["Sigmoid", "Mul"]
    assert [shape(v) for v in (*model.graph.inputs, *model.graph.outputs)] == [(5, 4)] * 3
    example = (np.zeros((7, 4), np.float32), np.zeros((7, 4), np.float32))
    assert shape(load(path, example=example).graph.outputs[0]) == (7, 4)
    with pytest.raises(ValueError, match="the example has 2"):
        load(path, example=(example[0], example[1][:2]))
    with pytest.raises(ValueError, match="2 inputs, the example has 1"):
        load(path, example=example[0])


def test_own_functions_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "f.onnx"
    onnx.save(onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["": 21, "edgegate.unary": 1]>
        g (float[2, 4] x) => (float[2, 4] y) { y = edgegate.unary.SiLU(x) }
        <domain: "edgegate.unary", opset_import: ["": 21]> SiLU (a) => (c) { s = Sigmoid(a) c = Mul(a, s) }
    """), path)  # fmt: skip
    model = load(path)
    assert [n.op_type for n in model.graph] == ["SiLU"]
    assert shape(model.graph.outputs[0]) == (2, 4)


def test_a_dimension_that_nothing_decides(tmp_path: Path) -> None:
    path = tmp_path / "t.onnx"
    text = '<ir_version: 10, opset_import: ["": 21]> g (float[N, T] x) => (float[N, T] y) { y = Relu(x) }'
    onnx.save(onnx.parser.parse_model(text), path)
    with pytest.raises(CompileError, match=r"input x, dimension 1: has no size \(T\); pass an example"):
        load(path)
    assert shape(load(path, example=(np.zeros((2, 9), np.float32),)).graph.outputs[0]) == (2, 9)


def test_state_dict_safetensors_and_checkpoint(tmp_path: Path) -> None:
    net, x = nets.make(nets.GatedLinear)
    torch.save(net.state_dict(), tmp_path / "a")
    torch.save({"epoch": 3, "state_dict": net.state_dict()}, tmp_path / "b")
    save_file(net.state_dict(), tmp_path / "c")
    for file in "abc":
        check(load(tmp_path / file, example=(x,), model="tests.frontend.nets:glu"), net, x)


def test_norms_stay_and_chunk_becomes_split() -> None:
    net, x = nets.make(nets.SqueezeExcite)
    model = load(net, example=(x,))
    assert [n.op_type for n in model.graph][:3] == ["Conv", "BatchNormalization", "Gelu"]
    model = load(*_glu())
    assert [n.op_type for n in model.graph][-3:] == ["Split", "Sigmoid", "Mul"]


def _glu() -> tuple[Any, ...]:
    net, x = nets.make(nets.GatedLinear)
    return (torch.export.export(net.eval(), (x,)),)


def test_layers_and_source_lines() -> None:
    net, x = nets.make(nets.Mobile)
    model = load(net, example=(x,))
    conv = matches(model, "Conv")[1]
    assert conv.metadata_props[LAYER] == "body.3"
    assert conv.metadata_props[SOURCE].startswith("nets.py:")
    assert conv.metadata_props[SOURCE].endswith(": return x + self.body(x)")
    (conv,) = matches(load(nn.Sequential(nn.Conv2d(4, 4, 1)), example=(x,)), "Conv")
    assert conv.metadata_props == {LAYER: "0", SOURCE: "torch.nn.modules.conv.Conv2d"}


def test_code_that_torch_generates_is_no_line_of_the_user() -> None:
    trace = 'File "net.py", line 3, in forward\n    return cond(x)\nFile "<eval_with_key>.7", line 9, in forward\n    c'
    assert frame(trace) == ("net.py", 3, "return cond(x)")


def test_training_mode_is_left_alone() -> None:
    net, x = nets.make(nets.Mobile)
    net.body.train()
    net.body[1].eval()
    before = [m.training for m in net.modules()]
    load(net, example=(x,))
    assert [m.training for m in net.modules()] == before


def test_silent(capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    net, x = nets.make(nets.SqueezeExcite)
    load(net, example=(x,))
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


DETERMINISM = """
import hashlib, sys, onnx_ir as ir
from edgegate.frontend import load, save
from tests.frontend import nets
net, x = nets.make(nets.SqueezeExcite)
save(net, (x,), sys.argv[1])
for source in (sys.argv[1], net):
    print(hashlib.sha256(ir.to_proto(load(source, example=(x,))).SerializeToString()).hexdigest())
print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())
"""


def test_same_bytes_in_two_processes(tmp_path: Path) -> None:
    said = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "TZ": f"UTC{seed}"}
        command = [sys.executable, "-c", DETERMINISM, str(folder / "net")]
        said.append(subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, env=env).stdout)
    assert said[0] == said[1]
    assert len(said[0].split()) == 3


def test_same_bytes_in_one_process() -> None:
    hashes = set()
    for _ in range(2):
        net, x = nets.make(nets.Reshaped)
        data = ir.to_proto(load(net, example=(x,))).SerializeToString()
        hashes.add(hashlib.sha256(data).hexdigest())
    assert len(hashes) == 1
