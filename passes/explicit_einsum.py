"""Sums of products are matrix products."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import attribute, constant, matches, shape
from edgegate.passes._contraction import Moves, Term, contract
from edgegate.passes._rewrite import is_float


def explicit_einsum(model: ir.Model) -> None:
    """Turn Einsum into MatMul, Mul, ReduceSum and the moves that they take, two terms after the other.

    A term that has a letter twice (a diagonal) stays, and so does one whose letters do not tell its axes.
    """
    for node in matches(model, "Einsum"):
        values = [v for v in node.inputs if v is not None]
        read = _letters(str(attribute(node, "equation", "")), [len(shape(v)) for v in values])
        if read is not None and all(map(is_float, values)):
            _replace(model, node, values, *read)


def _letters(equation: str, ranks: list[int]) -> tuple[list[str], str] | None:
    """The labels of every term, and of the result: one character for each axis."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        return None
    spare = max((r - len(t.replace("...", "")) for t, r in zip(terms, ranks, strict=True) if "..." in t), default=0)
    dots = "".join(chr(0x370 + i) for i in range(max(spare, 0)))
    named = []
    for term, rank in zip(terms, ranks, strict=True):
        missing = rank - len(term.replace("...", ""))
        named.append(term.replace("...", dots[len(dots) - missing :] if missing > 0 else ""))
    if not arrow:
        letters = sorted(set("".join(terms).replace(".", "")))
        result = "..." + "".join(c for c in letters if left.count(c) == 1)
    result = result.replace("...", dots)
    fits = all(len(t) == r == len(set(t)) for t, r in zip(named, ranks, strict=True))
    return (named, result) if fits and len(set(result)) == len(result) else None


def _replace(model: ir.Model, node: ir.Node, values: list[ir.Value], named: list[str], result: str) -> None:
    moves = Moves.of(model, node)
    full: dict[str, int] = {}
    for value, term in zip(values, named, strict=True):
        full |= {c: d for c, d in zip(term, shape(value), strict=True) if full.get(c, 1) == 1}
    terms = [_term(moves, v, t, full, i) for i, (v, t) in enumerate(zip(values, named, strict=True))]
    first = terms[0]
    if len(terms) == 1:
        first = _alone(moves, first, [ord(c) for c in result])
    for i, second in enumerate(terms[1:], 1):
        later = {label for t in terms[i + 1 :] for label in t.labels} | {ord(c) for c in result}
        both = dict.fromkeys((*first.labels, *second.labels))
        out = [label for label in both if label in later]
        ends = [label for label in map(ord, result) if label in both] if i == len(terms) - 1 else out
        first = contract(Moves.of(model, node, f".{i}"), first, second, ends)
    moves.finish(first.value)


def _term(moves: Moves, value: ir.Value, letters: str, full: dict[str, int], index: int) -> Term:
    """The value without the axes that it has only one of where another has more."""
    kept = [c for c, d in zip(letters, shape(value), strict=True) if d == full[c]]
    labels = tuple(ord(c) for c in kept)
    return Term(value=moves.reshape(value, [full[c] for c in kept], f"term{index}"), labels=labels)


def _alone(moves: Moves, term: Term, out: list[int]) -> Term:
    """One term: what is not in the result is summed over."""
    gone = [i for i, label in enumerate(term.labels) if label not in out]
    if gone:
        kept = term.without([term.labels[i] for i in gone])
        axes = constant(moves.model, f"{moves.name}.axes", np.array(gone, np.int64))
        dims = [term.sizes[label] for label in kept]
        term = Term(value=moves.node("ReduceSum", [term.value, axes], "sum", dims, keepdims=0), labels=kept)
    return Term(value=moves.arranged(term, out, "ordered"), labels=tuple(out))
