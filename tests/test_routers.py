# mypy: disable-error-code="misc, override"
"""Mixtures of experts, routed in integers: every way to choose, every way to compute what was chosen.

A route is a decision: where two logits are nearer than their rounding, the program may choose another expert, which is
right by its own numbers. So outputs are compared where both choose alike, and how often they do not is bounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import nn

import edgegate
from edgegate import replay
from edgegate.passes import FLOAT, run
from edgegate.passes.drop_unused import drop_unused
from edgegate.passes.rank_logits import rank_logits
from edgegate.stages import floating
from tests.grouped import grouped_mm
from tests.routed import Net, answers, compiled

EXPERTS, WIDTH, HIDDEN, TOKENS = 8, 16, 32, 64


class Dense(Net):
    """All experts are computed and weighed, most of them by zero."""

    def __init__(self, k: int = 2) -> None:
        super().__init__()
        self.router, self.k = nn.Linear(WIDTH, EXPERTS), k
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, WIDTH)) for _ in range(EXPERTS)
        )

    def route(self, x):
        values, chosen = self.router(x).sigmoid().topk(self.k, -1)
        return values / values.sum(-1, keepdim=True), chosen

    def forward(self, x):
        weights, chosen = self.route(x)
        y = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            y = y + expert(x) * (weights * (chosen == index)).sum(-1, keepdim=True)
        return y, chosen


class Softmaxed(Dense):
    """The probabilities of the chosen, over their sum (Qwen, Mixtral)."""

    def route(self, x):
        values, chosen = self.router(x).softmax(-1).topk(self.k, -1)
        return values / values.sum(-1, keepdim=True), chosen


class Plain(Dense):
    """The probabilities among all (OLMoE)."""

    def route(self, x):
        return self.router(x).softmax(-1).topk(self.k, -1)


class Late(Dense):
    """A softmax of the chosen logits (GPT-OSS)."""

    def route(self, x):
        values, chosen = self.router(x).topk(self.k, -1)
        return values.softmax(-1), chosen


class Switch(Dense):
    """The one of the greatest probability."""

    def route(self, x):
        return self.router(x).softmax(-1).max(-1, keepdim=True)


class Biased(Dense):
    """A bias for the choice alone, which keeps the load even (DeepSeek-V3)."""

    def route(self, x):
        scores = self.router(x).sigmoid()
        chosen = (scores + torch.linspace(-0.1, 0.1, EXPERTS)).topk(self.k, -1)[1]
        values = scores.gather(-1, chosen)
        return values / (values.sum(-1, keepdim=True) + 1e-20), chosen


class Grouped(Dense):
    """The best of the better half of the groups, -inf for the others (DeepSeek-V3)."""

    def route(self, x):
        scores = self.router(x).sigmoid()
        grouped = (scores + torch.linspace(-0.1, 0.1, EXPERTS)).unflatten(-1, (4, 2))
        groups = grouped.topk(2, -1)[0].sum(-1).topk(2, -1)[1]
        kept = torch.zeros(len(x), 4).scatter(1, groups, 1.0)
        masked = grouped.masked_fill(~kept.bool()[..., None], -torch.inf).flatten(1)
        chosen = masked.topk(self.k, -1)[1]
        return scores.gather(1, chosen), chosen


class Noisy(Dense):
    """Noise in training alone, the others masked before the softmax (Shazeer et al., 2017)."""

    def route(self, x):
        z = self.router(x)
        if self.training:
            z = z + torch.randn_like(z)
        values, chosen = z.topk(self.k, -1)
        gates = torch.zeros_like(z).scatter(-1, chosen, values.softmax(-1))
        return gates.gather(-1, chosen), chosen


class Gathered(Dense):
    """The weights of the chosen experts are gathered, and only those experts are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.randn(EXPERTS, WIDTH, HIDDEN) / 4)
        self.down = nn.Parameter(torch.randn(EXPERTS, HIDDEN, WIDTH) / 6)

    def forward(self, x):
        weights, chosen = self.route(x)
        h = torch.relu(x[:, None, None, :] @ self.up[chosen])
        return ((h @ self.down[chosen]).squeeze(2) * weights[..., None]).sum(1), chosen


class Sorted(Gathered):
    """Rows are sorted by expert, counted, multiplied group by group, and put back (transformers' way)."""

    def forward(self, x):
        weights, chosen = self.route(x)
        groups, order = torch.sort(chosen.flatten())
        counts = torch.histc(groups.float(), bins=EXPERTS, min=0, max=EXPERTS - 1)
        offs = torch.cumsum(counts, 0, dtype=torch.int32)
        h = torch.relu(grouped_mm(x[order // self.k], self.up, offs))
        y = grouped_mm(h, self.down, offs) * weights.flatten()[order][:, None]
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order))
        return y[back].unflatten(0, (-1, self.k)).sum(1), chosen


class Expert(Dense):
    """Experts choose their tokens, which go back to where they were (Zhou et al., 2022)."""

    def forward(self, x):
        values, chosen = self.router(x).softmax(-1).t().topk(4, -1)
        y = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            made = expert(x[chosen[index]]) * values[index][:, None]
            where = (chosen[index][:, None] == torch.arange(len(x))).float()
            y = y + where.t() @ made
        return y, chosen


def compared(net: nn.Module) -> tuple[Any, float, float]:
    """The session of a net, signal to noise in dB where routes are the same, and how often they are not."""
    torch.manual_seed(0)
    net = net.eval()
    session = compiled(net, (torch.randn(TOKENS, WIDTH),))
    signal = noise = flips = 0.0
    for _ in range(4):
        x = torch.randn(TOKENS, WIDTH)
        with torch.no_grad():
            y, chosen = net(x)
        found, route = answers(session, (x,))
        same = (np.sort(route, -1) == np.sort(chosen.numpy(), -1)).all(-1)
        flips += float(1 - same.mean()) / 4
        signal += float(np.square(y.numpy()[same]).sum())
        noise += float(np.square((y.numpy() - found)[same]).sum())
    return session, 10 * float(np.log10(signal / noise)), flips


@pytest.mark.parametrize("kind", [Dense, Softmaxed, Plain, Late, Switch, Biased, Grouped, Noisy, Gathered, Sorted])
def test_every_row_of_the_family(kind: Any) -> None:
    torch.manual_seed(0)
    _, quality, flips = compared(kind())
    assert quality >= 30
    assert flips <= 0.06


def test_experts_choose() -> None:
    torch.manual_seed(0)
    net = Expert().eval()
    session = compiled(net, (torch.randn(16, WIDTH),))
    close = []
    for _ in range(12):
        x = torch.randn(16, WIDTH)
        with torch.no_grad():
            y, chosen = net(x)
        found, route = answers(session, (x,))
        if np.array_equal(np.sort(route, -1), np.sort(chosen.numpy(), -1)):
            close.append(10 * np.log10(np.square(y.numpy()).sum() / np.square(y.numpy() - found).sum()))
    assert len(close) >= 3 and min(close) >= 30


def test_ties_go_to_the_lowest_expert() -> None:
    class Level(Net):
        def forward(self, x):
            return x.topk(3, -1)

    session = edgegate.compile(Level(), (torch.randn(5, 6),)).session()
    x = np.array([[0, 1, 1, 1, 1, 0]] * 5, np.float32)
    places = session.run({session.inputs[0].name: x})[session.outputs[1].name]
    np.testing.assert_array_equal(places, [[1, 2, 3]] * 5)


def test_every_engine_takes_the_same_route() -> None:
    torch.manual_seed(0)
    artifact = edgegate.compile(Softmaxed().eval(), (torch.randn(TOKENS, WIDTH),))
    session, engine = artifact.session(), ort.InferenceSession(artifact.files["model.onnx"])
    replay.verify(session)  # the interpreter's answers
    for _ in range(3):
        x = torch.randn(TOKENS, WIDTH).numpy()
        found = session.run({session.inputs[0].name: x})
        for output, value in zip(engine.get_outputs(), engine.run(None, {session.inputs[0].name: x}), strict=True):
            np.testing.assert_array_equal(found[output.name], value)


def test_weights_of_experts_stay_in_bytes() -> None:
    artifact = edgegate.compile(Gathered().eval(), (torch.randn(4, WIDTH),))
    model = onnx.load_model_from_string(artifact.files["model.onnx"])
    tables = [t for t in model.graph.initializer if list(t.dims)[:1] == [EXPERTS] and len(t.dims) == 3]
    assert [t.data_type for t in tables] == [onnx.TensorProto.INT8] * 2


LOGITS = """<ir_version: 10, opset_import: ["": 21]> g (float[4, 6] z) => (float[4, 2] y, int64[4, 2] i)
    <int64[1] k = {2}, int64[1] last = {-1}> { %s }"""
NAMED = {
    "p = Sigmoid (z) y, i = TopK <axis = 1> (p, k)": ["TopK", "Sigmoid"],
    "p = Softmax (z) y, i = TopK (p, k)": ["Softmax", "TopK", "GatherElements"],
    "p = Softmax (z) v, i = TopK (p, k) s = ReduceSum (v, last) y = Div (v, s)": ["TopK", "Softmax"],
    "p = Softmax <axis = 0> (z) y, i = TopK (p, k)": ["Softmax", "TopK"],
    "p = Sin (z) y, i = TopK (p, k)": ["Sin", "TopK"],
}


@pytest.mark.parametrize("line", NAMED)
def test_logits_are_ranked(line: str) -> None:
    model = ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(LOGITS % line), data_prop=True))
    before, x = ir.to_proto(model).SerializeToString(), np.random.default_rng(0).standard_normal((4, 6), np.float32)
    run(model, (rank_logits, drop_unused), floating)
    assert [n.op_type for n in model.graph] == NAMED[line]
    pair = [ort.InferenceSession(m).run(None, {"z": x}) for m in (before, ir.to_proto(model).SerializeToString())]
    np.testing.assert_allclose(pair[0][0], pair[1][0], rtol=1e-5)
    np.testing.assert_array_equal(pair[0][1], pair[1][1])
    assert rank_logits in FLOAT
