"""JSON with one spelling per value, read without mercy."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def canonical(value: Any) -> bytes:
    """The one spelling of ``value``: sorted keys, ASCII, one item per line, a final newline.

    Raises:
        ValueError: A NaN or an infinity.
        TypeError: Something JSON has no form for.
    """
    return (json.dumps(value, allow_nan=False, indent=1, sort_keys=True) + "\n").encode("ascii")


def parse(data: bytes) -> Any:
    """What :func:`canonical` wrote.

    Raises:
        ValueError: Not JSON, a repeated key, a NaN, nested too deeply, or not the canonical spelling.
    """
    try:
        value = json.loads(data.decode("ascii"), object_pairs_hook=_unique, parse_constant=_refuse)
        same = canonical(value) == data
    except RecursionError as e:
        raise ValueError("nested too deeply") from e
    if not same:
        raise ValueError("not the canonical spelling")
    return value


def record(value: Any, keys: Iterable[str], what: str) -> dict[str, Any]:
    """``value``, an object with exactly these keys; ValueError otherwise."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be an object, got {type(value).__name__}")
    expected = set(keys)
    if missing := sorted(expected - set(value)):
        raise ValueError(f"{what} lacks {', '.join(missing)}")
    if unknown := sorted(set(value) - expected):
        raise ValueError(f"{what} has the unknown key {', '.join(map(ascii, unknown))}")
    return value


def typed(value: Any, kind: type[T], what: str) -> T:
    """``value``, of exactly this type (a bool is no int); ValueError otherwise."""
    if type(value) is not kind:
        raise ValueError(f"{what} must be {kind.__name__}, got {ascii(value)[:40]}")
    return value


def items(value: Any, kind: type[T], what: str) -> tuple[T, ...]:
    """``value``, a list whose items are all of this type; ValueError otherwise."""
    return tuple(typed(item, kind, f"{what}[{i}]") for i, item in enumerate(typed(value, list, what)))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is repeated")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")
