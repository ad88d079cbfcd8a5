"""A design as the files of a C program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgegate.targets._design import Design
from edgegate.targets.c_code.core import Core, Terms, smallest, terms_of, wrapped
from edgegate.targets.c_code.finish import finish
from edgegate.targets.c_code.interface import LAYOUT, Names, header, one, words
from edgegate.targets.c_code.planes import with_adders
from edgegate.targets.c_code.straight import straight
from edgegate.targets.c_code.table import tabled

SOURCE = """\
/* %(p)s: see %(p)s.h. C99 without a library; all memory is static, so one call at a time. */
#include "%(p)s.h"

typedef %(p)s_word W;

static W s[%(slots)d];

%(gates)s
static W bit(uint32_t literal)
{
    return (W)(s[literal >> 1] ^ (W)((W)0 - (W)(literal & 1u)));
}

%(finish)s
void %(p)s_run(%(one)s)
{
    uint32_t i;
    s[0] = 0;
%(pack_one)s    gates();
%(unpack_one)s}

void %(p)s_run_words(%(words)s)
{
    uint32_t i;
    s[0] = 0;
%(pack_words)s    gates();
%(unpack_words)s}
"""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """A program in C.

    Attributes:
        header: The .h file.
        source: The .c file.
        facts: What it needs, as plain JSON values.
    """

    header: str = field(repr=False)
    source: str = field(repr=False)
    facts: Mapping[str, Any]


def sources(design: Design, prefix: str, form: str) -> Sources:
    """The program of a design.

    Args:
        design: What to compute.
        prefix: Of the names that others see.
        form: "code": a statement for each gate, sums made of gates; "table": arrays and a loop.
    """
    names = Names.of(design, prefix)
    if form == "code":
        design = with_adders(design)
    core = (straight if form == "code" else tabled)(design.netlist)
    terms = None if design.sums is None else terms_of(design.sums, core.outputs)
    facts = {"form": form, **_facts(core, terms)}
    parts = {
        "p": prefix, "slots": core.slots, "gates": core.text, "one": one(design, names),
        "words": words(design, names), **finish(design, names, core, terms, vertical=form == "table"),
    }  # fmt: skip
    return Sources(header=header(design, names, _about(design, facts)), source=SOURCE % parts, facts=facts)


def _facts(core: Core, terms: Terms | None) -> dict[str, Any]:
    """Sizes, for the header and the manifest."""
    data = core.constants
    if terms is not None:
        arrays = (terms.starts, terms.literals, terms.shifts)
        data += sum(smallest(array)[1] * array.size for array in arrays) + terms.offset.nbytes
    return {
        "gates": core.gates, "operations": core.operations, "slots": core.slots,
        "ram": {f"{bits}-bit words": core.slots * bits // 8 for bits in (8, 16, 32, 64)},
        "flash": {"constants": data, "instructions, about": core.code},
    }  # fmt: skip


def _about(design: Design, facts: Mapping[str, Any]) -> str:
    """The comment at the head of the header: what goes in and out, and what it takes."""
    inputs = [f"{given.name}: {given.bits} bits, of shape {list(given.shape)}." for given in design.inputs]
    outputs = []
    for out in design.outputs:
        scores = f" Scores are (counts + {out.beta!r}) / {out.tau!r} in float32." if out.kind == "counts" else ""
        outputs.append(f"{out.name}: {LAYOUT[out.kind]} ({out.size}), of shape {list(out.shape)}.{scores}")
    ram = ", ".join(f"{size} bytes ({name})" for name, size in facts["ram"].items())
    flash = ", ".join(f"{size} bytes ({name})" for name, size in facts["flash"].items())
    text = [
        "Inputs:", *inputs, "Outputs:", *outputs, f"{facts['gates']} gates of {facts['operations']} operations.",
        f"RAM, static: {ram}. Flash: {flash}.", "Not reentrant: the memory is static.",
    ]  # fmt: skip
    return "\n".join(wrapped(_comment(line), " * ") for line in text)


def _comment(text: str) -> str:
    """Text that cannot end a comment."""
    return text.replace("*/", "* /").replace("/*", "/ *").encode("ascii", "replace").decode()
