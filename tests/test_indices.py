"""Tokens, places and masks: what is computed of integers and bools is exact, in every engine."""

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
from edgegate import interpreter, replay
from edgegate.errors import CompileError
from tests.routed import Net, compiled, decibels

WORDS, LENGTH, WIDTH = 50, 12, 16
TOKENS = torch.randint(0, WORDS, (1, LENGTH), generator=torch.Generator().manual_seed(3))


class Embedded(Net):
    """Words and their places, as language models begin."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.out = nn.Linear(WIDTH, 8)

    def forward(self, x):
        return self.out(torch.relu(self.words(x) + self.places(torch.arange(x.shape[1]))))


class Counted(Embedded):
    """Places that count the words that are no padding, which RoBERTa has."""

    def forward(self, x):
        there = x.ne(1).int()
        places = (torch.cumsum(there, 1).type_as(there) * there).long()
        return self.out(self.words(x) + self.places(places.clamp(max=LENGTH - 1)))


class Bag(Embedded):
    """The sum of the words that are no padding, over their number."""

    def forward(self, x):
        there = (x != 0).unsqueeze(-1)
        total = (self.words(x) * there.float()).sum(1)
        return self.out(total / there.float().sum(1).clamp(min=1))


class OneHot(Net):
    """A word as a vector of zeros and a one."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(WORDS, 8)

    def forward(self, x):
        return self.out(nn.functional.one_hot(x, WORDS).float())


class Chosen(Embedded):
    """Words of two tables, by a condition of several parts."""

    def __init__(self) -> None:
        super().__init__()
        self.rare = nn.Embedding(WORDS, WIDTH)

    def forward(self, x):
        rare = ((x > 30) & ~(x == 40)) | (x < 2) | ((x >= 7) ^ (x <= 9))
        return self.out(torch.where(rare.unsqueeze(-1), self.rare(x), self.words(x)))


class Picked(Net):
    """An element of each row, at a place that comes from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(WORDS, WORDS)

    def forward(self, x, places):
        return self.out(x).gather(1, places)


@pytest.mark.parametrize(
    ("kind", "least"), [(Embedded, 34), (Counted, 32), (Bag, 32), (OneHot, 34), (Chosen, 33)], ids=lambda v: str(v)
)
def test_of_tokens(kind: Any, least: float) -> None:
    torch.manual_seed(0)
    net = kind()
    session = compiled(net, (TOKENS,))
    assert [s.dtype for s in session.inputs] == ["int64"]
    assert decibels(session, net, [(torch.randint(0, WORDS, (1, LENGTH)),) for _ in range(8)]) > least


def test_places_from_outside() -> None:
    torch.manual_seed(0)
    net = Picked()
    example = torch.randn(4, WORDS), torch.randint(0, WORDS, (4, 3))
    assert decibels(compiled(net, example), net, [(torch.randn(4, WORDS), example[1])]) > 31


LINES = {
    "wrapped": ("t = Add (i, one) y = Gather <axis = 0> (w, t)", "float[1, 6, 2] y"),
    "sum": ("t = Sub (i, one) u = Mul (t, t) y = ReduceSum (u, axes)", "int64[1, 1] y"),
    "clipped": ("t = Clip (i, low, one) u = Min (t, i) y = Max (u, low)", "int64[1, 6] y"),
    "where": ("t = Greater (i, one) u = Not (t) v = Where (t, u, t) y = Cast <to = 7> (v)", "int64[1, 6] y"),
    "counted": (
        "s = Less (i, one) t = Cast <to = 6> (s) u = CumSum <exclusive = 1> (t, at) y = Cast <to = 9> (u)",
        "bool[1, 6] y",
    ),
    "halved": (
        "t = Clip (i, low, three) u = Div (t, two) v = Mod (t, two) m = Mod <fmod = 1> (t, two) a = Add (u, v)"
        " y = Sub (a, m)",
        "int64[1, 6] y",
    ),
    "alike": ("s = Less (i, one) t = Greater (i, two) y = Equal (s, t)", "bool[1, 6] y"),
    "least": ("e = Gather (w, i) f = ArgMin <axis = 1> (e) y = Cast <to = 6> (f)", "int32[1, 1, 2] y"),
    "ranked": ("e = Gather (w, i) y, z = TopK <axis = 1, largest = 0> (e, two)", "float[1, 2, 2] y, int64[1, 2, 2] z"),
    "both": ("e = Gather (w, i) f = Relu (e) g = Greater (e, f) h = Equal (e, f) y = Or (g, h)", "bool[1, 6, 2] y"),
    "known": ("e = Gather (w, i) y = GatherND (e, points)", "float[2, 2] y"),
    "points": ("a = Unsqueeze (i, last) b = Concat <axis = 2> (a, a) y = GatherND (w, b)", "float[1, 6] y"),
}
CONSTANTS = """<float[5, 2] w = {1, 2, 3, -4, 5, 6, -7, 8, 9, 10}, int64[1] one = {1}, int64[1] axes = {1},
    int64 low = {-2}, int64 three = {3}, int64 at = {1}, int64[1] two = {2}, int64[1] last = {-1},
    int64[2, 2] points = {0, 5, -1, 1}>"""


@pytest.mark.parametrize("case", LINES)
def test_every_engine_agrees(case: str, tmp_path) -> None:
    line, outputs = LINES[case]
    source = f'<ir_version: 10, opset_import: ["": 21]> g (int64[1, 6] i) => ({outputs}) {CONSTANTS} {{ {line} }}'
    path = tmp_path / "net.onnx"
    path.write_bytes(ir.to_proto(ir.from_onnx_text(source)).SerializeToString())
    artifact = edgegate.compile(path, calib={"i": np.random.default_rng(9).integers(-2, 2, (50, 6))})
    session = artifact.session()
    replay.verify(session)
    model = ir.serde.deserialize_model(onnx.load_model_from_string(artifact.files["model.onnx"]))
    engine = ort.InferenceSession(artifact.files["model.onnx"])
    for seed in range(4):
        limit = (2, 5, 1 << 40, 1 << 62)[seed]  # far outside of every table, and of int32
        i = np.random.default_rng(seed).integers(-limit, limit, (1, 6))
        results = session.run({"i": i})
        for name, value in zip([o.name for o in engine.get_outputs()], engine.run(None, {"i": i}), strict=True):
            np.testing.assert_array_equal(results[name], value)
            np.testing.assert_array_equal(interpreter.run(model, {"i": i})[name], value)
    if case == "wrapped":
        table = np.array([[1, 2], [3, -4], [5, 6], [-7, 8], [9, 10]])
        found = session.run({"i": np.array([[-6, -2, -1, 3, 4, 1 << 40]])})["y"][0]
        np.testing.assert_allclose(found, table[[0, 4, 0, 4, 4, 4]], atol=0.05)  # -5 is 0, -1 is 4, what is past is 4


def test_no_telling_what_an_integer_may_be() -> None:
    class Number(Net):
        def forward(self, x):
            return torch.sigmoid(x.float())

    with pytest.raises(CompileError, match=r"input x: is an integer that picks from nothing.*give calibration data"):
        edgegate.compile(Number(), (torch.zeros(1, 3, dtype=torch.long),))
    data = np.random.default_rng(0).integers(-3, 4, (50, 3))
    session = edgegate.compile(Number(), (torch.zeros(1, 3, dtype=torch.long),), calib={"": data}).session()
    assert decibels(session, Number(), [(torch.tensor([[-3, 0, 3]]),)]) > 35


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: x[x[:, 0] > 0], r"test_indices.py:\d+: .*shape"),
        (lambda x: torch.sigmoid(x).long().float(), r"test_indices.py:\d+: .*cuts a number to an integer"),
        (lambda x: x[:, : int(x.shape[1])].nonzero().float(), r"test_indices.py:\d+"),
    ],
)
def test_refused_with_the_line(call: Any, said: str) -> None:
    class Asked(Net):
        def forward(self, x):
            return call(x)

    with pytest.raises(CompileError, match=said):
        edgegate.compile(Asked(), (torch.randn(4, 6),))
