"""``edgegate bench`` and ``verify`` on networks of gates: this machine's bound, a proof without the program."""

import json
import platform
import re
from dataclasses import replace

import pytest
import torch

import edgegate
from edgegate import _clock
from edgegate.artifact import Artifact
from edgegate.bench import limit
from edgegate.nn import GroupSum, Lut


@pytest.fixture(scope="module")
def network() -> Artifact:
    generator = torch.Generator().manual_seed(0)
    tables = torch.tensor([[0, 1, 1, 0], [0, 0, 0, 1]]).bool().repeat(20, 1)
    net = torch.nn.Sequential(Lut(torch.randint(0, 16, (40, 2), generator=generator), tables), GroupSum(4))
    return edgegate.compile(net, (torch.zeros(70, 16),), batch=70, threads=1)


def test_bench_says_what_the_gates_cost_at_best(edgegate, network: Artifact, monkeypatch) -> None:
    monkeypatch.setattr("edgegate.bench.gigahertz", lambda: 4.0)
    network.save("m.egate")
    lines = edgegate.good("bench", "m.egate", "--rounds", "3", "--threads", "1").lines
    assert lines[1].startswith("edgegate, bits")
    assert re.fullmatch(r"[\d.]+ ns a sample, rows of bits in, scores out; .*", lines[2])
    told = limit(network.manifest)
    assert told is not None and told.nanoseconds == told.cycles / 4 > 0
    assert lines[3] == f"{told.nanoseconds:.1f} ns: {told.cycles:.1f} cycles at 4.00 GHz"
    document = json.loads(edgegate.good("bench", "m.egate", "--rounds", "3", "--json").out)
    assert document["limit"] == {"cycles": told.cycles, "gigahertz": 4.0, "nanoseconds": told.nanoseconds}


def test_no_clock_no_limit(network: Artifact, monkeypatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "z80")
    assert _clock.gigahertz() is None
    assert limit(network.manifest) is None


@pytest.mark.skipif(platform.machine() not in _clock.COUNT_DOWN, reason="no loop for this architecture")
def test_the_clock_is_one_of_a_processor() -> None:
    found = _clock.gigahertz()
    assert found is None or 0.2 < found < 10


def test_a_proof_needs_no_program(edgegate, network: Artifact) -> None:
    """As on the machine that builds for a GPU."""
    made, files = network.manifest, {n: data for n, data in network.files.items() if n != "program.so"}
    target = replace(made.target, kind="cuda", triple="", mcpu="", features=())
    Artifact.create(files, target=target, inputs=made.inputs, outputs=made.outputs).save("m.egate")
    done = edgegate("verify", "m.egate", "--prove")
    assert done.code != 0
    assert "40 outputs and 4 sums of them equal those of the 40 imported gates" in " ".join(done.lines)
