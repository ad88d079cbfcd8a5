"""What norms read is stored so that its smallest rows survive, and only then in more than 8 bits."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgegate import compiler, frontend, interpreter
from edgegate.options import CompileOptions
from edgegate.passes import FLOAT, run
from edgegate.quant import Storage
from edgegate.quant.rows import Rows, ratio
from edgegate.quant.sharing import Groups
from edgegate.stages import floating
from tests.passes.text import parse

SUM = """g (float[1,2,4] a, float[1,1,4] b, float[1,3,4] c) => (float[1,3,4] y) {
    ab = Concat <axis: int = 1> (a, b)
    x = Add (ab, c)
    y = edgegate.RowNorm <epsilon: float = 0.5, centre: int = CENTRE, mean: int = MEAN> (x)
}
"""


def net(centre: int, mean: int) -> ir.Model:
    return parse(SUM.replace("CENTRE", str(centre)).replace("MEAN", str(mean)))


@pytest.mark.parametrize(("centre", "mean"), [(0, 1), (1, 1), (0, 0), (1, 0)])
def test_the_smallest_position_counts_for_all_that_is_added_up(centre: int, mean: int) -> None:
    model, rows = net(centre, mean), Rows(net(centre, mean))
    small = [[1.0, 2.0, 3.0, 5.0], [-1.0, 2.0, 3.0, 4.0]]
    seen = [{"x": np.array([[[40.0, -40.0, 40.0, -40.0], row, [0.0] * 4]])} for row in small]
    assert list(rows.watch(seen)) == seen
    power = np.var(small, axis=1).mean() if centre else np.square(small).mean()
    least = power + 0.5 / (1 if mean else 4)
    assert rows.powers(Groups(model)) == pytest.approx(dict.fromkeys(("a", "b", "c", "x", "ab"), least))


def test_rows_of_nothing_but_zeros_need_no_bits() -> None:
    rows = Rows(net(1, 1))
    list(rows.watch([{"x": np.zeros((1, 3, 4))}]))
    assert rows.powers(Groups(net(1, 1))) == {}


def test_the_ratio_is_that_of_a_uniform_error() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, 100_000)
    storage = Storage(dtype="int8", scale=2.0**-6)
    off = x - storage.dequantize(storage.quantize(x))
    assert ratio(storage, float(np.mean(x**2))) == pytest.approx(10 * np.log10(np.sum(x**2) / np.sum(off**2)), abs=0.05)
    assert ratio(storage, 0.0) == -np.inf


class Classified(nn.Module):
    """A class token beside larger ones, mixed, normed, and read alone."""

    def __init__(self, size: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.token = nn.Parameter(torch.randn(1, 1, 32) * size)
        self.patches, self.mixed = nn.Linear(16, 32), nn.Linear(32, 32)
        self.first, self.last, self.head = nn.LayerNorm(32), nn.LayerNorm(32), nn.Linear(32, 8)

    def forward(self, x):
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), self.patches(x)], 1)
        h = self.mixed(self.first(x))
        return self.head(self.last(x + 0.02 * h + 0.02 * h.mean(1, keepdim=True))[:, 0])


@pytest.mark.parametrize(("size", "kind", "floor"), [(0.02, "int16", 28.0), (0.6, "int8", 28.0)])
def test_a_small_class_token_is_stored_in_16_bits(size: float, kind: str, floor: float) -> None:
    module = Classified(size).eval()
    rng = np.random.default_rng(1)
    calib, fresh = (rng.standard_normal((count, 12, 16)).astype(np.float32) for count in (16, 16))
    model, scheme, _ = compiler.integer_model(module, (torch.randn(1, 12, 16),), CompileOptions(calib={"": calib}))
    before = frontend.load(module, example=(torch.randn(1, 12, 16),))
    run(before, FLOAT, floating)
    read = [str(v.name) for n in before.graph if n.op_type == "RowNorm" for v in n.inputs if v]
    assert {scheme.values[name].dtype for name in read} == {kind}
    name = str(model.graph.inputs[0].name)
    got = np.concatenate([next(iter(interpreter.run(model, {name: x[None]}).values())) for x in fresh])
    with torch.no_grad():
        want = module(torch.from_numpy(fresh)).numpy()
    noise = ((got - want) ** 2).sum()
    assert 10 * np.log10((want**2).sum() / noise) > floor
