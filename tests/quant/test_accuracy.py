"""How accurate the examples stay: within 0.5 points of float with calibration, within 1.0 without any data."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgegate import compiler
from edgegate.options import CompileOptions
from examples import digits
from examples.engines import in_onnx_runtime, one_by_one
from examples.train import RECIPES, accuracy, trained

WITH, WITHOUT = 0.005, 0.010


def integer_accuracy(net: nn.Module, **options: Any) -> float:
    """Share of the 500 test images that the integer graph of ``net`` tells right."""
    images, test = digits.calibration(), digits.load()[1]
    model, _, _ = compiler.integer_model(net, (torch.from_numpy(images[:1]),), CompileOptions(**options))
    engine = in_onnx_runtime(ir.to_proto(model).SerializeToString(), as_written=True)
    return float(np.mean(one_by_one(engine, test.images).argmax(1) == test.labels))


@pytest.mark.parametrize(("options", "loss"), [
    ({"calib_method": "minmax"}, WITH), ({"calib_method": "percentile"}, WITH), ({"calib_method": "mse"}, WITH),
    ({"input_range": (0.0, 1.0)}, WITHOUT), ({}, WITHOUT),
])  # fmt: skip
@pytest.mark.parametrize("name", RECIPES)
def test_accuracy_is_kept(name: str, options: dict[str, Any], loss: float) -> None:
    net = trained(name)
    calib = {"calib": {"": digits.calibration()}} if loss == WITH else {}
    assert integer_accuracy(net, **options, **calib) >= accuracy(net, digits.load()[1]) - loss


def test_a_wrong_range_costs_accuracy() -> None:
    """The measure can fail: inputs that saturate at a tenth of their range lose more than is allowed."""
    net = trained("glu_classifier")
    assert integer_accuracy(net, input_range=(0.0, 0.1)) < accuracy(net, digits.load()[1]) - WITHOUT
