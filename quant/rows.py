"""Norms make all rows alike: what storing a value does to its smallest rows is what it does to the result.

The error of storing a value is the same in every row, and a norm divides each row by its own size. Where a few
positions are much smaller than the others (the class token of a vision transformer, all tokens beside one that is
an attention sink) the range of the large ones leaves them few steps, and nobody notices in the noise of the whole.

Large activations at fixed positions of trained transformers: Sun et al., "Massive Activations in Large Language
Models", COLM 2024, section 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, attribute, matches
from edgegate.quant.sharing import Groups, is_float, is_move
from edgegate.quant.storage import Storage

SUMS = ("Add", "Sub", "Concat", "Identity")
"""What passes the error of its inputs on as it is, beside moves."""


class Rows:
    """How large the rows are that norms divide by their size, position by position.

    Args:
        model: In float normal form.
    """

    def __init__(self, model: ir.Model) -> None:
        self._norms = matches(model, "RowNorm", domain=DOMAIN)
        self._centred = {str(n.inputs[0].name): bool(attribute(n, "centre")) for n in self._norms if n.inputs[0]}
        self._sums: dict[str, Array] = {}
        self._counts = dict.fromkeys(self._centred, 0)

    def watch(self, seen: Iterable[Mapping[str, Array]]) -> Iterator[Mapping[str, Array]]:
        """``seen``, looked at as it passes."""
        for values in seen:
            for name in self._centred.keys() & values.keys():
                self._add(name, values[name])
            yield values

    def _add(self, name: str, x: Array) -> None:
        rows = x.reshape(1, -1) if x.ndim == 1 else x
        spread = rows.var(axis=-1) if self._centred[name] else np.square(rows).mean(axis=-1)
        self._sums[name] = self._sums.get(name, np.zeros(())) + spread.sum(axis=0, dtype=np.float64)
        self._counts[name] += rows.shape[0]

    def powers(self, groups: Groups) -> dict[str, float]:
        """Owners of what norms read, and of what is added up to it -> mean square of the smallest row to survive.

        Positions that are all zero do not count: they are stored without error. What the norm adds to the square is
        part of it.
        """
        found: dict[str, float] = {}
        for node in self._norms:
            source = node.inputs[0]
            if source is None or source.name not in self._sums:
                continue
            means = np.atleast_1d(self._sums[str(source.name)] / self._counts[str(source.name)])
            means = means[means > 0]
            if not means.size:
                continue
            share = 1 if attribute(node, "mean") else int(source.shape[-1])  # type: ignore[index,arg-type]
            power = float(means.min()) + float(attribute(node, "epsilon")) / share
            for owner in {groups.owner(str(v.name)) for v in _summands(source) if v.name in groups}:
                found[owner] = min(found.get(owner, math.inf), power)
        return found


def ratio(storage: Storage, power: float) -> float:
    """Signal-to-noise in dB of rows of a mean square of ``power``, from the step of ``storage`` alone."""
    return 10 * math.log10(12 * power / storage.scale**2) if power else -math.inf


def _summands(value: ir.Value) -> set[ir.Value]:
    """``value``, and all whose error arrives in it as large as it was."""
    waiting, met = [value], set[ir.Value]()
    while waiting:
        value = waiting.pop()
        node = value.producer()
        if value in met:
            continue
        met.add(value)
        if node is not None and is_move(node):
            waiting += [v for v in node.inputs[:1] if is_float(v)]
        elif node is not None and node.domain == "" and node.op_type in SUMS:
            waiting += [v for v in node.inputs if is_float(v)]
    return met
