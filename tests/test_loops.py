# mypy: disable-error-code="arg-type"
"""Recurrent nodes: loops over a step, in integers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from edgegate import CompileError, interpreter, runtime, stages
from edgegate.compiler import integer_model, quantize_model
from edgegate.options import CompileOptions
from edgegate.report import gates
from edgegate.targets.llvm import llvm
from tests import recurrent_nodes

CASES = {
    "gru": ("GRU", {}, 37),
    "gru, reset after": ("GRU", {"linear_before_reset": 1, "initial": True}, 36),
    "gru, both ways": ("GRU", {"direction": "bidirectional", "bias": False}, 33),
    "lstm": ("LSTM", {"initial": True}, 35),
    "lstm, reverse": ("LSTM", {"direction": "reverse", "clip": 0.5}, 35),
    "lstm, peepholes": ("LSTM", {"peepholes": True, "direction": "bidirectional", "hidden": 15}, 33),
    "lstm, coupled": ("LSTM", {"input_forget": 1}, 35),
    "rnn": ("RNN", {"activations": ["Relu"]}, 33),
    "rnn, both ways": (
        "RNN",
        {
            "direction": "bidirectional", "activations": ["Affine", "ScaledTanh"],
            "activation_alpha": [0.5, 0.7], "activation_beta": [0.1, 0.8],
        },
        33,
    ),
}  # fmt: skip
"""Node, how it is made, and the least SQNR of every output."""


def outputs(model: bytes, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options).run(None, feeds)


def sqnr(want: np.ndarray, got: np.ndarray) -> float:
    return float(10 * np.log10((want**2).sum() / ((want - got) ** 2).sum()))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A recurrent node by its case: the float model's answers, the integer model, its proof, and the input."""
    made = {}

    def get(case):
        if case not in made:
            op, how, _ = CASES[case]
            proto = recurrent_nodes.node(op, **how)
            path = tmp_path_factory.mktemp("m") / "m.onnx"
            path.write_bytes(proto.SerializeToString())
            model, _, proof = integer_model(str(path), None, CompileOptions(target="llvm"))
            x = np.random.default_rng(1).standard_normal((recurrent_nodes.SAMPLES, 2, 12)).astype(np.float32)
            made[case] = outputs(proto.SerializeToString(), {"x": x}), model, proof, {"x": x}
        return made[case]

    return get


@pytest.mark.parametrize("case", CASES)
def test_integers_are_near_the_float_node(compiled, case):
    want, model, _, feeds = compiled(case)
    got = interpreter.run(model, feeds)
    ratios = [sqnr(w, got[str(v.name)]) for w, v in zip(want, model.graph.outputs, strict=True)]
    assert min(ratios) >= CASES[case][2], ratios


@pytest.mark.parametrize("case", CASES)
def test_onnx_runtime_agrees_bit_for_bit(compiled, case):
    _, model, _, feeds = compiled(case)
    want = interpreter.run(model, feeds)
    for value, got in zip(model.graph.outputs, outputs(ir.to_proto(model).SerializeToString(), feeds), strict=True):
        np.testing.assert_array_equal(got, want[str(value.name)])


@pytest.mark.parametrize("case", ["gru, reset after", "lstm, peepholes", "rnn, both ways"])
def test_programs_agree_bit_for_bit(compiled, case):
    """Elements that kernels read and write in place, and such as lie too badly for that; forwards and backwards."""
    _, model, proof, feeds = compiled(case)
    want = interpreter.run(model, feeds)
    session = runtime.Session(llvm(CompileOptions(threads=1))(model, proof))
    for name, got in session.run(feeds).items():
        np.testing.assert_array_equal(got, want[name])


def test_a_float_form_has_loops_that_onnx_runtime_knows(tmp_path):
    proto, path = recurrent_nodes.node("GRU"), tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    made, _, _ = quantize_model(str(path), None, CompileOptions(form="qdq"))
    feeds = {"x": np.random.default_rng(1).standard_normal((recurrent_nodes.SAMPLES, 2, 12)).astype(np.float32)}
    for want, got in zip(outputs(proto.SerializeToString(), feeds), outputs(made, feeds), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_gates_of_a_step_are_reported(compiled):
    _, model, _, _ = compiled("lstm")
    found = gates(model)
    assert len(found) == 3
    assert {g["activation"] for g in found.values()} == {"Sigmoid"}


def test_a_step_is_proved_for_every_state(compiled):
    _, model, proof, _ = compiled("lstm")
    (scan,) = [n for n in model.graph if n.op_type == "Scan"]
    inner = [v.name for n in scan.attributes["body"].value for v in n.outputs]
    assert set(inner) <= set(proof.values)
    assert stages.prove(model) == proof


@pytest.mark.parametrize(("shift", "holds"), [(23, True), (22, False)])
def test_a_state_of_24_bits_is_proved_by_induction(shift, holds):
    """A step that leaves one bit more than a state holds is refused, though int32 would hold it."""
    model = ir.from_onnx_text(
        f"""<ir_version: 10, opset_import: ["" : 21, "edgegate" : 1, "edgegate.loop" : 1]>
        g (int16[3, 2] x) => (int32[2] last) <int32[2] h0 = {{0, 0}}, int32[1] m = {{1073741824}},
            int32[1] s = {{{shift}}}> {{
            h, e = edgegate.loop.Begin <loop = "l", states = 1, reverse = [0]> (h0, x)
            n = edgegate.Rescale <input_zero_point = 0, output_zero_point = 0, low = -2147483648, high = 2147483647,
                to = 6> (e, m, s)
            last = edgegate.loop.End <loop = "l", states = 1> (n)
        }}"""
    )
    for node in model.graph:
        for value in node.outputs:
            value.shape = ir.Shape([2])
            value.dtype = ir.DataType.INT16 if value.name == "e" else ir.DataType.INT32
    if holds:
        assert stages.prove(model).values["last"] == (-(1 << 23) + 1, (1 << 23) - 1)
        return
    with pytest.raises(CompileError, match=r"the state last reaches \[-8388608, 8388352\] outside of"):
        stages.prove(model)
