"""Ops that do not exist are reported all at once, with what is known of them; they are no damage to the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgegate.errors import CompileError
from edgegate.frontend import load

FLOATS = "g (float[2, 4] x) => (float[2, 4] y)"


def written(text: str, folder: Path) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(onnx.parser.parse_model(f"<ir_version: 10, opset_import: {text}").SerializeToString())
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(CompileError) as error:
        load(path)
    return str(error.value).splitlines()


def test_every_unknown_op_with_its_domain_and_shapes(tmp_path: Path) -> None:
    said = problems(written(f"""["": 21, "my.ops": 1, "com.microsoft": 1]> {FLOATS} {{
        a = Relu(x) b = my.ops.Gate(a, x) c = com.microsoft.QuickGelu(b) y = Swoosh(c) }}""", tmp_path))  # fmt: skip
    assert len(said) == 3
    assert said[0].startswith("b (Gate, m.onnx): Gate of [2,4], [2,4]: an op of the domain 'my.ops', for which the")
    assert said[0].endswith("store what it means in the file, as a function")
    assert said[1].endswith("give the model as it was before ONNX Runtime optimised or quantized it")
    assert said[2].startswith("y (Swoosh, m.onnx): Swoosh of ?: no op of ONNX opset 21; replace it")


def test_a_domain_without_an_import_and_ops_within_functions(tmp_path: Path) -> None:
    said = problems(written(f"""["": 21, "f": 1]> {FLOATS} {{ a = other.Foo(x) y = f.F(a) }}
        <domain: "f", opset_import: ["": 21]> F (i) => (o) {{ o = Bar(i) }}""", tmp_path))  # fmt: skip
    assert [line.split(" ")[1] for line in said] == ["(Foo,", "(Bar,"]


@pytest.mark.parametrize(
    ("opset", "op", "said"),
    [
        (17, "Gelu", "Gelu of [2,4]: no op of ONNX opset 17, but of opset 20; export the model with opset 21"),
        (21, "Upsample", "Upsample of [2,4]: no longer an op of ONNX opset 21; replace it"),
    ],
)
def test_ops_of_other_opsets(opset: int, op: str, said: str, tmp_path: Path) -> None:
    assert said in problems(written(f'["": {opset}]> {FLOATS} {{ y = {op}(x) }}', tmp_path))[0]


@pytest.mark.parametrize("imports", ['["": 21, "ai.onnx": 21]', '["ai.onnx": 21]'])
def test_the_long_name_of_the_standard_domain(imports: str, tmp_path: Path) -> None:
    op = "ai.onnx.Sigmoid"
    assert [n.op_type for n in load(written(f"{imports}> {FLOATS} {{ y = {op}(x) }}", tmp_path)).graph] == ["Sigmoid"]


def test_inputs_without_a_rank(tmp_path: Path) -> None:
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, (1, 4)),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4))
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", inputs, [output])
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph, ir_version=10).SerializeToString())
    said = problems(path)
    assert said[0].startswith("input x: has no shape; export the model with tensor inputs")
    assert said[1].startswith("input s: is no tensor (sequence); export the model with tensor inputs")


def test_later_ops_are_written_as_their_definition(tmp_path: Path) -> None:
    model = load(written(f'["": 24]> {FLOATS} {{ a = Swish(x) y = Swish<alpha = 2.0>(a) }}', tmp_path))
    assert [n.op_type for n in model.graph] == ["Mul", "Sigmoid", "Mul"] * 2
    scales = [n.inputs[0].const_value for n in model.graph if n.op_type == "Mul" and n.inputs[0] is not None]
    assert [float(s.numpy()) for s in scales if s is not None] == [1.0, 2.0]


@pytest.mark.parametrize(
    "text",
    [
        "RMSNormalization(q, s)",
        "Attention<is_causal = 1>(q, k, k)",
        "Attention<scale = 0.3>(q, k, k, m)",
        "Attention<is_causal = 1, softcap = 2.0>(q, g, g)",
    ],
)
def test_later_ops_whose_definition_hangs_on_types(text: str, tmp_path: Path) -> None:
    inputs = {"q": (1, 4, 6, 8), "k": (1, 4, 6, 8), "g": (1, 2, 6, 8), "m": (6, 6), "s": (8,)}
    head = ", ".join(f"float{list(dims)} {name}" for name, dims in inputs.items())
    path = written(f'["": 23]> g ({head}) => (float[1, 4, 6, 8] y) {{ y = {text} }}', tmp_path)
    rng = np.random.default_rng(0)
    feed = {name: rng.standard_normal(dims).astype(np.float32) for name, dims in inputs.items()}
    model = load(path)
    assert model.opset_imports[""] == 21
    sessions = [onnxruntime.InferenceSession(m) for m in (str(path), ir.to_proto(model).SerializeToString())]
    want, got = (s.run(None, {i.name: feed[i.name] for i in s.get_inputs()})[0] for s in sessions)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
