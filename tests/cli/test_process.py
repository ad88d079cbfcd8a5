"""What only a process of its own shows: signals, pipes, full disks, and that nothing else is printed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgegate import load
from tests.cli import models

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
BUFFERED, UNBUFFERED = ENVIRONMENT | {"PYTHONUNBUFFERED": ""}, ENVIRONMENT | {"PYTHONUNBUFFERED": "1"}
COMMAND = [sys.executable, "-m", "edgegate"]


@pytest.mark.parametrize("environment", [BUFFERED, UNBUFFERED], ids=["buffered", "unbuffered"])
def test_a_closed_pipe_is_no_error_to_speak_of(folder, artifact, environment):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, "report", "m.egate"], cwd=folder, env=environment, stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("arguments", [["report", "m.egate"], ["--help"], ["--version"]])
@pytest.mark.parametrize("environment", [BUFFERED, UNBUFFERED], ids=["buffered", "unbuffered"])
def test_a_full_disk_under_stdout(folder, artifact, arguments, environment):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, *arguments], cwd=folder, env=environment, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (5, b"error: No space left on device\n")


def test_ctrl_c_while_it_works(folder, artifact):
    waiting = (
        "import signal, time, edgegate.artifact\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored where the tests run behind a shell
        "def wait(_):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "edgegate.artifact.load = wait\n"
        "from edgegate.cli import main\n"
        "main(['report', 'm.egate'])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", waiting], cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGINT)
        out, err = child.communicate()
    assert (child.returncode, out, err) == (130, b"", b"interrupted\n")


def test_no_library_prints_beside_us(folder):
    """Neither a warning of Python nor a log line of a library gets between the lines of the command."""
    models.write(folder / "net.onnx")
    done = subprocess.run(
        [*COMMAND, "compile", "net.onnx", "--json"], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
    )
    manifest = load(folder / "net.egate").manifest
    size = sum(entry.size for entry in manifest.files.values())
    assert done.returncode == 0
    assert done.stdout.startswith('{\n "schema": 1')
    assert done.stderr.splitlines() == [f"proved: {manifest.proof['summary']}", f"net.egate: llvm, {size} bytes"]
