"""The testbench of a module: it checks the vectors that it holds, or answers those of a file.

    vvp net.vvp                                        prints PASS or FAIL
    vvp net.vvp +stimuli=in.txt +responses=out.txt     one sample a line

A line of stimuli has one hexadecimal number for each input, bit i of which is element i. A line of responses has all
elements of all outputs of the model in decimal; a class is one number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from edgegate.targets.rtl.module import span
from edgegate.targets.rtl.plan import Plan

Style = Literal["combinational", "clocked", "recurrent"]

APPLY = {
    "combinational": "#1 tb_respond;",
    "clocked": """in_valid = 1'b1;
            @(negedge clk);
            in_valid = 1'b0;
            if (tb_sent % 5 == 3) @(negedge clk);""",
    "recurrent": """load = 1'b1;
            @(negedge clk);
            load = 1'b0;
            #1 tb_respond;""",
}
"""How one sample goes in."""
CLOCK = """    reg clk = 1'b0;
    reg rst = 1'b1;
    always #5 clk = ~clk;
"""
CONTROL = {
    "combinational": "",
    "clocked": CLOCK
    + """    reg in_valid = 1'b0;
    wire out_valid;
    always @(negedge clk) if (out_valid) tb_respond;
""",
    "recurrent": CLOCK + "    reg enable = 1'b0;\n    reg load = 1'b0;\n",
}
WIRES = {
    "combinational": [],
    "clocked": ["clk", "rst", "in_valid", "out_valid"],
    "recurrent": ["clk", "rst", "enable", "load"],
}
START = """        repeat (2) @(negedge clk);
        rst = 1'b0;
"""


TEXT = """// @name@_tb: tests @name@ on @vectors@ vectors; +stimuli=IN +responses=OUT answers those of a file.
`default_nettype none

module @name@_tb;
@control@@declared@    @name@ tb_dut (@wires@);

    localparam TB_VECTORS = @vectors@;
@memories@    integer tb_i, tb_k, tb_errors, tb_sent, tb_received, tb_source, tb_sink;
    reg [8*256-1:0] tb_path;

    task tb_apply;
        begin
            @apply@
            tb_sent = tb_sent + 1;
        end
    endtask

    task tb_respond;
        begin
            if (tb_sink != 0) begin
@written@                $fwrite(tb_sink, "\\n");
            end else if (@differs@) begin
                tb_errors = tb_errors + 1;
                $display("FAIL: vector %0d", tb_received);
            end
            tb_received = tb_received + 1;
        end
    endtask

    initial begin
        tb_errors = 0;
        tb_sent = 0;
        tb_received = 0;
        tb_sink = 0;
@contents@@start@        if ($value$plusargs("stimuli=%s", tb_path)) begin
            tb_source = $fopen(tb_path, "r");
            if ($value$plusargs("responses=%s", tb_path)) tb_sink = $fopen(tb_path, "w");
            if (tb_source == 0 || tb_sink == 0) begin
                $display("FAIL: +stimuli=IN must be readable and +responses=OUT writable");
                $finish;
            end
            while (@scanned@) tb_apply;
        end else begin
            for (tb_i = 0; tb_i < TB_VECTORS; tb_i = tb_i + 1) begin
@chosen@                tb_apply;
            end
        end
        @drain@
        #1;
        if (tb_sink != 0) $fclose(tb_sink);
        else if (tb_errors == 0 && tb_received == TB_VECTORS) $display("PASS: %0d vectors", TB_VECTORS);
        else $display("FAIL: %0d of %0d vectors, %0d answers", tb_errors, TB_VECTORS, tb_received);
        $finish;
    end
endmodule

`default_nettype wire
"""


def bench(name: str, plan: Plan, style: Style, given: Sequence[Sequence[int]], right: Sequence[Sequence[int]]) -> str:
    """The file of the testbench, module ``<name>_tb``.

    Args:
        name: Of the module under test.
        plan: Its ports.
        style: Its control ports.
        given: For every vector, what each input port takes, bit i in bit i.
        right: For every vector, what each output port must show.
    """
    ports = [*plan.inputs, *plan.outputs]
    latency = plan.schedule.stages
    parts = {
        "name": name, "vectors": str(len(given)), "control": CONTROL[style], "apply": APPLY[style],
        "start": START if style != "combinational" else "",
        "drain": f"repeat ({latency}) @(negedge clk);" if latency else "#1;",
        "wires": ", ".join(f".{wire}({wire})" for wire in [*WIRES[style], *(port.name for port in ports)]),
        "declared": _declared(plan), "memories": _memories(plan), "contents": _contents(plan, given, right),
        "written": _written(plan), "differs": _differs(plan), "scanned": _scanned(plan), "chosen": _chosen(plan),
    }  # fmt: skip
    return re.sub("@([a-z]+)@", lambda found: parts[found[1]], TEXT)


def _declared(plan: Plan) -> str:
    lines = [f"    reg {span(port.width)}{port.name};\n" for port in plan.inputs]
    return "".join([*lines, *(f"    wire {span(port.width)}{port.name};\n" for port in plan.outputs)])


def _memories(plan: Plan) -> str:
    return "".join(
        f"    reg {span(port.width)}tb_{port.name} [0:TB_VECTORS-1];\n" for port in (*plan.inputs, *plan.outputs)
    )


def _contents(plan: Plan, given: Sequence[Sequence[int]], right: Sequence[Sequence[int]]) -> str:
    lines = []
    for number, values in enumerate(zip(given, right, strict=True)):
        for port, value in zip((*plan.inputs, *plan.outputs), (*values[0], *values[1]), strict=True):
            lines.append(f"        tb_{port.name}[{number}] = {port.width}'h{value:x};\n")
    return "".join(lines)


def _differs(plan: Plan) -> str:
    return " || ".join(f"{port.name} !== tb_{port.name}[tb_received]" for port in plan.outputs)


def _chosen(plan: Plan) -> str:
    return "".join(f"                {port.name} = tb_{port.name}[tb_i];\n" for port in plan.inputs)


def _scanned(plan: Plan) -> str:
    names = ", ".join(port.name for port in plan.inputs)
    return f'$fscanf(tb_source, "{" ".join(["%h"] * len(plan.inputs))}", {names}) == {len(plan.inputs)}'


def _written(plan: Plan) -> str:
    """Every element of every output of the model; score ports are none."""
    lines = []
    for port, (width, counted) in zip((p for p in plan.outputs if not p.extra), plan.fields, strict=True):
        part = f"{port.name}[{width}*tb_k +: {width}]" if port.width > width else port.name
        shown = f"$signed({part})" if counted else part
        count = port.width // width
        lines.append(f'for (tb_k = 0; tb_k < {count}; tb_k = tb_k + 1) $fwrite(tb_sink, " %0d", {shown});')
    return "".join(f"                {line}\n" for line in lines)
