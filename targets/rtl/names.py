"""Identifiers of Verilog from the names of a model, which may be anything."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 48
"""Characters of an identifier, and of a file's name without what is appended to it."""
OWN = ("clk", "rst", "in_valid", "out_valid", "enable", "load", "valid", "latency", "core")
"""What the modules call their own ports and signals."""

WORDS = """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind
    bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config
    const constraint context continue cover covergroup coverpoint cross deassign default defparam design disable
    dist do edge else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup
    endinterface endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask
    enum event eventually expect export extends extern final first_match for force foreach forever fork forkjoin
    function generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies import
    incdir include initial inout input inside instance int integer interconnect interface intersect join join_any
    join_none large let liblist library local localparam logic longint macromodule matches medium modport module
    nand negedge nettype new nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed
    parameter pmos posedge primitive priority program property protected pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime ref reg
    reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime
    s_until s_until_with scalared sequence shortint shortreal showcancelled signed small soft solve specify
    specparam static string strong strong0 strong1 struct super supply0 supply1 sync_accept_on sync_reject_on table
    tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg
    type typedef union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait
    wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor alignas alignof and_eq asm auto
    bitand bitor bool catch char char16_t char32_t compl concept consteval constexpr constinit const_cast co_await
    co_return co_yield decltype delete double dynamic_cast explicit false float friend goto inline long mutable
    namespace noexcept not_eq nullptr operator or_eq private public register reinterpret_cast requires short sizeof
    static_assert static_cast switch template thread_local throw true try typeid typename using volatile wchar_t
    xor_eq abs access architecture array attribute block body buffer bus component constant downto elsif entity exit
    file generic guarded impure in inertial is label linkage loop map mod nat next of on open others out port
    postponed procedure process range record rem report rol ror select severity shared signal sla sll sra srl
    subtype then to transport units variable when
"""
"""Words of SystemVerilog (IEEE 1800-2017, Annex B, which holds those of Verilog), C++, which Verilator writes, and
VHDL, whose simulators may read the module beside it."""
RESERVED = frozenset(WORDS.split())


def identifier(text: str) -> str:
    """An identifier as near to ``text`` as every tool takes: letters, digits, single underscores, nothing reserved."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:LONGEST].rstrip("_")
    plain = plain if plain[:1].isalpha() else f"p{plain}"
    taken = plain.lower() in RESERVED or re.fullmatch(r"tb_.*|.*_s\d+", plain.lower())
    return f"{plain}_p" if taken else plain


def identifiers(texts: Iterable[str], taken: Iterable[str] = OWN) -> list[str]:
    """An identifier for each of ``texts``, all different, in small letters too."""
    used, found = {name.lower() for name in taken}, []
    for text in texts:
        plain = name = identifier(text)
        number = 1
        while name.lower() in used:
            number += 1
            name = f"{plain}_{number}"
        used.add(name.lower())
        found.append(name)
    return found


def prefix(letter: str, ports: Iterable[str]) -> str:
    """``letter``, with underscores behind it until no port is called like it with a number."""
    while any(re.fullmatch(rf"{letter}\d.*", port.lower()) for port in ports):
        letter += "_"
    return letter
