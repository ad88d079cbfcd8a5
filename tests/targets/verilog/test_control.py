"""Clocked modules cycle by cycle: latency, gaps, resets; states that are loaded, kept and stepped."""

from __future__ import annotations

import numpy as np
import pytest

from edgegate.errors import CompileError
from edgegate.logic import GroupSum, evaluate
from edgegate.targets._design import Design, Input, Output
from edgegate.targets.rtl.module import module
from edgegate.targets.rtl.plan import plan
from edgegate.targets.rtl.recurrent import states, wrapper
from tests.targets.logic_models import network
from tests.targets.verilog.simulation import cycles, design, needs_iverilog, right

STEPS = 150


def hexadecimal(bits):
    return f"{sum(int(bit) << i for i, bit in enumerate(bits)):x}"


@needs_iverilog
@pytest.mark.parametrize("every", [1, 2, 5, 100])
def test_every_valid_input_is_answered_after_the_latency(tmp_path, every):
    rng = np.random.default_rng(every)
    made = design(network(rng, 16, [30, 24], 3), GroupSum.contiguous(24, 5), "class", "bits")
    planned = plan(made, every)
    latency = planned.schedule.report()["latency"]
    assert latency == -(-planned.schedule.levels // every)
    (tmp_path / "net.v").write_text(module("net", planned))
    bits = rng.integers(0, 2, (STEPS, 16), np.uint8)
    valid, reset = rng.random(STEPS) < 0.6, rng.random(STEPS) < 0.05
    reset[0] = True
    rows = [f"{int(r)} {int(v)} {hexadecimal(x)}" for r, v, x in zip(reset, valid, bits, strict=True)]
    found = cycles(str(tmp_path), planned, ["rst", "in_valid"], ["out_valid"], rows)
    classes, plain = right(made, bits)
    for t in range(1, STEPS):
        source = t - latency
        alive = source >= 0 and valid[source] and not reset[source:t].any()
        cleared = source < 0 and not reset[:t].any()
        if not cleared:
            assert found[t][0] == str(int(alive)), f"out_valid in cycle {t}"
        if source >= 0:  # data flow whether valid or not
            assert int(found[t][1], 16) == classes[source, 0], f"class in cycle {t}"
            assert int(found[t][2], 16) == int(hexadecimal(plain[source]), 16), f"bits in cycle {t}"


def test_registers_are_counted():
    rng = np.random.default_rng(5)
    made = design(network(rng, 16, [30, 24, 20], 3), GroupSum.contiguous(20, 3), "counts", "class")
    for every in (1, 2, 4):
        planned = plan(made, every)
        text, bits = module("net", planned), 0
        for line in text.replace(",\n        ", ", ").splitlines():
            words = line.strip().removesuffix(";").replace("signed ", "").split(" ", 1)
            if words[0] != "reg" or "valid" in line:
                continue
            width, _, names = words[1].rpartition("] ")
            bits += (int(width[1:].split(":")[0]) + 1 if width else 1) * len(names.split(","))
        report = planned.schedule.report()
        assert report["register_bits"] == bits + report["latency"]
        assert report["luts"] == text.count("\n    wire n")
    assert plan(made, None).schedule.report()["register_bits"] == 0


def recurrent():
    """A design of two inputs, the second of them a state, whose next value is its first output."""
    rng = np.random.default_rng(8)
    net = network(rng, 10, [40, 12], 3)
    inputs = (Input(name="x", bits=4, start=0, shape=(4,)), Input(name="h", bits=6, start=4, shape=(6,)))
    outputs = (
        Output(name="h next", kind="bits", start=0, size=6, shape=(6,)),
        Output(name="y", kind="bits", start=6, size=6, shape=(6,)),
    )
    return Design(netlist=net, sums=None, inputs=inputs, outputs=outputs)


@needs_iverilog
def test_states_are_loaded_kept_and_stepped(tmp_path):
    made = recurrent()
    planned = plan(made, None)
    (tmp_path / "net.v").write_text(wrapper("net", "net_core", planned, states(made, planned, ["h=h next"])))
    (tmp_path / "net_core.v").write_text(module("net_core", planned))
    rng = np.random.default_rng(9)
    control = rng.random((STEPS, 3)) < (0.05, 0.2, 0.6)
    control[0, 0] = True
    x, h = rng.integers(0, 2, (STEPS, 4), np.uint8), rng.integers(0, 2, (STEPS, 6), np.uint8)
    rows = [" ".join([*(str(int(c)) for c in control[t]), hexadecimal(x[t]), hexadecimal(h[t])]) for t in range(STEPS)]
    found = cycles(str(tmp_path), planned, ["rst", "load", "enable"], [], rows)
    state = np.zeros(6, np.uint8)
    for t in range(STEPS):
        answer = evaluate(made.netlist, np.concatenate([x[t], state])[None])[0]
        if t:
            assert [int(word, 16) for word in found[t]] == [int(hexadecimal(answer[i : i + 6]), 16) for i in (0, 6)]
        rst, load, enable = control[t]
        state = np.zeros(6, np.uint8) if rst else h[t] if load else answer[:6] if enable else state


@pytest.mark.parametrize(
    ("pair", "what"),
    [("x=h next", "x has 4 bits and h next has 6"), ("g=h next", "inputs are x, h"), ("h=z", "h next, y")],
)
def test_states_that_are_none(pair, what):
    made = recurrent()
    with pytest.raises(CompileError, match=what):
        states(made, plan(made, None), [pair])
