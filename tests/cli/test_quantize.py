"""``edgegate quantize``: an integer graph for ONNX Runtime, the scheme it follows, and what was proved."""

import json

import numpy as np
import onnxruntime
import pytest

from tests.cli import models


@pytest.fixture
def net(folder):
    """net.onnx, a good one."""
    models.write(folder / "net.onnx")


def test_the_graph_runs_in_onnx_runtime(edgegate, folder, net):
    done = edgegate.good("quantize", "net.onnx", "--batch", "2", "--input-range", "-1,1")
    size = (folder / "net.int.onnx").stat().st_size
    assert (done.out, done.lines) == ("", (f"net.int.onnx: {size} bytes",))
    session = onnxruntime.InferenceSession(folder / "net.int.onnx", providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": np.ones((2, 4), np.float32)})
    exact = np.array([16, 20]) / (1 + np.exp(-np.array([8.0, 4.0])))
    assert np.abs(y - exact).max() < 1  # of the order of a step: the arithmetic itself is tested elsewhere


def test_report_and_scheme(edgegate, folder, net):
    done = edgegate.good("quantize", "net.onnx", "--report", "r.json", "--scheme-out", "s.json", "--json", "-o", "a")
    found = json.loads(done.out)
    assert (found["schema"], found["command"], found["output"], found["scheme"]) == (1, "quantize", "a", "s.json")
    assert found["report"] == json.loads((folder / "r.json").read_text())
    bounds = found["report"]["accumulators"]
    assert len(bounds) >= 2  # one for each layer
    assert all(-(1 << 31) <= entry["low"] < entry["high"] < 1 << 31 for entry in bounds)
    assert "values" in json.loads((folder / "s.json").read_text())


def test_a_scheme_is_followed_to_the_byte(edgegate, folder, net):
    np.savez(folder / "c.npz", x=np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32))
    edgegate.good("quantize", "net.onnx", "--calib", "c.npz", "--int16", "a*", "--scheme-out", "s.json", "-o", "a")
    edgegate.good("quantize", "net.onnx", "--scheme", "s.json", "--scheme-out", "t.json", "-o", "b")
    edgegate.good("quantize", "net.onnx", "-o", "c")
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes() != (folder / "c").read_bytes()
    assert (folder / "s.json").read_bytes() == (folder / "t.json").read_bytes()


def test_a_ratio_that_is_asked_for(edgegate, folder, net):
    np.savez(folder / "c.npz", x=np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32))
    done = edgegate.good("quantize", "net.onnx", "--calib", "c.npz", "--sqnr", "40", "--report", "r.json", "-o", "a")
    reached = json.loads((folder / "r.json").read_text())["sqnr"]
    assert reached >= 40
    assert done.lines[0] == f"signal to noise on data held out: {reached:.1f} dB"
    said = edgegate.refused(3, "quantize", "net.onnx", "--calib", "c.npz", "--sqnr", "100", "-o", "b")
    assert "16 bits for every activation" in said[0] and not (folder / "b").exists()
    assert "give calibration data" in edgegate.refused(2, "quantize", "net.onnx", "--sqnr", "40")[0]
