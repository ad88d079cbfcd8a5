"""Bits of a step's queues: 16 where they are small beside the layer that fills them, or where 8 are too noisy."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgegate import frontend, passes, stages
from edgegate.calibration import calibration
from edgegate.quant import Recipe, quantize_scheme

WIDTH, STEPS = 16, 256


class Queue(nn.Module):
    """The mean of the last rows, each of a layer, or of its third power."""

    def __init__(self, power: int) -> None:
        super().__init__()
        self.inlet, self.out, self.power = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), power

    def forward(self, x, queue):
        row = self.inlet(x) ** self.power
        queue = torch.cat([queue[:, 1:], row[:, None]], 1)
        return self.out(queue.mean(1)), queue


def storage(rows: int, power: int, recipe: Recipe) -> str:
    """Of the queue."""
    torch.manual_seed(0)
    example = (torch.zeros(1, WIDTH), torch.zeros(1, rows, WIDTH))
    model: ir.Model = frontend.load(Queue(power).eval(), example=example, states=["queue=1"])
    passes.run(model, passes.FLOAT, stages.floating)
    data = np.random.default_rng(1).standard_normal((STEPS, 1, WIDTH), np.float32)
    return quantize_scheme(model, calibration(model, {"": data}, 1), recipe).values["queue"].dtype


@pytest.mark.parametrize(
    ("rows", "power", "bits", "wanted"),
    [
        (4, 1, None, "int16"),  # 64 elements, a quarter of the 256 weights
        (5, 1, None, "int8"),
        (64, 3, None, "int16"),  # long, with tails in which 8 bits have less than 32 dB
        (4, 1, 8, "int8"),
        (64, 1, 16, "int16"),
    ],
)
def test_a_queue_has_the_bits_that_it_is_worth(rows: int, power: int, bits: int | None, wanted: str):
    assert storage(rows, power, Recipe(activation_bits=bits)) == wanted
