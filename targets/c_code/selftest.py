"""A C program that replays samples with known answers, one at a time and a word at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edgegate import vectors
from edgegate.graph import Array
from edgegate.logic import counts, evaluate
from edgegate.targets._design import Design, Output
from edgegate.targets.c_code.core import constants
from edgegate.targets.c_code.interface import Names

MORE = 67
"""Samples beside those of the vectors: more than a word of any width, and no whole number of words."""
SELFTEST = """\
/* Replays %(count)d samples; the exit code is 0 if every answer is right. Compile with %(p)s.c. */
#include <stdio.h>
#include "%(p)s.h"

%(arrays)s
%(buffers)s
static int wrong(const char *what, int sample)
{
    printf("sample %%d: %%s differs\\n", sample, what);
    return 1;
}

int main(void)
{
    int n, j, i, bad = 0;
    for (n = 0; n < %(count)d; ++n) {
        %(p)s_run(%(one)s);
%(check_one)s    }
    for (n = 0; n < %(count)d; n += %(P)s_WORD_BITS) {
%(pack)s        %(p)s_run_words(%(words)s);
        for (j = 0; j < %(P)s_WORD_BITS && n + j < %(count)d; ++j) {
%(check_words)s        }
    }
    if (!bad) printf("%(count)d samples agree\\n");
    return bad;
}
"""
PACK = """\
        for (i = 0; i < {bits}; ++i) {{
            w_{name}[i] = 0;
            for (j = 0; j < {P}_WORD_BITS && n + j < {count}; ++j)
                if (x_{name}[(n + j) * {each} + (i >> 3)] >> (i & 7) & 1)
                    w_{name}[i] = ({p}_word)(w_{name}[i] | ({p}_word)1 << j);
        }}
"""
CHECK = """\
{pad}for (i = 0; i < {size}; ++i)
{pad}    if ({found} != y_{name}[{sample} * {size} + i]) bad = wrong({text}, {sample});
"""
CHECK_BITS = "(w_{name}[i] >> j & 1) != ({p}_word)(y_{name}[(n + j) * {each} + (i >> 3)] >> (i & 7) & 1)"


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Bits and answers.

    Attributes:
        inputs: uint8 [N, bits] of 0 and 1, for each input of a design.
        outputs: For each output uint8 [N, size] of 0 and 1, or int32 [N, size], of size 1 for a class.
    """

    inputs: tuple[Array, ...] = field(repr=False)
    outputs: tuple[Array, ...] = field(repr=False)


def samples_of(design: Design, tests: Sequence[vectors.Vector]) -> Samples:
    """The samples of an artifact's test vectors, and others with the answers that define what is right."""
    rng = np.random.default_rng(0)
    more = rng.integers(0, 2, (MORE, design.netlist.inputs)).astype(np.uint8)
    answers = _answers(design, more)
    inputs, outputs = [], []
    for given in design.inputs:
        told = [(test.inputs[given.name] != 0).reshape(design.batch, -1) for test in tests]
        inputs.append(np.concatenate([*told, more[:, given.start : given.start + given.bits]]).astype(np.uint8))
    for out, answer in zip(design.outputs, answers, strict=True):
        told = [test.outputs[out.name].reshape(design.batch, -1) for test in tests]
        outputs.append(np.concatenate([*told, answer]).astype(answer.dtype))
    return Samples(inputs=tuple(inputs), outputs=tuple(outputs))


def _answers(design: Design, bits: Array) -> list[Array]:
    """What the definition makes of bits, by output."""
    values = evaluate(design.netlist, bits)
    sums = values if design.sums is None else counts(design.sums, values)
    found = []
    for out in design.outputs:
        part = (values if out.kind == "bits" else sums)[:, out.start : out.start + out.size]
        found.append(part.argmax(1)[:, None].astype(np.int32) if out.kind == "class" else part)
    return found


def selftest(design: Design, names: Names, samples: Samples) -> str:
    """The program."""
    p, count = names.prefix, len(samples.inputs[0])
    arrays, pack = [], []
    for name, data, given in zip(names.inputs, samples.inputs, design.inputs, strict=True):
        packed = np.packbits(data, axis=1, bitorder="little")
        arrays.append(constants(f"x_{name}", packed, "uint8_t"))
        each = packed.shape[1]
        pack.append(PACK.format(bits=given.bits, name=name, P=names.upper, p=p, count=count, each=each))
    checks = [_checks(p, *each) for each in zip(names.outputs, design.outputs, samples.outputs, strict=True)]
    in_words = [f"static {p}_word w_{n}[{g.bits}];\n" for n, g in zip(names.inputs, design.inputs, strict=True)]
    outer = [_buffers(names, n, out) for n, out in zip(names.outputs, design.outputs, strict=True)]
    one = [f"x_{n} + n * {-(-g.bits // 8)}" for n, g in zip(names.inputs, design.inputs, strict=True)]
    return SELFTEST % {
        "count": count, "p": p, "P": names.upper, "arrays": "\n".join([*arrays, *(c[0] for c in checks)]),
        "buffers": "".join([*in_words, *outer]), "pack": "".join(pack),
        "one": ", ".join([*one, *(f"o_{n}" for n in names.outputs)]),
        "words": ", ".join(f"w_{n}" for n in (*names.inputs, *names.outputs)),
        "check_one": "".join(c[1] for c in checks), "check_words": "".join(c[2] for c in checks),
    }  # fmt: skip


def _buffers(names: Names, name: str, out: Output) -> str:
    """Where answers go."""
    if out.kind == "bits":
        return f"static uint8_t o_{name}[{-(-out.size // 8)}];\nstatic {names.prefix}_word w_{name}[{out.size}];\n"
    size = out.size if out.kind == "counts" else 1
    return f"static int32_t o_{name}[{size}];\nstatic int32_t w_{name}[{names.upper}_WORD_BITS * {size}];\n"


def _checks(p: str, name: str, out: Output, answers: Array) -> tuple[str, str, str]:
    """The answers of an output, and the statements that compare them with one sample's, and with a word's."""
    text = f'"{name}"'
    if out.kind != "bits":
        size = answers.shape[1]
        one = CHECK.format(pad=" " * 8, size=size, found=f"o_{name}[i]", name=name, sample="n", text=text)
        many = CHECK.format(
            pad=" " * 12, size=size, found=f"w_{name}[j * {size} + i]", name=name, sample="(n + j)", text=text
        )
        return constants(f"y_{name}", answers, "int32_t"), one, many
    packed = np.packbits(answers, axis=1, bitorder="little")
    each = packed.shape[1]
    one = CHECK.format(pad=" " * 8, size=each, found=f"o_{name}[i]", name=name, sample="n", text=text)
    found = CHECK_BITS.format(name=name, p=p, each=each)
    many = f"            for (i = 0; i < {out.size}; ++i)\n                if ({found}) bad = wrong({text}, n + j);\n"
    return constants(f"y_{name}", packed, "uint8_t"), one, many
