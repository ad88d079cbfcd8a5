"""States on the command line: compile, run, go on, report."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import edgegate
from edgegate import _npz
from tests.state.steps import EXAMPLE, Leaky, X


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    torch.manual_seed(0)
    edgegate.save(Leaky(), EXAMPLE, folder / "step.pt2", dynamic_batch=False)
    np.save(folder / "x.npy", X)
    state = ("--state", "mean=1", "--state", "queue=2", "--state", "last=3", "--steps", "8")
    assert command(folder, "compile", "step.pt2", "--calib", "x.npy", *state, "-o", "step.egate").returncode == 0
    return folder


def command(folder, *arguments):
    run = [sys.executable, "-m", "edgegate", *arguments]
    return subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False)


def test_run_goes_step_by_step_and_on(folder):
    np.save(folder / "first.npy", X[:20])
    np.save(folder / "rest.npy", X[20:])
    done = command(folder, "run", "step.egate", "-i", "first.npy", "-o", "a.npz", "--save", "state.npz")
    assert done.returncode == 0, done.stderr
    done = command(folder, "run", "step.egate", "-i", "rest.npy", "-o", "b.npz", "--restore", "state.npz")
    assert done.returncode == 0 and "linear_1: float32[44, 1, 4]" in done.stderr
    parts = [_npz.load(folder / name)["linear_1"] for name in ("a.npz", "b.npz")]
    whole = edgegate.load(folder / "step.egate").session().steps(X)
    assert np.array_equal(np.concatenate(parts), whole)


def test_report_tells_the_states(folder):
    done = command(folder, "report", "step.egate")
    assert "state       mean  16 bytes  in the next step add\n" in done.stdout
    assert "states      64 bytes, read and written in each step\n" in done.stdout
    assert "sequences   8 steps at once\n" in done.stdout
    shown = json.loads(command(folder, "report", "step.egate", "--json").stdout)
    assert shown["manifest"]["options"]["state"] == ["mean=add", "queue=cat", "last=x"]


def test_a_damaged_state_is_one_line(folder):
    (folder / "damaged.npz").write_bytes(b"PK\3\4")
    done = command(folder, "run", "step.egate", "-i", "x.npy", "--restore", "damaged.npz")
    assert done.returncode and len(done.stderr.splitlines()) == 1 and "damaged.npz" in done.stderr
