# mypy: disable-error-code="union-attr"
"""Run-time choices: of a branch for each sample, of the tokens that go through a block. The same bits everywhere."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

import edgegate
from edgegate.nn import DynamicSwitch, GatedCompression, GateSkip
from edgegate.stage_figures import flow
from edgegate.stage_plan import Choice, plan_of

X = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 1, 8, 8)).astype(np.float32))
TOKENS = torch.from_numpy(np.random.default_rng(1).normal(size=(64, 12, 16)).astype(np.float32))


def sqnr(real, found) -> float:
    """In dB."""
    return float(10 * np.log10((real**2).sum() / ((real - found) ** 2).sum()))


class Switched(nn.Module):
    """Layers around two branches."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        heavy = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1))
        self.switch = DynamicSwitch(nn.Conv2d(4, 4, 1), heavy)
        self.last = nn.Linear(256, 3)
        self.balance()

    def balance(self):
        """Let half of the samples take each branch, none of them by a hair."""
        self(X)
        with torch.no_grad():
            logits = self.switch.logits.flatten().sort().values
            middle = logits[10:30]
            place = 10 + int((middle[1:] - middle[:-1]).argmax())
            self.switch.bias -= (logits[place] + logits[place + 1]) / 2
        self.eval()

    def forward(self, x):
        """Three numbers."""
        return self.last(torch.relu(self.switch(torch.relu(self.first(x)))).flatten(1))


class Cond(Switched):
    """The choice as torch.cond, of one sample a call."""

    def forward(self, x):
        """Three numbers."""
        if self.training or not torch.compiler.is_exporting():
            return super().forward(x)
        y = torch.relu(self.first(x))
        passed = nn.functional.linear(y.mean((2, 3)), self.switch.weight, self.switch.bias).reshape(()) > 0
        z = torch.cond(passed, lambda y: self.switch.heavy(y), lambda y: self.switch.light(y), (y,))
        return self.last(torch.relu(z).flatten(1))


def compiled(net, *targets, data=X, batch=1):
    """The artifact, in one piece without targets."""
    name = "input" if isinstance(net, nn.Sequential) else "x"
    return edgegate.compile(net, (data[:batch],), calib={name: data.numpy()}, batch=batch, stage_targets=targets)


def in_onnx(artifact, data) -> np.ndarray:
    """What ONNX Runtime makes of the whole integer graph, call by call."""
    session = ort.InferenceSession(artifact.files["model.onnx"], providers=["CPUExecutionProvider"])
    name, size = session.get_inputs()[0].name, session.get_inputs()[0].shape[0]
    return np.concatenate([session.run(None, {name: data.numpy()[i : i + size]})[0] for i in range(0, len(data), size)])


@pytest.mark.parametrize(("kind", "batch"), [(Switched, 1), (Switched, 4), (Cond, 1)])
def test_only_the_branch_that_is_taken_runs(kind, batch):
    net = kind()
    staged = compiled(net, *["llvm"] * 4, batch=batch)
    y = staged(X)
    assert np.array_equal(y, in_onnx(staged, X))
    assert staged.verify() > 4
    assert sqnr(net(X).detach().numpy(), y) > 33
    heavy = (net.switch.logits > 0).numpy()[:, 0]
    ran = flow(staged.session(), {"x": X}).ran
    assert np.array_equal(ran, [np.ones(40), heavy, ~heavy, np.ones(40)])
    plan = plan_of(staged)
    assert [program.macs for program in plan.programs] == [64 * 36 + 4, 64 * 576, 64 * 16, 768]
    assert sum(isinstance(step, Choice) for step in plan.steps) == 1


def test_a_cut_and_a_switch():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), GatedCompression(), Switched().switch, nn.Flatten(), nn.LazyLinear(2)
    )
    net(X)
    with torch.no_grad():
        net.eval()(X)
        net[2].gate_bias -= net[2].logits.median()
    whole, staged = compiled(net), compiled(net, *["llvm"] * 5)
    (y, bits), (found, same) = whole(X), staged(X)
    passed = bits[:, 0]
    assert 10 < passed.sum() < 30
    assert np.array_equal(bits, same)
    assert np.array_equal(found[passed], y[passed])
    assert not found[~passed].any()
    ran = flow(staged.session(), {"input": X}).ran
    assert ran[2].any()
    assert np.array_equal(ran[2] | ran[3], passed)
    assert not (ran[2] & ran[3]).any()


def test_a_choice_that_spares_no_layer_is_no_stage():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 8)

        def forward(self, x):
            y = self.layer(x.flatten(1))
            return torch.where(y.mean(1, keepdim=True) > 0, y, torch.tanh(y))

    with pytest.raises(edgegate.CompileError, match="has no gate at which it could be cut into stages"):
        compiled(Masked(), "llvm", "llvm")


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("how", [{"budget": 4}, {"theta": 0.5}])
def test_tokens_skip_a_block(how, batch):
    torch.manual_seed(0)
    block = nn.Sequential(nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 16))
    net = nn.Sequential(nn.Linear(16, 16), GateSkip(block, 16, **how), GateSkip(nn.Linear(16, 16), 16, **how)).eval()
    artifact = compiled(net, data=TOKENS, batch=batch)
    real, y = net(TOKENS).detach().numpy(), artifact(TOKENS)
    alike = np.abs(real - y).max(-1) < 0.2
    assert alike.mean() > 0.98
    assert sqnr(real[alike], y[alike]) > 33
    assert artifact.verify() == 3
    assert np.array_equal(y, in_onnx(artifact, TOKENS))


def test_skipped_tokens_are_the_residual():
    torch.manual_seed(0)
    layer = GateSkip(nn.Linear(16, 16), 16, budget=4).eval()
    changed = (layer(TOKENS) != TOKENS).any(-1)
    assert (changed.sum(1) == 4).all()
    best = layer.scores[..., 0].topk(4, dim=1).indices.sort(1).values
    assert torch.equal(changed.nonzero()[:, 1].reshape(64, 4), best)


def test_both_layers_learn():
    for layer, x in ((Switched().switch.train(), torch.randn(5, 4, 8, 8)), (GateSkip(nn.Linear(16, 16), 16), TOKENS)):
        made = layer.train()(x)
        cost = layer.usage if isinstance(layer, DynamicSwitch) else layer.scores.mean()
        (made.square().mean() + cost).backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())


def test_impossible_layers_are_refused():
    with pytest.raises(ValueError, match="theta lies in"):
        DynamicSwitch(nn.Identity(), nn.Identity(), theta=1.0)
    with pytest.raises(ValueError, match="there was none"):
        _ = DynamicSwitch(nn.Identity(), nn.Identity()).usage
    with pytest.raises(ValueError, match="impossible gate: dim 4, a budget of 0 tokens"):
        GateSkip(nn.Identity(), 4, budget=0)
    with pytest.raises(ValueError, match="a budget of 13 tokens for 12"):
        GateSkip(nn.Identity(), 16, budget=13).eval()(TOKENS)
