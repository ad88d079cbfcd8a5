"""Models with logic from torch to integers: exact where everything is bits, close where numbers stand beside them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from edgegate import interpreter
from edgegate.compiler import integer_model
from edgegate.errors import CompileError
from edgegate.nn import GroupSum, Lut, Threshold
from edgegate.options import CompileOptions

BATCH = 6


def lut(inputs: int, outputs: int, k: int = 2, seed: int = 0) -> Lut:
    """Gates of every kind, many of them constants and wires."""
    generator = torch.Generator().manual_seed(seed + inputs + outputs)
    tables = torch.randint(0, 2, (outputs, 2**k), generator=generator)
    tables[::5] = torch.arange(2**k) & 1
    tables[1::7] = 1
    return Lut(torch.randint(0, inputs, (outputs, k), generator=generator), tables.bool())


class Net(nn.Module):
    """A module of parts and a function of them."""

    def __init__(self, forward: Callable[..., object], **parts: nn.Module) -> None:
        super().__init__()
        self.parts, self.function = nn.ModuleDict(parts), forward

    def forward(self, *x: Tensor) -> object:
        return self.function(self.parts, *x)


def bits(*dims: int) -> Tensor:
    return torch.randint(0, 2, dims, generator=torch.Generator().manual_seed(1)).float()


def reals(*dims: int) -> Tensor:
    return torch.rand(dims, generator=torch.Generator().manual_seed(2))


def both(net: nn.Module, *x: Tensor, **options: object) -> tuple[list[np.ndarray], list[np.ndarray], list[str]]:
    """What torch computes, what the integer model does (in the interpreter and in ONNX Runtime), and its ops."""
    net.eval()
    with torch.no_grad():
        wanted = net(*x)
    model, _, _ = integer_model(net, x, CompileOptions(batch=BATCH, **options))  # type: ignore[arg-type]
    feed = {str(v.name): data.numpy() for v, data in zip(model.graph.inputs, x, strict=True)}
    found = list(interpreter.run(model, feed).values())
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString())
    for ours, theirs in zip(found, session.run(None, feed), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    tensors = wanted if isinstance(wanted, tuple) else (wanted,)
    return [t.numpy() for t in tensors], found, [n.op_type for n in model.graph]


def exact(net: nn.Module, *x: Tensor) -> list[str]:
    """The ops of the integer model, which computes what torch does, bit for bit."""
    wanted, found, ops = both(net, *x)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    return ops


def stack(inputs: int = 20, k: int = 2) -> nn.Sequential:
    return nn.Sequential(lut(inputs, 50, k), lut(50, 40), lut(40, 30))


@pytest.mark.parametrize("k", [1, 3, 6])
def test_gates_of_every_width(k: int) -> None:
    assert exact(stack(k=k), bits(BATCH, 20)) == ["QuantizeLinear", "Logic", "DequantizeLinear"]


@pytest.mark.parametrize(("groups", "tau", "beta"), [(5, 1.0, 0.0), (5, 3.0, 0.5), (7, 0.3, -2.0), (30, 10.0, 0.0)])
def test_scores_are_those_of_torch(groups: int, tau: float, beta: float) -> None:
    net = nn.Sequential(stack(), GroupSum(groups, tau=tau, beta=beta))
    assert exact(net, bits(BATCH, 20)) == ["QuantizeLinear", "Logic", "GroupSum", "Scores"]


def test_a_class() -> None:
    net = Net(lambda p, x: p["net"](x).argmax(-1), net=nn.Sequential(stack(), GroupSum(5, tau=3.0)))
    assert exact(net, bits(BATCH, 20)) == ["QuantizeLinear", "Logic", "GroupSum", "ArgMax"]


def test_thresholds_at_the_edge_round_nothing() -> None:
    """Inputs on the thresholds, a float32 below and above."""
    limits = torch.tensor([[0.25, 0.5, 0.75]])
    net = Net(lambda p, x: p["net"](p["t"](x).flatten(1)), t=Threshold(limits), net=stack(60))
    x = limits[0, torch.arange(BATCH * 20) % 3].reshape(BATCH, 20)
    steps = torch.tensor([-1.0, 0.0, 1.0])[torch.arange(BATCH * 20) % 5 % 3].reshape(BATCH, 20)
    near = torch.nextafter(x, x + steps)
    assert exact(net, near) == ["Threshold", "Reshape", "Logic", "DequantizeLinear"]


def test_plain_comparisons_are_thresholds() -> None:
    limits = torch.tensor([0.3, 0.6])
    net = Net(lambda p, x: p["net"]((x.flatten(1).unsqueeze(-1) >= limits).float().flatten(1)), net=stack(40))
    assert exact(net, reals(BATCH, 1, 4, 5)) == ["Threshold", "Reshape", "Logic", "DequantizeLinear"]


def test_pooled_bits() -> None:
    """An OR pool between layers, as in convolutional networks of gates."""

    def forward(p: nn.ModuleDict, x: Tensor) -> Tensor:
        maps = p["first"](x.flatten(1)).reshape(-1, 2, 5, 5)
        return p["last"](nn.functional.max_pool2d(maps, 2, 2, padding=1).flatten(1))

    net = Net(forward, first=lut(20, 50, 3), last=nn.Sequential(lut(18, 30), GroupSum(3)))
    assert exact(net, bits(BATCH, 4, 5)) == ["QuantizeLinear", "Reshape", "Logic", "GroupSum", "Scores"]


def test_a_state_goes_in_and_comes_out() -> None:
    def forward(p: nn.ModuleDict, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        made = p["cell"](torch.cat([x, state], 1))
        return p["sum"](made[:, 16:]), made[:, :16]

    net = Net(forward, cell=nn.Sequential(lut(26, 60, 4), lut(60, 36)), sum=GroupSum(4, tau=3.0))
    ops = exact(net, bits(BATCH, 10), bits(BATCH, 16))
    assert ops.count("Logic") == 1


def test_numbers_before_and_behind() -> None:
    """A convolution, its values compared, gates, then a head that reads bits and one that reads counts."""

    def forward(p: nn.ModuleDict, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        made = p["gates"]((torch.relu(p["conv"](x)).flatten(1) > 0.3).float())
        counts = p["sum"](made)
        return p["head"](made), p["other"](counts), counts

    torch.manual_seed(0)
    net = Net(
        forward, conv=nn.Conv2d(1, 4, 3), gates=nn.Sequential(lut(144, 64, 4), lut(64, 48)), head=nn.Linear(48, 5),
        sum=GroupSum(6, tau=2.0, beta=0.25), other=nn.Linear(6, 3),
    )  # fmt: skip
    wanted, found, ops = both(net, reals(BATCH, 1, 8, 8), calib={"": reals(32, 1, 8, 8).numpy()})
    assert ops.count("Logic") == 1 and ops.count("Threshold") == 1 and "Conv2d" in ops
    for ours, theirs in zip(found, wanted, strict=True):
        assert np.linalg.norm(ours - theirs) < 0.1 * np.linalg.norm(theirs)
    assert np.array_equal(found[2] * 2 - 0.25, np.round(found[2] * 2 - 0.25))  # counts, plus beta, over tau


def test_all_outputs_constant() -> None:
    """Gates that read nothing leave a sum of constants."""
    never = Lut(torch.zeros(12, 2, dtype=torch.int64), torch.zeros(12, 4).bool())
    always = Lut(torch.zeros(6, 2, dtype=torch.int64), torch.ones(6, 4).bool())
    for last in (never, always):
        exact(nn.Sequential(lut(20, 30), last, GroupSum(3)), bits(BATCH, 20))
        exact(nn.Sequential(lut(20, 30), last), bits(BATCH, 20))


def test_two_thousand_classes() -> None:
    net = nn.Sequential(lut(30, 6000), GroupSum(2000, tau=2.0))
    exact(net, bits(BATCH, 30))


@pytest.mark.parametrize(
    ("net", "what"),
    [
        (nn.Sequential(nn.Linear(20, 20), lut(20, 5)), "is a number stored as int8, not a bit"),
        (nn.Sequential(nn.Linear(20, 20), GroupSum(5)), "is a number and not a bit"),
        (nn.Sequential(lut(20, 8), GroupSum(2, tau=-1.0)), "its tau is -1"),
    ],
    ids=["numbers into gates", "numbers counted", "tau below 0"],
)
def test_refused(net: nn.Module, what: str) -> None:
    with pytest.raises(CompileError, match=what):
        integer_model(net, (bits(BATCH, 20),), CompileOptions(batch=BATCH))
