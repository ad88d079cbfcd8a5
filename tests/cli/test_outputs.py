"""Where outputs may go is known before the work starts, and a failure leaves the folder as it was."""

import os

import numpy as np
import pytest

from edgegate.cli.output import writable
from tests import tiny_program as tiny
from tests.cli import models
from tests.cli.command import contents
from tests.forked import as_nobody, world

CALLS = {
    "compile": ["compile", "net.onnx", "-o"],
    "quantize": ["quantize", "net.onnx", "-o"],
    "report": ["quantize", "net.onnx", "--report"],
    "scheme": ["quantize", "net.onnx", "--scheme-out"],
    "run": ["run", "m.egate", "-i", "x.npz", "-o"],
}


@pytest.fixture
def inputs(folder, artifact):
    """net.onnx, m.egate and x.npz."""
    models.write(folder / "net.onnx")
    np.savez(folder / "x.npz", x=np.ones((1, 8), np.float32))


@pytest.fixture
def idle(monkeypatch):
    """Nothing may be compiled or run."""

    def work(*_, **__):
        raise AssertionError("the work has started")

    for name in ("compiler.compile_model", "compiler.quantize_model", "runtime.Session"):
        monkeypatch.setattr(f"edgegate.{name}", work)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("nowhere/y", 5, "nowhere/y: the folder nowhere does not exist"),
        ("x.npz/y", 5, "x.npz/y: Not a directory"),
        ("mine", 5, "mine: "),
        ("fifo", 5, "fifo: exists and is not a regular file"),
        ("/dev/null", 5, "/dev/null: exists and is not a regular file"),
    ],
)
def test_places_where_nothing_can_be_written(edgegate, folder, inputs, idle, call, path, code, words):
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.tex").write_text("x")
    os.mkfifo(folder / "fifo")
    (line,) = edgegate.refused(code, *CALLS[call], path)
    assert line.startswith(words)


def test_a_folder_that_is_not_ours():
    with world() as place:
        assert as_nobody(lambda: writable(f"{place}/open/y")) == "None"
        said = as_nobody(lambda: writable(f"{place}/locked/y"))
    assert said == f"FileError: {place}/locked/y: no permission (Permission denied)"


@pytest.mark.parametrize(
    "arguments",
    [
        ["compile", "net.onnx", "-o", "net.onnx"],
        ["compile", "net.onnx", "--calib", "x.npz", "-o", "x.npz"],
        ["quantize", "net.onnx", "-o", "./net.onnx"],
        ["quantize", "net.onnx", "-o", "y", "--report", "y"],
        ["quantize", "net.onnx", "--scheme-out", "net.int.onnx"],
        ["quantize", "net.onnx", "--scheme", "link", "--scheme-out", "s.json"],
        ["run", "m.egate", "-i", "x.npz", "-o", "m.egate"],
        ["run", "m.egate", "-i", "x.npz", "-o", "x.npz"],
    ],
)
def test_no_output_replaces_an_input_or_another_output(edgegate, folder, inputs, idle, arguments):
    (folder / "s.json").write_text("{}")
    (folder / "link").symlink_to("s.json")
    (line,) = edgegate.refused(2, *arguments)
    assert line.endswith(": an input, or named for two outputs")


@pytest.mark.parametrize("command", ["compile", "quantize", "run"])
def test_a_disk_that_fills_up_leaves_nothing(edgegate, folder, inputs, monkeypatch, command):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = contents(folder)
    monkeypatch.setattr(os, "fsync", full)
    (line,) = edgegate.refused(5, *CALLS[command], "y")
    assert line.startswith("y: no space left: need ")
    assert contents(folder) == before


def test_an_artifact_that_is_there_is_replaced(edgegate, folder, inputs, monkeypatch):
    made = tiny.artifact(b"new")
    monkeypatch.setattr("edgegate.compiler.compile_model", lambda *_: made)
    edgegate.good("compile", "net.onnx", "-o", "m.egate")
    assert edgegate.good("report", "m.egate").out.count("program.so  3 bytes") == 1
    edgegate.good("compile", "net.onnx", "-o", "out/")
    assert (folder / "out" / "program.so").read_bytes() == b"new"
    edgegate.good("compile", "net.onnx", "-o", "out")
    assert (folder / "out" / "program.so").read_bytes() == b"new"
