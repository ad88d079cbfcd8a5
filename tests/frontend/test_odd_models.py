"""Models that ONNX Runtime cannot run, from the file to the integer graph: a line of ours that names the node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgegate.compiler import integer_model
from edgegate.errors import CompileError
from edgegate.options import CompileOptions
from edgegate.quant.execute import run


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("y = Mod(x, w)", "y (Mod, m.onnx): ONNX Runtime cannot compute it: fmod attribute must be true"),
        ("a = Relu(x) y = Mod(a, one)", "y (Mod, m.onnx): "),
        ("s = Sigmoid(x) y = Gather<axis = 1>(s, far)", "y (Gather, m.onnx): ONNX Runtime cannot compute it: indices"),
        ("s = Sigmoid(x) y = Reshape(s, far)", "y (Reshape, m.onnx): ONNX Runtime cannot compute it: The input tensor"),
    ],
)
def test_what_onnx_runtime_refuses(body: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx.parser.parse_model(f"""<ir_version: 10, opset_import: ["": 21]>
        g (float[1, 4] x) => (float y) <float[4] w = {{1, 2, 3, 4}}, float one = {{1}}, int64[1] far = {{9}}>
        {{ {body} }}""").SerializeToString())  # fmt: skip
    with pytest.raises(CompileError) as error:
        integer_model(path, None, CompileOptions())
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("body", "node"),
    [
        ('s = Sigmoid(x) y = BitShift<direction = "LEFT">(s, s)', "BitShift"),
        ("s = Sigmoid(x) y = edgegate.unary.Rest(s)", "Rest"),
        ("s = Sigmoid(x) y = edgegate.unary.Nothing(s)", "Nothing"),
    ],
)
def test_refused_when_read_and_within_functions(body: str, node: str, capfd: pytest.CaptureFixture[str]) -> None:
    """ONNX Runtime forgets the name of a node whose function it expands."""
    model = ir.from_proto(onnx.parser.parse_model(f"""<ir_version: 10, opset_import: ["": 21, "edgegate.unary": 1]>
        g (float[1, 4] x) => (float[1, 4] y) {{ {body} }}
        <domain: "edgegate.unary", opset_import: ["": 21]> Rest (a) => (c) {{ c = Mod(a, a) }}"""))  # fmt: skip
    with pytest.raises(CompileError) as error:
        list(run(model, [{"x": np.ones((1, 4), np.float32)}]))
    assert f"({node}): ONNX Runtime cannot compute it: " in str(error.value)
    assert "edgegate_node" not in str(error.value)
    assert capfd.readouterr() == ("", "")
