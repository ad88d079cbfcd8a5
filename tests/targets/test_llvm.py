"""Target llvm from end to end: one answer, no float instruction, the same bytes every time."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

import edgegate
from edgegate import interpreter, replay, runtime
from edgegate.stages import prove
from edgegate.targets._machine import machine
from edgegate.targets.llvm import executable
from examples import digits
from examples.engines import in_onnx_runtime
from examples.train import RECIPES, accuracy, trained

NAMES = list(RECIPES)
FLOAT = re.compile(r"\b(?:half|bfloat|float|double)\b")


@pytest.fixture(scope="module", params=[(name, data) for name in NAMES for data in ("calibrated", "no data")])
def example(request: Any) -> tuple[str, str, edgegate.Artifact]:
    name, data = request.param
    images = digits.calibration()
    how: dict[str, Any] = {"calib": {"": images}} if data == "calibrated" else {"input_range": (0.0, 1.0)}
    return name, data, edgegate.compile(trained(name), (torch.from_numpy(images[:1]),), **how)


def integer_graph(artifact: edgegate.Artifact) -> ir.Model:
    return ir.from_proto(onnx.load_model_from_string(artifact.files["model.onnx"]))


def test_one_answer_on_the_whole_test_set(example: Any) -> None:
    name, data, artifact = example
    _, test = digits.load()
    session = runtime.Session(artifact)
    graph, peer = integer_graph(artifact), in_onnx_runtime(artifact.files["model.onnx"], as_written=True)
    (feed,) = [str(v.name) for v in graph.graph.inputs]
    logits = np.asarray(session(test.images))
    for i, image in enumerate(test.images):
        (expected,) = interpreter.run(graph, {feed: image[None]}).values()
        np.testing.assert_array_equal(logits[i : i + 1], expected)
        np.testing.assert_array_equal(peer(image[None]), expected)
    allowed = 0.005 if data == "calibrated" else 0.01
    assert (logits.argmax(1) == test.labels).mean() >= accuracy(trained(name), test) - allowed


def test_the_self_test_passes_on_any_number_of_threads(example: Any) -> None:
    _, data, artifact = example
    for threads in (1, 2, None):
        assert replay.verify(runtime.Session(artifact, threads=threads)) == (3 if data == "calibrated" else 2)


def test_what_was_proved_is_written_down(example: Any) -> None:
    artifact = example[2]
    assert artifact.manifest.proof == prove(integer_graph(artifact)).document()
    if example[0] == "gated_conv":
        gates = artifact.manifest.gates.values()
        assert [(g["kind"], g["family"], g["activation"]) for g in gates] == [
            *[("Paired", "F2", "Sigmoid")] * 3, ("Reduce", "F4", "Sigmoid"), ("Paired", "F2", "Sigmoid"),
        ]  # fmt: skip
        assert [(g["layer"], g["gate"]["dtype"]) for g in gates][3] == ("attend", "uint8")
        assert all("gated_conv.py:" in g["source"] for g in gates)


def test_no_float_instruction() -> None:
    images = digits.calibration()
    artifact = edgegate.compile(trained("gated_conv"), (torch.from_numpy(images[:1]),), calib={"": images})
    for triple in ("", "aarch64-linux-gnu"):
        module = executable(integer_graph(artifact), machine(triple, "")).mod
        (library,) = [m for m in module.imports if m.kind == "llvm"]
        bodies = {f.partition("(")[0].split("@")[-1]: f.split("\n}")[0] for f in functions(library)}
        own = {name: body for name, body in bodies.items() if not name.startswith("__")}
        assert len(own) > 8, "the kernels' bodies are found"
        assert not [line for body in own.values() for line in body.splitlines() if FLOAT.search(line)]


def functions(library: Any) -> list[str]:
    """The text of every function that LLVM compiles, its conversions from and to half left out (compiler-rt's)."""
    return str(library.inspect_source("ll")).split("\ndefine ")[1:]


PROGRAM = """
import sys, torch, edgegate
from examples import digits
from examples.train import trained
images = digits.calibration()
artifact = edgegate.compile(trained("glu_classifier"), (torch.from_numpy(images[:1]),), calib={"": images})
artifact.save(sys.argv[1])
"""


def test_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    digests = set()
    for seed in ("0", "1"):
        path = tmp_path / f"{seed}.egate"
        environment = {"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])}
        subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, path], check=True, env=environment)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_threads_and_processor_are_taken_from_the_options() -> None:
    images = digits.calibration()
    made = edgegate.compile(
        trained("glu_classifier"), (torch.from_numpy(images[:4]),), calib={"": images}, batch=4, threads=1,
        mcpu="x86-64-v3" if machine("", "").triple.startswith("x86_64") else "",
    )  # fmt: skip
    assert made.manifest.options["threads"] == 1 and made.manifest.batch == 4
    assert made.manifest.target.mcpu == (made.manifest.options["mcpu"] or machine("", "").mcpu)
    assert "avx512f" not in made.manifest.target.features or not made.manifest.options["mcpu"]
    assert replay.verify(runtime.Session(made)) == 3
    assert np.asarray(made(images[:7])).shape == (7, 10), "a batch may be partly idle"
