# mypy: disable-error-code="union-attr"
"""Stages: on samples that no gate stops they give the bits of the program of one piece; the others stop early."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import edgegate
from edgegate import _json
from edgegate.artifact import Artifact
from edgegate.cli import main
from edgegate.errors import CompileError, InputError, UnsafeError
from edgegate.manifest import FileEntry
from edgegate.nn import GatedCompression
from edgegate.stage_figures import PREVALENCES, Costs, figures, flow
from edgegate.stage_plan import STAGES, Choice, Plan, plan_of, stages_of

X = np.random.default_rng(0).normal(size=(48, 1, 8, 8)).astype(np.float32)
CALIB = {"x": X}


class Twice(nn.Module):
    """Two cuts; what is made before the first is read behind both."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.cut = GatedCompression(mask="dynamic")
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.again = GatedCompression(pool="flatten")
        self.last = nn.Linear(512, 10)

    def forward(self, x):
        """Logits."""
        early = torch.relu(self.first(x))
        middle = self.again(torch.relu(self.second(self.cut(early))))
        return self.last((middle + early).flatten(1))


@pytest.fixture(scope="module")
def net():
    """Gates that stop half of what reaches them."""
    torch.manual_seed(0)
    made = Twice()
    made(torch.from_numpy(X))
    with torch.no_grad():
        for cut in (made.cut, made.again):
            made.eval()(torch.from_numpy(X))
            cut.gate_bias -= cut.logits.median()
    return made


def compiled(net, *targets, batch=1):
    """The artifact, in one piece without targets."""
    example = (torch.from_numpy(X[:batch]),)
    return edgegate.compile(net, example, calib=CALIB, batch=batch, stage_targets=targets)


@pytest.fixture(scope="module")
def whole(net):
    """The program of one piece."""
    return compiled(net)


@pytest.fixture(scope="module")
def staged(net):
    """The same in three stages."""
    return compiled(net, "llvm", "llvm,mcpu=x86-64-v3", "llvm,threads=1")


def alike(whole, staged):
    """Equal where all gates are open; nothing but zeros and shut gates behind the first that is shut."""
    (y, first, second), (found, *bits) = whole(X), staged(X)
    passed = (first & second).reshape(-1)
    assert 0 < passed.sum() < first.sum() < len(X)
    assert np.array_equal(found[passed], y[passed])
    assert not found[~passed].any()
    assert np.array_equal(bits[0], first)
    assert np.array_equal(bits[1], first & second)


def test_stages_give_the_bits_of_the_whole(whole, staged):
    alike(whole, staged)


def test_several_samples_a_call_are_brought_together(net, whole):
    four = compiled(net, "llvm", "llvm", "llvm", batch=4)
    alike(whole, four)
    assert np.array_equal(four(X[:3])[0], four(X)[0][:3])
    assert four.verify() > 3


@pytest.mark.parametrize("name", ["net.egate", "net/"])
def test_saved_loaded_verified_and_taken_apart(tmp_path, whole, staged, name):
    path = f"{tmp_path}/{name}"
    staged.save(path)
    loaded = edgegate.load(path)
    alike(whole, loaded)
    stages = stages_of(loaded)
    assert [stage.manifest.target.mcpu for stage in stages][1:2] == ["x86-64-v3"]
    assert loaded.verify() == sum(stage.verify() for stage in stages) + 3
    passed = stages[0](X)[-1]
    assert np.array_equal(passed, whole(X)[1])


def test_the_operating_point_moves_without_compiling(whole, staged):
    shut = {"gate_0": 2**31 - 1}
    assert not staged.session(operating_point=shut)(X)[1].any()
    least = {"gate_0": -(2**31), "gate_1": -(2**31)}
    assert np.array_equal(staged.session(operating_point=least)(X)[0], whole(X)[0])


def test_what_crosses_and_what_it_costs(staged):
    plan, session = plan_of(staged), staged.session()
    found = flow(session, CALIB)
    assert [program.macs for program in plan.programs] == [8 * 9 * 64 + 72, 8 * 8 * 9 * 64 + 512, 5120]
    assert np.array_equal(found.ran, np.stack([np.ones(48, bool), *(b[:, 0] for b in staged(X)[1:])]))
    assert np.array_equal(found.dense, found.ran * np.array([[0], [512 * (1 + 0)], [1024]]))
    assert (found.packed[1:] <= found.dense[1:] + 2)[found.ran[1:]].all()
    assert found.packed[1].sum() < found.dense[1].sum()
    positive = X.mean((1, 2, 3)) > 0
    told = figures(plan, found, positive, Costs.of(3, [1.0], [2.0, 0.0]))
    assert told["early_stops"] == np.mean(~found.passed[~positive])
    assert told["false_stops"] == np.mean(~found.passed[positive])
    half = told["expected"][PREVALENCES.index(0.5)]
    rates = (found.ran[:, positive].mean(1) + found.ran[:, ~positive].mean(1)) / 2
    macs = float(rates @ [program.macs for program in plan.programs])
    sent = (found.packed[1, positive].mean() + found.packed[1, ~positive].mean()) / 2
    assert half["macs"] == pytest.approx(macs)
    assert half["energy_pj"] == pytest.approx(macs + 2 * sent)
    assert half["saving"] == pytest.approx(told["whole"]["macs"] / half["energy_pj"])


class Listener(nn.Module):
    """A state that only moves when there is something to hear."""

    def __init__(self):
        super().__init__()
        self.ear, self.cut = nn.Linear(8, 16), GatedCompression(mask="none")
        self.gate, self.value, self.last = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x, h):
        """Three numbers, the next state."""
        heard = self.cut(torch.relu(self.ear(x)))
        h = h + torch.sigmoid(self.gate(heard)) * (torch.tanh(self.value(heard)) - h)
        return self.last(h), h


def test_a_stopped_sample_leaves_the_state_as_it_is():
    torch.manual_seed(0)
    net, x = Listener(), X.reshape(-1, 1, 8)[:64]
    with torch.no_grad():
        net(torch.from_numpy(x[:, 0]), torch.zeros(64, 16))
        net.cut.gate_bias -= net.cut.logits.median()
    example = (torch.from_numpy(x[0]), torch.zeros(1, 16))
    made = edgegate.compile(net.eval(), example, state={"h": 1}, calib={"": x}, stage_targets=("llvm", "llvm"))
    session, before, stops = made.session(), np.zeros((1, 16)), 0
    for sample in x:
        y, passed = session.step(sample)
        after = session.state["h"]
        assert np.array_equal(before, after) == (not passed.any())
        assert passed.any() or not y.any()
        before, stops = after, stops + (not passed.any())
    assert 20 < stops < 44


def test_another_number_of_targets_is_refused(net):
    with pytest.raises(CompileError, match=r"has 3 stages, and 2 stage targets.*stage 1 runs where gate_0; stage 2"):
        compiled(net, "llvm", "llvm")
    with pytest.raises(ValueError, match="a stage target must be one of c, cuda, llvm, verilog, got 'npu'"):
        compiled(net, "npu", "llvm")
    with pytest.raises(ValueError, match="expected triple=, mcpu= or threads=, got 'speed'"):
        compiled(net, "llvm,speed=9", "llvm", "llvm")
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    with pytest.raises(CompileError, match="has no gate at which it could be cut"):
        edgegate.compile(plain, (torch.from_numpy(X[:1]),), stage_targets=("llvm", "llvm"))


def altered(staged, change) -> Artifact:
    """The artifact with another plan."""
    document = json.loads(staged.files[STAGES])
    change(document)
    files = {**staged.files, STAGES: _json.canonical(document)}
    entries = {name: FileEntry.of(data) for name, data in files.items()}
    return Artifact(replace(staged.manifest, files=entries), files)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["steps"][0]["gives"].pop(0), "is read before it is made"),
        (lambda d: d["steps"].reverse(), "is read before it is made"),
        (lambda d: d["steps"][1].update(file="stage9.egate"), r"stage9\.egate is missing"),
        (lambda d: d.pop("cuts"), "the stages lacks cuts"),
        (lambda d: d["steps"][1].update(payloads=[]), "0 payloads for"),
        (lambda d: d.update(batch=0), "impossible stages"),
    ],
)
def test_plans_that_are_none_are_refused(staged, change, words):
    with pytest.raises(UnsafeError, match=words):
        altered(staged, change)(X)


def test_a_plan_is_read_as_it_was_written(staged):
    plan = plan_of(staged)
    choice = Choice(name="y", bit=plan.cuts[0], yes=plan.outputs[0], no=plan.outputs[0])
    both = replace(plan, steps=(*plan.steps, choice))
    assert Plan.of(both.document()) == both


def test_costs_are_one_number_or_one_for_each_stage():
    assert Costs.of(3, None, [1, 2]).byte == (1.0, 2.0)
    for mac in ([1, 2], [-1], [float("nan")]):
        with pytest.raises(InputError, match="picojoules of a MAC, one for each stage"):
            Costs.of(3, mac, None)


def test_no_samples_are_refused(staged):
    with pytest.raises(InputError, match="there are no samples"):
        flow(staged.session(), {"x": X[:0]})


def test_the_command_runs_streams_and_reports(tmp_path, monkeypatch, capsys, staged):
    monkeypatch.chdir(tmp_path)
    staged.save("net.egate")
    np.savez("x.npz", x=X)
    np.savez("labelled.npz", x=X, labels=X.mean((1, 2, 3)) > 0)
    for arguments in (["run", "net.egate", "-i", "x.npz", "--json"], ["report", "net.egate", "--data", "labelled.npz"]):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 0
    told = capsys.readouterr().out
    counts = json.loads(told[: told.index("\n}") + 2])["stages"]
    passed = int(staged(X)[2].sum())
    assert (counts["samples"], counts["passed"], sum(counts["stopped"].values())) == (48, passed, 48 - passed)
    assert counts["ran"]["stage2.egate"] == passed
    assert "of negatives early" in told
    assert "expected          0.1%" in told
