"""Small steps, and what steps over time should give."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import torch
from torch import nn

from edgegate import interpreter
from edgegate.artifact import Artifact
from edgegate.graph import Array
from edgegate.manifest import IOSpec
from edgegate.storage import Storage

X = np.random.default_rng(0).standard_normal((64, 1, 8), np.float32)


class Leaky(nn.Module):
    """A leaky average and a queue of two; the input itself is the third state."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(8, 8), nn.Linear(24, 4)

    def forward(self, x, mean, queue, last):
        mean = mean * 0.9 + torch.tanh(self.into(x)) * 0.1
        queue = torch.cat([queue[:, 8:], x], -1)
        return self.out(torch.cat([mean, queue[:, :8], last], -1)), mean, queue, x


EXAMPLE = (torch.zeros(1, 8), torch.zeros(1, 8), torch.zeros(1, 16), torch.zeros(1, 8))
STATE = {"mean": 1, "queue": 2, "last": 3}


def stepped(artifact: Artifact, inputs: Array) -> tuple[list[list[Array]], list[list[Array]]]:
    """Outputs of the integer graph step by step: of the interpreter, and of ONNX Runtime. Inputs are float."""
    data = artifact.files["model.onnx"]
    model, session = ir.from_proto(onnx.load_from_string(data)), onnxruntime.InferenceSession(data)
    run = {
        "interpreter": lambda feed: list(interpreter.run(model, feed).values()),
        "onnxruntime": lambda feed: session.run(None, feed),
    }
    found = []
    for engine in run.values():
        held = {s.name: np.zeros(s.shape, np.float32) for s in artifact.manifest.inputs}
        rows = []
        for x in inputs:
            feed = {**held, artifact.manifest.inputs[0].name: x}
            rows.append(engine(feed))
            values = {**feed, **dict(zip((s.name for s in artifact.manifest.outputs), rows[-1], strict=True))}
            held.update({before: values[after] for before, after in artifact.manifest.states})
        found.append(rows)
    return found[0], found[1]


def storage(spec: IOSpec) -> Storage:
    """How an input of a step is stored, which is by a scale."""
    assert isinstance(spec.storage, Storage)
    return spec.storage
