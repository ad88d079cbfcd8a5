"""From an integer model to an artifact whose module is simulated; what is wrong with it, or missing, is told."""

from __future__ import annotations

import re
import subprocess

import numpy as np
import pytest
import torch

import edgegate
import edgegate.nn
from edgegate import stages, vectors
from edgegate._verilog_program import VerilogProgram
from edgegate.artifact import Artifact
from edgegate.errors import FileError, MismatchError, ToolchainError
from edgegate.logic import GroupSum, counts, evaluate
from edgegate.options import CompileOptions
from edgegate.targets import target
from edgegate.targets.verilog import module_name
from tests.targets.logic_models import Graph, classifier, network
from tests.targets.verilog.simulation import needs_iverilog, random_bits


def compiled(model, **options):
    """The artifact of a model."""
    return target("verilog")(CompileOptions(target="verilog", **options))(model, stages.prove(model))


def simulated(artifact):
    return VerilogProgram(artifact.files, artifact.manifest.inputs, artifact.manifest.outputs)


def net():
    rng = np.random.default_rng(0)
    return network(rng, 20, [40, 40, 30], 3), random_bits(rng, 5, 20)


@needs_iverilog
@pytest.mark.parametrize("pipeline", [None, 2])
@pytest.mark.parametrize("argmax", [False, True])
def test_a_batch(tmp_path, pipeline, argmax):
    plain, bits = net()
    sums = GroupSum.contiguous(30, 4)
    compiled(classifier(plain, sums, batch=5, argmax=argmax), pipeline=pipeline, batch=5).save(f"{tmp_path}/net/")
    artifact = Artifact.load(tmp_path / "net")
    assert set(artifact.files) == {"model.onnx", "vectors.npz", "logic_p.v", "logic_p_tb.v"}
    program = simulated(artifact)
    program.buffers[0][...] = 7 * bits  # whatever is not 0 is true
    total = counts(sums, evaluate(plain, bits))
    np.testing.assert_array_equal(program.run()[0], total.argmax(1) if argmax else total)
    for test in vectors.unpack(artifact.files["vectors.npz"]):
        program.buffers[0][...] = next(iter(test.inputs.values()))
        np.testing.assert_array_equal(program.run()[0], next(iter(test.outputs.values())))
    sources = ["logic_p.v", "logic_p_tb.v"]
    subprocess.run(["iverilog", "-g2001", "-o", f"{tmp_path}/tb", *sources], cwd=tmp_path / "net", check=True)
    done = subprocess.run(["vvp", "-n", f"{tmp_path}/tb"], check=True, capture_output=True, text=True)
    assert done.stdout == "PASS: 65 vectors\n"


def test_the_manifest_tells_of_the_circuit():
    plain, _ = net()
    made = compiled(classifier(plain, GroupSum.contiguous(30, 4)), pipeline=3)
    circuit = made.manifest.proof["circuit"]
    assert circuit["latency"] == -(-circuit["levels"] // 3) > 1
    assert circuit["luts"] <= plain.gates and circuit["lut_depth"] <= plain.depth
    assert min(circuit["register_bits"], circuit["adders"], circuit["adder_bits"]) > 0
    assert [(port["name"], port["port"], port["bits"]) for port in circuit["inputs"]] == [("x", "x", 20)]
    assert made.manifest.options["pipeline"] == 3
    assert compiled(classifier(plain, None)).files == compiled(classifier(plain, None)).files


@needs_iverilog
def test_a_state():
    rng = np.random.default_rng(3)
    graph, plain = Graph(), network(rng, 10, [40, 12], 3)
    joined = graph.add("Concat", [graph.input("x", (1, 4)), graph.input("h", (1, 6))], "xh", (1, 10), axis=-1)
    y = graph.logic(joined, plain, "y")
    parts = [graph.add("Gather", [y, np.arange(6) + 6 * i], f"part{i}", (1, 6), axis=-1) for i in (0, 1)]
    artifact = compiled(graph.model(*parts), state=("h=part0",))
    assert {"logic_p.v", "logic_p_core.v", "logic_p_tb.v"} < set(artifact.files)
    assert b"reg [5:0] q0;" in artifact.files["logic_p.v"]
    program = simulated(artifact)
    for _ in range(5):
        bits = rng.integers(0, 2, (1, 10), np.uint8)
        program.buffers[0][...], program.buffers[1][...] = bits[:, :4], bits[:, 4:]
        np.testing.assert_array_equal(np.concatenate(program.run(), 1), evaluate(plain, bits))


class Tower(torch.nn.Module):
    """Thresholds, a layer of gates, scores and the best class."""

    def __init__(self):
        super().__init__()
        drawn = torch.Generator().manual_seed(0)
        self.bits = edgegate.nn.Threshold(torch.tensor([[0.25, 0.5, 0.75]]))
        tables = torch.rand(40, 4, generator=drawn) < 0.5
        self.gates = edgegate.nn.Lut(torch.randint(0, 30, (40, 2), generator=drawn), tables)
        self.sums = edgegate.nn.GroupSum(5, tau=4.0, beta=0.5)

    def forward(self, x):
        y = self.sums(self.gates(self.bits(x).flatten(1)))
        return y, y.argmax(-1)


@needs_iverilog
def test_from_torch_to_a_simulated_module():
    module, x = Tower().eval(), torch.rand(9, 10, generator=torch.Generator().manual_seed(1))
    artifact = edgegate.compile(module, (x[:1],), target="verilog", pipeline=2)
    for found, expected in zip(artifact(x.numpy()), module(x), strict=True):
        np.testing.assert_array_equal(found, expected.numpy())
    assert artifact.verify() >= 2


@needs_iverilog
def test_another_gate_is_seen():
    plain, bits = net()
    files = dict(compiled(classifier(plain, None, batch=5), batch=5).files)
    text = files["logic_p.v"].decode()
    gate = re.findall(r"assign bits = \{.*?(n\d+)", text, re.DOTALL)[0]
    files["logic_p.v"] = re.sub(rf"(wire {gate} = )(.*);", r"\1~(\2);", text).encode()
    made = compiled(classifier(plain, None, batch=5), batch=5).manifest
    program = VerilogProgram(files, made.inputs, made.outputs)
    program.buffers[0][...] = bits
    assert (program.run()[0] != evaluate(plain, bits)).any()


@needs_iverilog
def test_what_the_simulator_refuses():
    plain, _ = net()
    made = compiled(classifier(plain, None))
    specs = made.manifest.inputs, made.manifest.outputs
    with pytest.raises(FileError, match="iverilog refuses the module: logic_p"):
        VerilogProgram({**made.files, "logic_p.v": b"module logic_p (\n"}, *specs)
    with pytest.raises(FileError, match="0 testbenches"):
        VerilogProgram({"a.v": b""}, *specs)
    undefined = re.sub(rb"assign bits = \{\s*(~?\w+)", b"assign bits = {1'bx", made.files["logic_p.v"])
    assert undefined != made.files["logic_p.v"]
    with pytest.raises(MismatchError, match="undefined"):
        VerilogProgram({**made.files, "logic_p.v": undefined}, *specs).run()
    silent = b"module logic_p_tb; endmodule\n"
    program = VerilogProgram({"logic_p_tb.v": silent}, *specs)
    with pytest.raises(FileError):
        program.run()


def test_without_a_simulator(monkeypatch):
    plain, _ = net()
    made = compiled(classifier(plain, None))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolchainError, match="install the package iverilog"):
        simulated(made)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"pipeline": 0}, "at least 1 level"),
        ({"pipeline": 1, "state": ("a=b",)}, "exclude each other"),
        ({"state": ("a",)}, "INPUT=OUTPUT"),
        ({"state": ("a=b", "a=c")}, "each input once"),
    ],
)
def test_impossible_options(options, what):
    with pytest.raises(ValueError, match=what):
        CompileOptions(**options)


def test_the_module_is_called_as_the_graph():
    model = classifier(net()[0], None)
    for name, found in (
        ("main_graph", "net"),
        ("", "net"),
        ("My Net", "My_Net"),
        ("module", "module_p"),
        ("..", "net"),
    ):
        model.graph.name = name
        assert module_name(model) == found
