"""Outputs that are one value, and an input that comes out as it went in."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

import edgegate
from edgegate import interpreter, runtime


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.layer(x), self.layer(x) * 1.0


class AsItIs(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 1.0


@pytest.mark.parametrize("factory", [Twice, AsItIs])
def test_a_value_under_two_names(factory: type[nn.Module]) -> None:
    torch.manual_seed(0)
    data = torch.randn(8, 4)
    artifact = edgegate.compile(factory().eval(), (data[:1],), calib={"": data.numpy()})
    session = runtime.Session(artifact)
    graph = ir.from_proto(onnx.load_model_from_string(artifact.files["model.onnx"]))
    found: list[np.ndarray] = []
    expected: list[np.ndarray] = []
    for x in data.numpy():
        found += session.run({"x": x[None]}).values()
        expected += interpreter.run(graph, {"x": x[None]}).values()
    np.testing.assert_array_equal(found, expected)
    assert len(found) == 8 * len(artifact.manifest.outputs)
    assert np.unique(found).size > 8


def test_a_missing_compiler_is_told_before_anything_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgegate.compiler.integer_model", lambda *_: pytest.fail("the slow part ran"))
    with pytest.raises(ValueError, match="near to it"):
        edgegate.compile(AsItIs(), (torch.zeros(1, 4),), mcpu="znver55")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(edgegate.ToolchainError, match="gcc-riscv64-linux-gnu"):
        edgegate.compile(AsItIs(), (torch.zeros(1, 4),), triple="riscv64-linux-gnu")
