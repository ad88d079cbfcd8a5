"""The synthesizable text of a plan: one module of Verilog-2001."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgegate.targets.rtl.circuit import Port, Signal
from edgegate.targets.rtl.plan import Plan

LINE = 116


def module(name: str, plan: Plan) -> str:
    """The file of a module.

    Args:
        name: Of the module, an identifier.
        plan: What is in it. With registers it has the ports clk, rst (of the valid bits alone, synchronous), in_valid
            and out_valid as well.
    """
    lines = [*_header(name, plan), "`default_nettype none", "", f"module {name} (", *_ports(plan), ");"]
    schedule = plan.schedule
    lines += _valid(plan) if schedule.stages else []
    stages: dict[int, list[int]] = {}
    for i in schedule.used():
        if schedule.circuit.signals[i].kind != "input":
            stages.setdefault(schedule.stage(i), []).append(i)
    for stage in range(schedule.stages + 1):
        lines += _registers(plan, stage)
        lines += _signals(plan, stage, stages.get(stage, []))
    lines.append("")
    for port in plan.outputs:
        lines += _driven(plan, port)
    return "\n".join([*lines, "", "endmodule", "", "`default_nettype wire", ""])


def _header(name: str, plan: Plan) -> list[str]:
    report = plan.schedule.report()
    made = (
        f"{report['luts']} look-up tables of up to {report['widest_lut']} inputs, {report['lut_depth']} deep; "
        f"{report['adders']} adders of {report['adder_bits']} bits in all; {report['levels']} levels"
    )
    if plan.schedule.stages:
        every = plan.schedule.every
        when = [
            f"Registers after every {every} levels, {report['register_bits']} bits: outputs follow {report['latency']} "
            "rising edges of clk after",
            "their inputs, one result each cycle. rst is synchronous and clears the valid bits alone.",
        ]
    else:
        when = ["Combinational."]
    about = [line for port in (*plan.inputs, *plan.outputs) for line in _about(port)]
    return [
        f"// {line}".rstrip()
        for line in (f"{name}: a logic gate network, written by EdgeGate.", made, *when, "", *about, *plan.notes)
    ]


def _about(port: Port) -> Iterator[str]:
    first, *rest = port.about
    yield f"{port.name}: {first}"
    yield from (f"    {line}" for line in rest)


def span(width: int) -> str:
    """The range of a declaration, with a space behind it; nothing for one bit."""
    return f"[{width - 1}:0] " if width > 1 else ""


def _ports(plan: Plan) -> list[str]:
    """The port list; bits of an input that nothing reads are told to the linter."""
    clocked = plan.schedule.stages > 0
    declared = ["input  wire clk", "input  wire rst", "input  wire in_valid"] if clocked else []
    start = 1
    for port in plan.inputs:
        text = f"input  wire {span(port.width)}{port.name}"
        whole = all(plan.schedule.live[start : start + port.width])
        declared.append(text if whole else f"/* verilator lint_off UNUSED */ {text}")
        start += port.width
    declared += ["output wire out_valid"] if clocked else []
    declared += [f"output wire {span(port.width)}{port.name}" for port in plan.outputs]
    ends = [","] * (len(declared) - 1) + [""]
    lines = []
    for text, end in zip(declared, ends, strict=True):
        pragma, _, plain = text.rpartition("*/ ")
        after = " /* verilator lint_on UNUSED */" if pragma else ""
        lines.append(f"    {text}{end}{after}" if pragma else f"    {plain}{end}")
    return lines


def _valid(plan: Plan) -> list[str]:
    shifted = "{valid[LATENCY-2:0], in_valid}" if plan.schedule.stages > 1 else "in_valid"
    return [
        f"    localparam LATENCY = {plan.schedule.stages};",
        "    reg [LATENCY-1:0] valid;",
        "    always @(posedge clk)",
        "        if (rst) valid <= {LATENCY{1'b0}};",
        f"        else valid <= {shifted};",
        "    assign out_valid = valid[LATENCY-1];",
    ]


def _registers(plan: Plan, stage: int) -> list[str]:
    """The registers between a stage and the one before it."""
    schedule = plan.schedule
    held = [i for i in schedule.used() if stage in schedule.registers(i)]
    if not held:
        return []
    kinds: dict[str, list[str]] = {}
    for i in held:
        kinds.setdefault(_type("reg", schedule.circuit.signals[i]), []).append(schedule.shown(i, stage))
    lines = ["", f"    // stage {stage}"]
    for kind, names in kinds.items():
        lines += wrapped(f"    {kind}", names, ";")
    lines.append("    always @(posedge clk) begin")
    lines += [f"        {schedule.shown(i, stage)} <= {schedule.shown(i, stage - 1)};" for i in held]
    return [*lines, "    end"]


def _type(word: str, signal: Signal) -> str:
    return f"{word} {'signed ' * signal.signed}{span(signal.width)}"


def _signals(plan: Plan, stage: int, numbers: list[int]) -> list[str]:
    """What is computed in a stage."""
    lines, section, schedule = [], "", plan.schedule
    for i in numbers:
        signal = schedule.circuit.signals[i]
        if signal.section and signal.section != section:
            section = signal.section
            lines += ["", f"    // {section}"]
        text = signal.text.format(*(schedule.shown(operand, stage) for operand in signal.operands))
        lines.append(f"    {_type('wire', signal)}{signal.name} = {text};")
    return lines


def _driven(plan: Plan, port: Port) -> list[str]:
    schedule = plan.schedule
    parts = [d.text.format(*(schedule.shown(i, schedule.stages) for i in d.operands)) for d in reversed(port.drives)]
    if len(parts) == 1:
        return [f"    assign {port.name} = {parts[0]};"]
    return wrapped(f"    assign {port.name} = {{", parts, "};")


def wrapped(start: str, parts: Iterable[str], end: str) -> list[str]:
    """A list with commas, in lines of a decent length."""
    lines, line = [], start
    words = list(parts)
    for i, word in enumerate(words):
        text = word + (end if i == len(words) - 1 else ", ")
        if len(line) + len(text) > LINE and line.strip():
            lines.append(line.rstrip())
            line = "        "
        line += text
    return [*lines, line]
