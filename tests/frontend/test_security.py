"""Every hostile file is refused in one line, with the right exception, without running or growing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.frontend import corpus

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("corpus")
    done = subprocess.run(
        [sys.executable, "-m", "tests.frontend.hostile_child", str(folder)],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", corpus.KINDS)
def test_refused(kind: str, outcomes: dict[str, Any]) -> None:
    outcome, expected = outcomes[kind], corpus.KINDS[kind][1]
    assert not outcome["marker"], "the file ran code"
    assert outcome["met"] == (expected.__name__ if expected else None), outcome["message"]
    assert "\n" not in outcome["message"]
    assert len(outcome["message"]) < 500
    assert outcome["megabytes"] < 300


def test_the_way_out_is_named(outcomes: dict[str, Any]) -> None:
    for kind in (
        "pt_whole_module",
        "pt_torchscript",
        "pt_reduce",
        "pt_legacy_format",
        "pt2_weights_use_pickle",
    ):
        assert "edgegate.save" in outcomes[kind]["message"]
        assert "--model" in outcomes[kind]["message"]


def test_messages_say_what_is_wrong(outcomes: dict[str, Any]) -> None:
    said = {kind: outcome["message"] for kind, outcome in outcomes.items()}
    assert "w: 3 of 4 elements are NaN or infinite" in said["onnx_nan_weights"].replace("tensor ", "")
    assert "external data" in said["onnx_above_2_gib"]
    assert "hard link" in said["onnx_external_hardlink"]
    assert "link or a device: link" in said["onnx_external_symlink"]
    assert "4 TiB" in said["onnx_constant_of_a_tib"]
    assert "torch.nn.modules.linear.Linear" in said["pt_whole_module"]
