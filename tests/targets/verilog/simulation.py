"""Designs, and what Icarus Verilog makes of their modules."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

import numpy as np
import pytest

from edgegate._verilog_program import VerilogProgram
from edgegate.graph import Array
from edgegate.logic import GroupSum, Netlist, counts, evaluate
from edgegate.manifest import IOSpec
from edgegate.targets._design import Design, Input, Kind, Output
from edgegate.targets.rtl.bench import Style, bench
from edgegate.targets.rtl.module import module
from edgegate.targets.rtl.plan import Plan, plan

DTYPES = {"bits": "uint8", "counts": "int32", "class": "int64"}

needs_iverilog = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog")
needs_verilator = pytest.mark.skipif(shutil.which("verilator") is None, reason="needs verilator")


def design(
    netlist: Netlist, sums: GroupSum | None, *kinds: Kind, tau: float = 1.0, beta: float = 0.0, name: str = "x"
) -> Design:
    """A design of one input with an output of each kind; bits are all that the netlist gives."""
    outputs = []
    for kind in kinds:
        size = len(netlist.outputs) if sums is None or kind == "bits" else sums.groups
        dims = () if kind == "class" else (size,)
        outputs.append(Output(name=f"{kind} y", kind=kind, start=0, size=size, shape=dims, tau=tau, beta=beta))
    given = Input(name=name, bits=netlist.inputs, start=0, shape=(netlist.inputs,))
    return Design(netlist=netlist, sums=sums, inputs=(given,), outputs=tuple(outputs))


def right(made: Design, bits: Array) -> list[Array]:
    """What the definition says of the design's outputs, a row a sample."""
    plain = evaluate(made.netlist, bits)
    total = counts(made.sums, plain) if made.sums is not None else plain
    found = {"bits": plain, "counts": total, "class": total.argmax(1, keepdims=True)}
    return [found[out.kind].astype(DTYPES[out.kind]) for out in made.outputs]


def program(made: Design, samples: int, every: int | None) -> VerilogProgram:
    """The simulated module of a design."""
    planned = plan(made, every)
    style: Style = "combinational" if every is None else "clocked"
    contents = {"net.v": module("net", planned).encode(), "net_tb.v": bench("net", planned, style, [], []).encode()}
    inputs = [IOSpec(name=s.name, shape=(samples, s.bits), dtype="uint8") for s in made.inputs]
    outputs = [
        IOSpec(name=o.name, shape=(samples, 1 if o.kind == "class" else o.size), dtype=DTYPES[o.kind])
        for o in made.outputs
    ]
    return VerilogProgram(contents, inputs, outputs)


def check(made: Design, bits: Array, every: int | None = None) -> None:
    """The simulated module gives what the definition says."""
    simulated = program(made, len(bits), every)
    simulated.buffers[0][...] = bits
    for out, found, expected in zip(made.outputs, simulated.run(), right(made, bits), strict=True):
        np.testing.assert_array_equal(found, expected, out.name)
        assert found.dtype == expected.dtype


def random_bits(rng: np.random.Generator, samples: int, width: int) -> Array:
    """Bits of every density, and rows of nothing but 0 and of nothing but 1."""
    bits = (rng.random((samples, width)) < rng.random((samples, 1))).astype(np.uint8)
    bits[0], bits[-1] = 0, 1
    return bits


def cycles(
    folder: str, planned: Plan, controls: Sequence[str], answers: Sequence[str], rows: Sequence[str]
) -> list[list[str]]:
    """What a module ``net`` in the folder answers cycle by cycle, just before each rising edge.

    Args:
        folder: Where its sources are.
        planned: Its data ports.
        controls: Control inputs but clk, which come first in every row.
        answers: Control outputs, which come first in every answer.
        rows: Hexadecimal numbers for controls and inputs, a row a cycle.
    """
    ports = [f"    reg {c};\n" for c in controls] + [f"    wire {a};\n" for a in answers]
    ports += [f"    reg [{p.width - 1}:0] {p.name};\n" for p in planned.inputs]
    ports += [f"    wire [{p.width - 1}:0] {p.name};\n" for p in planned.outputs]
    taken = [*controls, *(p.name for p in planned.inputs)]
    given = [*answers, *(p.name for p in planned.outputs)]
    wires = ", ".join(f".{name}({name})" for name in ("clk", *taken, *given))
    scan = f'$fscanf(source, "{" ".join(["%h"] * len(taken))}", {", ".join(taken)}) == {len(taken)}'
    text = f"""module cycles;
    reg clk = 0;
    integer source;
{"".join(ports)}    net dut ({wires});
    initial begin
        source = $fopen("rows.txt", "r");
        while ({scan}) begin
            #5 $display("{" ".join(["%h"] * len(given))}", {", ".join(given)});
            #5 clk = 1;
            #5 clk = 0;
        end
        $finish;
    end
endmodule
"""
    with open(f"{folder}/cycles.v", "w") as file:
        file.write(text)
    with open(f"{folder}/rows.txt", "w") as file:
        file.write("".join(f"{row}\n" for row in rows))
    subprocess.run(f"iverilog -g2001 -s cycles -o program {folder}/*.v", shell=True, check=True, cwd=folder)
    done = subprocess.run(["vvp", "-n", "program"], check=True, cwd=folder, capture_output=True, text=True)
    return [line.split() for line in done.stdout.splitlines()]
