"""The C side of a design's inputs and outputs: names, sizes, the header."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from edgegate.graph import Array
from edgegate.targets._design import Design, Input, Output

HEADER = """\
/* %(title)s
%(about)s
 */
#ifndef %(P)s_H
#define %(P)s_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Samples of one call of %(p)s_run_words: 8, 16, 32 or 64. The program's file and its users must agree. */
#ifndef %(P)s_WORD_BITS
#define %(P)s_WORD_BITS 32
#endif
#if %(P)s_WORD_BITS == 8
typedef uint8_t %(p)s_word;
#elif %(P)s_WORD_BITS == 16
typedef uint16_t %(p)s_word;
#elif %(P)s_WORD_BITS == 32
typedef uint32_t %(p)s_word;
#else
typedef uint64_t %(p)s_word;
#endif

%(sizes)s
/* One sample. Bit i of an input or output is bit i %% 8 of byte i / 8. */
void %(p)s_run(%(one)s);

/* %(P)s_WORD_BITS samples. Word i of an input or output holds bit i of all samples: sample j in place j. */
void %(p)s_run_words(%(words)s);

%(helpers)s#ifdef __cplusplus
}
#endif

#endif
"""
LAYOUT = {"bits": "bits", "counts": "sums of bits", "class": "the place of the greatest sum, the lowest of equals"}


@dataclass(frozen=True, kw_only=True)
class Names:
    """Of a design in C.

    Attributes:
        prefix: Of all that others can see, and of the files.
        inputs: Of the inputs, in order.
        outputs: Of the outputs, in order.
    """

    prefix: str
    inputs: tuple[str, ...] = field(default=())
    outputs: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, design: Design, prefix: str) -> Names:
        """Names as near to the model's as C takes."""
        taken: set[str] = set()
        inputs = [_unique(f"in_{identifier(given.name)}", taken) for given in design.inputs]
        outputs = [_unique(f"out_{identifier(out.name)}", taken) for out in design.outputs]
        return cls(prefix=prefix, inputs=tuple(inputs), outputs=tuple(outputs))

    @property
    def upper(self) -> str:
        """The prefix of macros."""
        return self.prefix.upper()


def identifier(text: str) -> str:
    """Letters, digits and underscores of a name."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:40].strip("_") or "x"


def _unique(name: str, taken: set[str]) -> str:
    unique, number = name, 1
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    taken.add(unique)
    return unique


def header(design: Design, names: Names, about: str) -> str:
    """The header file."""
    p, upper = names.prefix, names.upper
    sizes = [
        f"#define {upper}_{n[3:].upper()}_BITS {i.bits}\n" for n, i in zip(names.inputs, design.inputs, strict=True)
    ]
    for name, out in zip(names.outputs, design.outputs, strict=True):
        sizes.append(f"#define {upper}_{name[4:].upper()}_{'BITS' if out.kind == 'bits' else 'CLASSES'} {out.size}\n")
    helpers = "".join([*_thresholds(design, names), *_scores(design, names)])
    if helpers:
        macro = f"{upper}_FLOAT"
        helpers = f"/* Floats at the edges, for those who define {macro}. */\n#ifdef {macro}\n{helpers}#endif\n\n"
    return HEADER % {
        "title": f"{p}: a logic gate network, made by EdgeGate.", "about": about, "p": p, "P": upper,
        "sizes": "".join(dict.fromkeys(sizes)), "one": one(design, names), "words": words(design, names),
        "helpers": helpers,
    }  # fmt: skip


def one(design: Design, names: Names) -> str:
    """The parameters of the function for one sample."""
    given = [f"const uint8_t *{n} /* [{-(-i.bits // 8)}] */" for n, i in zip(names.inputs, design.inputs, strict=True)]
    made = []
    for name, out in zip(names.outputs, design.outputs, strict=True):
        size = {"bits": -(-out.size // 8), "counts": out.size, "class": 1}[out.kind]
        made.append(f"{'uint8_t' if out.kind == 'bits' else 'int32_t'} *{name} /* [{size}] */")
    return ", ".join([*given, *made])


def words(design: Design, names: Names) -> str:
    """The parameters of the function for a word of samples."""
    word = f"{names.prefix}_word"
    given = [f"const {word} *{n} /* [{i.bits}] */" for n, i in zip(names.inputs, design.inputs, strict=True)]
    made, samples = [], f"{names.upper}_WORD_BITS"
    for name, out in zip(names.outputs, design.outputs, strict=True):
        size = {"bits": f"[{out.size}]", "counts": f"[{samples}][{out.size}]", "class": f"[{samples}]"}[out.kind]
        made.append(f"{word if out.kind == 'bits' else 'int32_t'} *{name} /* {size} */")
    return ", ".join([*given, *made])


def _thresholds(design: Design, names: Names) -> list[str]:
    """For each input that is compared with thresholds the function that compares."""
    pairs = zip(names.inputs, design.inputs, strict=True)
    return [_threshold(names.prefix, n[3:], i, i.thresholds) for n, i in pairs if i.thresholds is not None]


def _threshold(prefix: str, name: str, given: Input, limits: Array) -> str:
    features, each = limits.shape
    values = ", ".join(f"{_float(v)}f" for v in limits.reshape(-1))
    count = given.bits // each
    return (
        f"static inline void {prefix}_threshold_{name}(const float *x /* [{count}] */, uint8_t *bits)\n{{\n"
        f"    static const float limits[] = {{{values}}};\n    uint32_t i;\n"
        f"    for (i = 0; i < {-(-given.bits // 8)}; ++i) bits[i] = 0;\n    for (i = 0; i < {given.bits}; ++i)\n"
        f"        if (x[i / {each}] > limits[i % {features * each}])\n"
        f"            bits[i >> 3] = (uint8_t)(bits[i >> 3] | 1u << (i & 7));\n}}\n"
    )


def _scores(design: Design, names: Names) -> list[str]:
    """For each output of sums the function that makes the model's scores of them."""
    pairs = zip(names.outputs, design.outputs, strict=True)
    return [_score(names.prefix, n[4:], out) for n, out in pairs if out.kind == "counts"]


def _score(prefix: str, name: str, out: Output) -> str:
    return (
        f"static inline void {prefix}_scores_{name}(const int32_t *counts, float *scores /* [{out.size}] */)\n{{\n"
        f"    uint32_t k;\n    for (k = 0; k < {out.size}; ++k)\n"
        f"        scores[k] = ((float)counts[k] + {_float(out.beta)}f) / {_float(out.tau)}f;\n}}\n"
    )


def _float(value: float) -> str:
    """A float32 in C99's exact notation."""
    return float(np.float32(value)).hex()
