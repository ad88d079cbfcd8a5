"""The integer passes together: fewer nodes, the same bits, and gates that a target sees as pairs."""

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn
from torch.nn import functional

from edgegate import frontend, interpreter, stages
from edgegate.passes import FLOAT, INTEGER, run
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Recipe, quantize_scheme


class Gated(nn.Module):
    """Two layers written as one, a clip behind each kind of op, tables of tables, moves that cancel."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.next = nn.Conv2d(3, 10, 3, padding=1), nn.Conv2d(5, 5, 1)
        self.head = nn.Linear(5, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value, gate = self.both(x).chunk(2, dim=1)
        y = functional.relu(functional.elu(value) * torch.sigmoid(gate))
        y = functional.relu(y + functional.relu6(self.next(y)))
        return functional.glu(self.head(y.permute(0, 2, 3, 1)), dim=-1)


@pytest.fixture(scope="module")
def model() -> ir.Model:
    torch.manual_seed(0)
    made = frontend.load(Gated().eval(), example=(torch.zeros(1, 3, 6, 6),))
    run(made, FLOAT, stages.floating)
    to_integer(quantize_scheme(made, None, Recipe()))(made)
    return made


def test_the_same_bits_from_fewer_nodes(model):
    name, rng = str(model.graph.inputs[0].name), np.random.default_rng(0)
    feeds = [{name: (rng.standard_normal((1, 3, 6, 6)) * scale).astype(np.float32)} for scale in (0, 0.1, 1, 1e9)]
    wanted = [interpreter.run(model, feed) for feed in feeds]
    before = len(model.graph)
    run(model, INTEGER, stages.integer)
    for feed, want in zip(feeds, wanted, strict=True):
        got = interpreter.run(model, feed)
        assert {k: (v.dtype, v.tobytes()) for k, v in got.items()} == {
            k: (v.dtype, v.tobytes()) for k, v in want.items()
        }
    types = [n.op_type for n in model.graph]
    assert len(types) < before
    assert (types.count("Conv2d"), types.count("MatMul")) == (3, 2)
    assert "Split" not in types
    assert {name for _, name, _ in model.functions} == {n.op_type for n in model.graph if n.domain}
