"""What is wrong with a user's model or data: one line that says where, what, and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

import edgegate
from edgegate import compiler, interpreter, runtime
from edgegate.errors import CompileError, InputError
from edgegate.options import CompileOptions
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Recipe, quantize_scheme
from edgegate.stages import prove

X = np.random.default_rng(0).standard_normal((6, 3, 4, 4)).astype(np.float32)


def small() -> nn.Sequential:
    torch.manual_seed(0)
    parts = (nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 5))
    return nn.Sequential(*parts).eval()


def integer(net: nn.Module, calib: Any = None, *, example: int = 1, **options: Any) -> ir.Model:
    given = None if calib is None else calib if isinstance(calib, dict) else {"": calib}
    model, _, _ = compiler.integer_model(net, (torch.from_numpy(X[:example]),), CompileOptions(calib=given, **options))
    return model


def spoilt(place: tuple[int, ...], value: float) -> np.ndarray:
    x = X.copy()
    x[place] = value
    return x


@pytest.mark.parametrize(("calib", "said"), [
    ({"imput": X}, r"batch 0 has inputs \['imput'\], the model has \['input'\]"),
    ({"input": X, "mask": X}, r"batch 0 has inputs \['input', 'mask'\], the model has \['input'\]"),
    (X[:, :2], r"batch 0: input has shape \(1, 2, 4, 4\), not \(1, 3, 4, 4\)"),
    (X.reshape(6, -1), r"input has shape \(1, 48\), not \(1, 3, 4, 4\)"),
    (X.astype(np.complex64), r"input has dtype complex64, which is not a number"),
    (X.astype(str), r"input has dtype <U\d+, which is not a number"),
    (spoilt((3, 1, 2, 2), np.nan), r"batch 3: input holds NaN or infinity"),
    (spoilt((5, 0, 0, 0), -np.inf), r"batch 5: input holds NaN or infinity"),
    (X.astype(np.float64) * 1e300, r"batch 0: input holds NaN or infinity"),
])  # fmt: skip
def test_calibration_data_that_does_not_fit(calib: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        integer(small(), calib)
    assert "\n" not in str(caught.value)


def test_too_few_samples_for_a_batch() -> None:
    with pytest.raises(ValueError, match="at least one batch of 4 samples, got 3"):
        integer(small(), X[:3], example=4, batch=4)
    integer(small(), X[:4], example=4, batch=4)


def test_whole_numbers_are_data_too() -> None:
    exact = np.round(X * 9)
    model, other = integer(small(), exact), integer(small(), exact.astype(np.int64))
    assert ir.to_proto(model).SerializeToString() == ir.to_proto(other).SerializeToString()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("calib", [X, None])
def test_unsound_weights_name_their_tensor(value: float, calib: Any) -> None:
    net = small()
    with torch.no_grad():
        net[0].weight[2, 0, 0, 0] = value
        net[3].bias[1] = value
    with pytest.raises(CompileError) as caught:
        integer(net, calib)
    assert [p.where for p in caught.value.problems] == ["tensor 0.weight", "tensor 3.bias"]
    assert "1 of 216 elements are NaN or infinite" in str(caught.value)


def test_a_model_that_overflows_float_names_the_node() -> None:
    net = small()
    with torch.no_grad():
        net[0].weight.fill_(1e30)
        net[3].weight.fill_(1e30)
    with pytest.raises(CompileError, match=r"^3 \(Linear.*computes NaN or infinity in 'linear'") as caught:
        integer(net, X)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bias", [0.0, 0.75])
@pytest.mark.parametrize("calib", [X, None])
def test_a_channel_of_zeros_is_its_bias(bias: float, calib: Any) -> None:
    """Without a bias the output is the zero point exactly, whatever the input."""
    net = nn.Sequential(small()[0])
    with torch.no_grad():
        net[0].weight[2] = 0
        net[0].bias[2] = bias
    model = integer(net, calib)
    step = next(n for n in model.graph if n.op_type == "DequantizeLinear").inputs[1]
    assert step is not None
    assert step.const_value is not None
    name = str(model.graph.inputs[0].name)
    for x in (X[:1], X[:1] * 1000):
        (y,) = interpreter.run(model, {name: x}).values()
        assert y[:, 2].max() == y[:, 2].min() == pytest.approx(bias, abs=float(step.const_value.numpy()) / 2)
        assert len(np.unique(y[:, 1])) > 1


def test_a_dead_net_compiles() -> None:
    """All weights and biases zero, from end to end."""
    net = small()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    artifact = edgegate.compile(net, (torch.from_numpy(X[:1]),), target="llvm", calib={"": X})
    np.testing.assert_array_equal(np.asarray(runtime.Session(artifact)(X[:1])), np.zeros((1, 5), np.float32))


def test_a_constant_output_is_stored() -> None:
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 21]>
        g (float[1, 3] x) => (float[1, 3] y, float[2] c) <float[2] c = {0.5, -2}> { y = Relu (x) }"""
    )
    to_integer(quantize_scheme(model, [{"x": np.ones((1, 3), np.float32)}], Recipe()))(model)
    prove(model)
    np.testing.assert_allclose(interpreter.run(model, {"x": np.ones((1, 3))})["c"], [0.5, -2], atol=0.02)


class Unsupported(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = torch.prod(self.inner(x), 1)
        z = torch.nn.functional.grid_sample(x, torch.zeros(1, 4, 4, 2), align_corners=False)
        return torch.relu(y), z


def test_every_unsupported_node_tells_name_op_shapes_line_and_way_out() -> None:
    with pytest.raises(CompileError) as caught:
        integer(Unsupported().eval(), X)
    first, second = caught.value.problems
    for problem, op, line in (
        (first, "ReduceProd", "y = torch.prod"),
        (second, "GridSample", "z = torch.nn.functional.grid_sample"),
    ):
        assert f"({op}, test_faults.py:" in problem.where
        assert line in problem.where
        assert problem.what.startswith(f"{op} of [1,3,4,4]")
        assert problem.fix
    assert str(caught.value).count("\n") == 1
