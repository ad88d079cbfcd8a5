"""What the base installation can do: run, verify and report, with nothing that only an extra brings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from edgegate import _npz
from tests.runtime.definition import expected

ROOT = Path(__file__).parents[2]
X = np.linspace(-60, 60, 24, dtype=np.float32).reshape(3, 8)


def normal(name: str) -> str:
    """The name of a distribution as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def base(name: str) -> set[str]:
    """The distributions that come with ``name`` and no extra."""
    found: set[str] = set()
    waiting = [Requirement(name)]
    while waiting:
        wanted = waiting.pop()
        if normal(wanted.name) in found:
            continue
        found.add(normal(wanted.name))
        needs = [Requirement(text) for text in metadata.requires(wanted.name) or ()]
        extras = wanted.extras or {""}
        waiting += [n for n in needs if n.marker is None or any(n.marker.evaluate({"extra": e}) for e in extras)]
    return found


@pytest.fixture(scope="module")
def outside():
    """The packages that no distribution of the base holds."""
    inside = base("edgegate-compiler")
    homes = metadata.packages_distributions()
    return {package for package, names in homes.items() if not inside & set(map(normal, names))}


@pytest.fixture
def bare(folder, outside):
    """The command in a process that has the base alone."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "tests.cli.without", ",".join(sorted(outside)), *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return call


def test_the_base_is_small(outside):
    assert outside >= {"torch", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "safetensors", "brevitas", "scipy"}
    assert outside.isdisjoint({"edgegate", "numpy", "tvm", "tvm_ffi", "typer", "rich"})


def test_an_artifact_runs_and_is_verified(bare, folder, artifact):
    np.savez(folder / "x.npz", x=X)
    done = bare("run", "m.egate", "-i", "x.npz", "-o", "y.npz")
    assert done.returncode == 0, done.stderr
    assert np.array_equal(_npz.load(folder / "y.npz")["y"], expected(X))
    done = bare("verify", "m.egate")
    assert (done.returncode, done.stderr) == (0, "m.egate: 2 test vectors, every bit equal\n")


def test_report_and_bench(bare, artifact):
    done = bare("report", "m.egate")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("target      llvm\n")
    assert bare("bench", "m.egate", "--rounds", "3").returncode == 0


@pytest.mark.parametrize(
    "arguments", [["compile", "net.onnx"], ["quantize", "net.onnx"], ["bench", "m.egate", "--peer", "onnxruntime"]]
)
def test_what_needs_the_extra_says_so(bare, folder, artifact, arguments):
    before = sorted(os.listdir(folder))
    done = bare(*arguments)
    assert (done.returncode, done.stdout) == (6, "")
    assert re.fullmatch(r'error: \w+ is not installed: pip install "edgegate-compiler\[compile\]"\n', done.stderr), (
        done.stderr
    )
    assert sorted(os.listdir(folder)) == before
