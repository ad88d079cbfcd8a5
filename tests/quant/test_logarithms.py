"""Products by logarithms have 16 bits, and whoever compiles them is told."""

from __future__ import annotations

import logging

import numpy as np
import onnx_ir as ir
import pytest
import torch

from edgegate import frontend
from edgegate.passes import FLOAT, run
from edgegate.quant import quantize
from edgegate.quant.logarithms import exponents, warnings
from edgegate.quant.sharing import Groups
from edgegate.stages import floating
from tests.families.others import NALU


def model(net: torch.nn.Module) -> ir.Model:
    made = frontend.load(net.eval(), example=(torch.randn(1, 10),))
    run(made, FLOAT, floating)
    return made


class Decay(torch.nn.Module):
    """An exponential of a layer, and a logarithm that no layer follows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(10, 10)

    def forward(self, x):
        y = torch.exp(self.layer(x))
        return y * torch.exp(torch.log(1 + y) - 1)


def test_a_nalu_has_16_bits_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    made = model(NALU())
    data = [
        {str(made.graph.inputs[0].name): np.random.default_rng(i).normal(size=(1, 10)).astype(np.float32)}
        for i in range(8)
    ]
    with caplog.at_level(logging.WARNING):
        _, scheme, report = quantize(made, None, data)
    (exponential,) = [n for n in made.graph if n.op_type == "Exp"]
    layer = exponential.inputs[0]
    assert layer is not None and layer.producer() is not None
    logarithm = layer.producer().inputs[0]  # type: ignore[union-attr]
    for value in (exponential.outputs[0], layer, logarithm):
        assert value is not None and scheme.values[str(value.name)].dtype == "int16"
    assert "multiplies by logarithms" in report.document()["warnings"][0]
    assert report.warnings[0] in caplog.text


def test_other_exponentials_are_left_alone() -> None:
    made = model(Decay())
    assert not exponents(made, Groups(made))
    assert not warnings(made)
