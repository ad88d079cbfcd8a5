"""A network with a state: registers around its combinational core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgegate.errors import CompileError
from edgegate.targets._design import Design
from edgegate.targets.rtl.module import span
from edgegate.targets.rtl.names import prefix
from edgegate.targets.rtl.plan import Plan


@dataclass(frozen=True, kw_only=True)
class State:
    """A state: the port of the core that takes it, the one that gives the next, and its bits."""

    taken: str
    given: str
    bits: int


def states(design: Design, plan: Plan, pairs: Sequence[str]) -> list[State]:
    """The states that the user names.

    Args:
        design: What is built.
        plan: Its ports.
        pairs: ``INPUT=OUTPUT``, names of the model: the output is the input of the next step.

    Raises:
        CompileError: There is no such input or output, or they do not hold the same bits.
    """
    taken = {spec.name: (port, spec.bits) for spec, port in zip(design.inputs, plan.inputs, strict=True)}
    ports = [port for port in plan.outputs if not port.extra]
    given = {o.name: (port, o.size) for o, port in zip(design.outputs, ports, strict=True) if o.kind == "bits"}
    found = []
    for pair in pairs:
        before, _, after = pair.partition("=")
        if before not in taken or after not in given:
            known = f"inputs are {', '.join(taken)}, outputs of bits {', '.join(given) or 'none'}"
            raise CompileError(f"state {pair}", f"the {known}", "name a state INPUT=OUTPUT")
        (source, bits), (result, size) = taken[before], given[after]
        if bits != size:
            what = f"{before} has {bits} bits and {after} has {size}"
            raise CompileError(f"state {pair}", what, "a state keeps its size from step to step")
        found.append(State(taken=source.name, given=result.name, bits=bits))
    return found


def wrapper(name: str, core: str, plan: Plan, found: Sequence[State]) -> str:
    """The file of the module with the registers.

    Args:
        name: Of the module.
        core: Name of the combinational module.
        plan: What is in the core.
        found: The states, each of another input.
    """
    ports = [*plan.inputs, *plan.outputs]
    letter = prefix("q", [port.name for port in ports])
    held = {state.taken: f"{letter}{i}" for i, state in enumerate(found)}
    declared = ["input  wire clk", "input  wire rst", "input  wire enable", "input  wire load"]
    declared += [f"input  wire {span(port.width)}{port.name}" for port in plan.inputs]
    declared += [f"output wire {span(port.width)}{port.name}" for port in plan.outputs]
    wires = [f".{port.name}({held.get(port.name, port.name)})" for port in ports]
    lines = [
        f"// {name}: the registers of a recurrent logic gate network around {core}, written by EdgeGate.",
        "// Outputs follow the inputs and the state without delay. At a rising edge of clk the state becomes 0 if rst",
        "// is high, else what the port of the same name holds if load is high, else the next state if enable is high.",
        *(f"//    {state.taken}: {state.bits} bits, next {state.given}" for state in found),
        "`default_nettype none", "", f"module {name} (",
        ",\n".join(f"    {text}" for text in declared), ");",
        *(f"    reg {span(state.bits)}{held[state.taken]};" for state in found),
        "    always @(posedge clk) begin",
    ]  # fmt: skip
    for state in found:
        own = held[state.taken]
        lines += [
            f"        if (rst) {own} <= {state.bits}'d0;",
            f"        else if (load) {own} <= {state.taken};",
            f"        else if (enable) {own} <= {state.given};",
        ]
    lines += ["    end", f"    {core} core (", ",\n".join(f"        {wire}" for wire in wires), "    );", "endmodule"]
    return "\n".join([*lines, "", "`default_nettype wire", ""])
