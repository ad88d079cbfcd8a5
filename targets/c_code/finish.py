"""What stands around the gates: bits in, sums, bits out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgegate.targets._design import Design, Output
from edgegate.targets.c_code.core import Core, Terms, constants
from edgegate.targets.c_code.interface import Names

PLAIN = """\
/* Sum k of each sample. */
static void count(uint32_t k, uint32_t samples, int32_t *value)
{
    uint32_t e, i;
    for (i = 0; i < samples; ++i) value[i] = offsets[k];
    for (e = starts[k]; e < starts[k + 1]; ++e) {
        const W b = bit(literals[e]);
        for (i = 0; i < samples; ++i) value[i] += (int32_t)(b >> i & 1u) << shifts[e];
    }
}
"""
VERTICAL = """\
/* Sum k of each sample: words of bits of one power of two wait until a third makes a sum and a carry. */
static void count(uint32_t k, uint32_t samples, int32_t *value)
{
    W wait[%(planes)d][2];
    uint8_t held[%(planes)d];
    uint32_t e, i, j;
    for (i = 0; i < samples; ++i) value[i] = offsets[k];
    if (samples == 1) {
        for (e = starts[k]; e < starts[k + 1]; ++e) value[0] += (int32_t)(bit(literals[e]) & 1u) << shifts[e];
        return;
    }
    for (j = 0; j < %(planes)d; ++j) held[j] = 0;
    for (e = starts[k]; e < starts[k + 1]; ++e) {
        W b = bit(literals[e]);
        for (j = shifts[e]; held[j] == 2; ++j) {
            const W x = wait[j][0], y = wait[j][1], differ = (W)(x ^ y);
            wait[j][0] = (W)(differ ^ b);
            held[j] = 1;
            b = (W)((x & y) | (differ & b));
        }
        wait[j][held[j]++] = b;
    }
    for (j = 0; j < %(planes)d; ++j)
        for (e = 0; e < held[j]; ++e)
            for (i = 0; i < samples; ++i) value[i] += (int32_t)(wait[j][e] >> i & 1u) << j;
}
"""
FINISH = """\
static void finish(uint32_t samples%(parameters)s)
{
    int32_t value[%(P)s_WORD_BITS];
%(best)s    uint32_t k, i;
    for (k = 0; k < %(groups)d; ++k) {
        count(k, samples, value);
%(each)s    }
}
"""
COUNTS = "        for (i = 0; i < samples; ++i) {name}[i * {size} + k{less}] = value[i];\n"
CLASS = """\
        for (i = 0; i < samples; ++i)
            if (k == {start} || value[i] > best{n}[i]) {{
                best{n}[i] = value[i];
                {name}[i] = (int32_t)(k{less});
            }}
"""


def finish(design: Design, names: Names, core: Core, terms: Terms | None, *, vertical: bool) -> dict[str, str]:
    """The parts of the source around the gates, by the names that its text has for them."""
    sums = [(n, o) for n, o in zip(names.outputs, design.outputs, strict=True) if o.kind != "bits"]
    bits = [(n, o) for n, o in zip(names.outputs, design.outputs, strict=True) if o.kind == "bits"]
    text = "" if terms is None else _counting(names, terms, sums, vertical)
    for i, (_, out) in enumerate(bits):
        text += constants(f"out{i}", core.outputs[out.start : out.start + out.size]) + "\n"
    call = "".join(f", {name}" for name, _ in sums)
    call_one, call_words = f"    finish(1{call});\n", f"    finish({names.upper}_WORD_BITS{call});\n"
    return {
        "finish": text,
        "pack_one": "".join(_enter(design, names, "(W)({name}[i >> 3] >> (i & 7) & 1u)")),
        "pack_words": "".join(_enter(design, names, "{name}[i]")),
        "unpack_one": "".join(map(_leave, range(len(bits)), bits)) + (call_one if sums else ""),
        "unpack_words": "".join(
            f"    for (i = 0; i < {out.size}; ++i) {name}[i] = bit(out{i}[i]);\n" for i, (name, out) in enumerate(bits)
        )
        + (call_words if sums else ""),
    }


def _enter(design: Design, names: Names, value: str) -> Iterator[str]:
    for name, given in zip(names.inputs, design.inputs, strict=True):
        yield f"    for (i = 0; i < {given.bits}; ++i) s[{given.start + 1} + i] = {value.format(name=name)};\n"


def _leave(number: int, output: tuple[str, Output]) -> str:
    name, out = output
    return (
        f"    for (i = 0; i < {-(-out.size // 8)}; ++i) {name}[i] = 0;\n    for (i = 0; i < {out.size}; ++i)\n"
        f"        {name}[i >> 3] = (uint8_t)({name}[i >> 3] | (bit(out{number}[i]) & 1u) << (i & 7));\n"
    )


def _counting(names: Names, terms: Terms, outputs: list[tuple[str, Output]], vertical: bool) -> str:
    """The sums' constants and functions."""
    arrays = {"starts": terms.starts, "literals": terms.literals, "shifts": terms.shifts}
    text = "".join(constants(name, data) for name, data in arrays.items())
    text += constants("offsets", terms.offset, "int32_t") + "\n"
    text += VERTICAL % {"planes": terms.planes} if vertical else PLAIN
    each, best = [], []
    for i, (name, out) in enumerate(outputs):
        there = out.start == 0 and out.size == terms.groups
        less = f" - {out.start}" if out.start else ""
        made = (COUNTS if out.kind == "counts" else CLASS).format(
            name=name, size=out.size, less=less, start=out.start, n=i
        )
        each.append(made if there else f"        if (k{less} < {out.size}) {{\n{made}        }}\n")
        if out.kind == "class":
            best.append(f"    int32_t best{i}[{names.upper}_WORD_BITS];\n")
    parts: Mapping[str, object] = {
        "parameters": "".join(f", int32_t *{name}" for name, _ in outputs), "P": names.upper, "groups": terms.groups,
        "each": "".join(each), "best": "".join(best),
    }  # fmt: skip
    return f"{text}\n{FINISH % parts}\n"
