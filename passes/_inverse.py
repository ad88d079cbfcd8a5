"""Monotone functions of one number, and what a bound on their result says of their argument, exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction

import onnx_ir as ir

from edgegate.graph import Array, array
from edgegate.passes._rewrite import operand, operands

DIGITS = Context(prec=60)
"""What is irrational has so many digits: no integer scale can tell it from the number itself."""


class Unreachable(Exception):
    """The function never has this value."""

    def __init__(self, value: Fraction, what: str) -> None:
        super().__init__(what)
        self.value = value


@dataclass(frozen=True, kw_only=True)
class Step:
    """One function that can be gone back through.

    Attributes:
        source: Its argument.
        bound: From a bound of the result to that of the argument; raises :class:`Unreachable`.
        falls: Whether the function falls.
        range: Where its values lie, in words.
    """

    source: ir.Value
    bound: Callable[[Fraction], Fraction]
    falls: bool = False
    range: str = "among its values"


def inverse(node: ir.Node) -> Step | None:
    """How to go back through a node, or None: it is not monotone, or not a function of one number."""
    if node.domain:
        return None
    if node.op_type in INVERSES:
        bound, reach = INVERSES[node.op_type]
        return Step(source=operand(node), bound=bound, range=reach)
    if node.op_type == "Neg":
        return Step(source=operand(node), bound=lambda b: -b, falls=True)
    return _line(node) if node.op_type in ("Add", "Sub", "Mul", "Div") else None


def _line(node: ir.Node) -> Step | None:
    """Go back through arithmetic with one number."""
    found = operands(node)
    if found is None or found[1].size != 1:
        return None
    source, number = found[0], _number(found[1])
    first = array(node.inputs[0]) is None
    match node.op_type:
        case "Add":
            return Step(source=source, bound=lambda b: b - number)
        case "Sub" if first:
            return Step(source=source, bound=lambda b: b + number)
        case "Sub":
            return Step(source=source, bound=lambda b: number - b, falls=True)
        case "Mul" if number:
            return Step(source=source, bound=lambda b: b / number, falls=number < 0)
        case "Div" if number and first:
            return Step(source=source, bound=lambda b: b * number, falls=number < 0)
        case _:
            return None


def _number(data: Array) -> Fraction:
    return Fraction(float(data.reshape(())))


def _decimal(x: Fraction) -> Decimal:
    return DIGITS.divide(Decimal(x.numerator), Decimal(x.denominator))


def _ln(x: Fraction) -> Fraction:
    return Fraction(DIGITS.ln(_decimal(x)))


def logit(p: Fraction) -> Fraction:
    """log(p / (1 - p)): the argument of a sigmoid; zero for one half, exactly.

    Raises:
        Unreachable: ``p`` is outside (0, 1).
    """
    if not 0 < p < 1:
        raise Unreachable(p, "a sigmoid lies between 0 and 1, so the gate would be always open, or never")
    return Fraction(0) if p == Fraction(1, 2) else _ln(p / (1 - p))


def _atanh(t: Fraction) -> Fraction:
    if not -1 < t < 1:
        raise Unreachable(t, "a tanh lies between -1 and 1, so the gate would be always open, or never")
    return _ln((1 + t) / (1 - t)) / 2 if t else Fraction(0)


def _log(t: Fraction) -> Fraction:
    if t <= 0:
        raise Unreachable(t, "an exponential is above 0, so the gate would be always open")
    return _ln(t) if t != 1 else Fraction(0)


INVERSES: dict[str, tuple[Callable[[Fraction], Fraction], str]] = {
    "Sigmoid": (logit, "between 0 and 1"),
    "Tanh": (_atanh, "between -1 and 1"),
    "Exp": (_log, "above 0"),
    "Identity": (lambda b: b, ""),
}
"""Rising functions: the way back, and where their values lie."""
