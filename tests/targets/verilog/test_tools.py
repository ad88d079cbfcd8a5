"""What other tools say: Verilator's linter and its simulation; names that no tool takes; the testbench itself."""

from __future__ import annotations

import re
import subprocess

import numpy as np
import pytest

from edgegate.logic import GroupSum
from edgegate.targets._design import Design, Input, Output
from edgegate.targets.rtl.bench import bench
from edgegate.targets.rtl.module import module
from edgegate.targets.rtl.names import RESERVED, identifier, identifiers
from edgegate.targets.rtl.plan import fixed, plan
from edgegate.targets.rtl.recurrent import states, wrapper
from edgegate.targets.verilog import packed
from tests.targets.logic_models import network
from tests.targets.verilog.simulation import design, needs_iverilog, needs_verilator, random_bits, right

HOSTILE = [
    "clk", "rst", "n1", "N1", "t0", "y0", "x", "X", "x_1", "x_1_s1", "class", "logic", "begin", "double", "tb_i", "1st",
    "", " ", "a b", "a.b", "a/b", "\\esc ", "名前", "*/ endmodule //", "`define x", "$display", "valid", "LATENCY",
    "z" * 300, "z" * 301, "core", "a__b", "_", "net",
]  # fmt: skip


def lint(folder, *names):
    call = ["verilator", "--lint-only", "-Wall", *names]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
    assert not done.returncode and not done.stderr, done.stderr


def hostile() -> Design:
    """Every name is the name of an input and of an output."""
    rng = np.random.default_rng(0)
    net = network(rng, 3 * len(HOSTILE), [2 * len(HOSTILE)], 3)
    inputs = [Input(name=n, bits=3, start=3 * i, shape=(3,)) for i, n in enumerate(HOSTILE)]
    outputs = [Output(name=n, kind="bits", start=2 * i, size=2, shape=(2,)) for i, n in enumerate(HOSTILE)]
    return Design(netlist=net, sums=None, inputs=tuple(inputs), outputs=tuple(outputs))


@needs_verilator
@pytest.mark.parametrize("every", [None, 1, 4])
def test_verilator_has_nothing_to_say(tmp_path, every):
    rng = np.random.default_rng(1)
    sums = GroupSum.contiguous(50, 11)
    made = [
        design(network(rng, 40, [60, 50], 3), sums, "counts", "class", "bits", tau=4.0, beta=1.5),
        design(network(rng, 40, [60, 50], 6), GroupSum.contiguous(50, 1), "counts", "class"),
        hostile(),
    ]
    for number, one in enumerate(made):
        (tmp_path / f"net{number}.v").write_text(module(f"net{number}", plan(one, every)))
        lint(tmp_path, f"net{number}.v")


@needs_verilator
def test_verilator_has_nothing_to_say_of_states(tmp_path):
    made = Design(
        netlist=network(np.random.default_rng(2), 8, [20, 5], 3), sums=None,
        inputs=(Input(name="q0", bits=3, start=0, shape=(3,)), Input(name="x", bits=5, start=3, shape=(5,))),
        outputs=(Output(name="q1", kind="bits", start=0, size=5, shape=(5,)),),
    )  # fmt: skip
    planned = plan(made, None)
    (tmp_path / "net.v").write_text(wrapper("net", "net_core", planned, states(made, planned, ["x=q1"])))
    (tmp_path / "net_core.v").write_text(module("net_core", planned))
    lint(tmp_path, "net.v", "net_core.v")


def test_names_are_identifiers_of_their_own():
    found = identifiers(HOSTILE + HOSTILE)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,60}", name) for name in found)
    assert len({name.lower() for name in found}) == 2 * len(HOSTILE)
    assert not {name.lower() for name in found} & RESERVED
    assert (identifier("pixels"), identifier("h.0"), identifier("Class")) == ("pixels", "h_0", "Class_p")


@needs_iverilog
@pytest.mark.parametrize(("tau", "beta"), [(4.0, 6.0), (1.0, -3.0), (0.5, 4.0), (8.0, -1.0), (2.0, 0.0), (3.0, 1.0)])
@pytest.mark.parametrize("every", [None, 2])
def test_scores_in_fixed_point(tmp_path, tau, beta, every):
    """Scores of a port of their own are equal to the float ones, in the units that its comment names."""
    rng = np.random.default_rng(4)
    made = design(network(rng, 12, [30, 24], 3), GroupSum.contiguous(24, 3), "counts", tau=tau, beta=beta)
    planned = plan(made, every)
    extra = [port for port in planned.outputs if port.extra]
    assert bool(extra) == ((tau, beta) not in [(2.0, 0.0), (3.0, 1.0)])
    bits = random_bits(rng, 20, 12)
    (total,) = right(made, bits)
    shown = [[packed(row, planned.fields[0][0])] for row in total]
    for port in extra:
        (unit,) = map(float, re.findall(r"units of 2\*\*(-?\d+)", " ".join(port.about)))
        scores = (total + beta) / tau / 2.0**unit
        assert (scores == np.rint(scores)).all()
        shown = [[*row, packed(s.astype(np.int64), port.width // 3)] for row, s in zip(shown, scores, strict=True)]
    given = [[packed(row, 1)] for row in bits]
    assert run(tmp_path, planned, every, given, shown) == "PASS: 20 vectors"
    shown[7][-1] ^= 1
    assert "FAIL: 1 of 20 vectors" in run(tmp_path, planned, every, given, shown)


def run(folder, planned, every, given, shown):
    """What a testbench prints last."""
    (folder / "net.v").write_text(module("net", planned))
    text = bench("net", planned, "combinational" if every is None else "clocked", given, shown)
    (folder / "net_tb.v").write_text(text)
    subprocess.run(["iverilog", "-g2001", "-o", "program", "net.v", "net_tb.v"], cwd=folder, check=True)
    done = subprocess.run(["vvp", "-n", "program"], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("tau", "beta", "found"),
    [(1.0, 0.0, (0, 0)), (4.0, 6.0, (2, 6)), (0.5, 1.0, (-1, 1)), (0.5, 0.5, None), (10.0, 0.0, None),
     (-2.0, 0.0, None), (float("inf"), 0.0, None), (2.0, 0.1, None)],
)  # fmt: skip
def test_what_fixed_point_numbers_hold(tau, beta, found):
    assert fixed(tau, beta) == found


@needs_verilator
@needs_iverilog
def test_verilator_simulates_the_same(tmp_path):
    rng = np.random.default_rng(6)
    made = design(network(rng, 40, [60, 50], 3), GroupSum.contiguous(50, 10), "counts", "class")
    planned, bits = plan(made, 3), random_bits(rng, 60, 40)
    total, classes = right(made, bits)
    given = [[packed(row, 1)] for row in bits]
    width = planned.fields[0][0]
    shown = [[packed(a, width), int(b[0])] for a, b in zip(total, classes, strict=True)]
    assert run(tmp_path, planned, 3, given, shown) == "PASS: 60 vectors"
    flags = ["--binary", "--timing", "-Wno-fatal", "-CFLAGS", "-O0", "--top-module", "net_tb", "-o", "net"]
    subprocess.run(["verilator", *flags, "net.v", "net_tb.v"], cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(["obj_dir/net"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "PASS: 60 vectors" in done.stdout
