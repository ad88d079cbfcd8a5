"""What one row of the op table holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgegate.graph import DOMAIN, Array

INT32, INT48 = 32, 48
"""Widths of accumulators: products of 8-bit values, and of 16-bit activations by 8-bit weights."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """What a stored tensor may hold: every element ``e`` has ``low <= e <= high``.

    Attributes:
        low: Least value.
        high: Greatest value.
        data: The tensor itself where it is a constant.
        dtype: What it is stored as, where that is known.
        dims: Its shape, where that is known.
        channels: int64 [2, C], the least and the greatest value by index of the last axis, where an op tells them
            apart for a Split that follows.
    """

    low: int
    high: int
    data: Array | None = None
    dtype: np.dtype[Any] | None = None
    dims: tuple[int, ...] = ()
    channels: Array | None = None

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"empty interval [{self.low}, {self.high}]")

    @classmethod
    def of(cls, data: Array) -> Interval:
        """The interval of a constant; an empty tensor is [0, 0]."""
        if data.size == 0:
            return cls(low=0, high=0, data=data)
        return cls(low=int(data.min()), high=int(data.max()), data=data)

    @classmethod
    def of_dtype(cls, dtype: np.dtype[Any]) -> Interval:
        """All that an integer (or bool) type can hold."""
        if dtype == np.bool_:
            return cls(low=0, high=1)
        info = np.iinfo(dtype)
        return cls(low=int(info.min), high=int(info.max))

    def shifted(self, offset: int) -> Interval:
        """The interval of ``e + offset``, which is of no type yet."""
        return Interval(low=self.low + offset, high=self.high + offset, dims=self.dims)


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What the interval analysis knows of a node's result.

    Attributes:
        output: Interval of the output; of every output, where an op has several and ``more`` is empty.
        accumulator: Interval of every partial sum, whatever the order of summation, or None for an op
            that accumulates nothing.
        bits: Width of the accumulator; the analysis refuses the node unless the interval fits.
        more: Intervals of the outputs behind the first, for an op whose outputs differ in kind.
    """

    output: Interval
    accumulator: Interval | None = None
    bits: int = INT32
    more: tuple[Interval, ...] = ()

    def of(self, count: int) -> tuple[Interval, ...]:
        """The intervals of all ``count`` outputs.

        Raises:
            ValueError: There are intervals of another number of outputs.
        """
        if self.more and len(self.more) != count - 1:
            raise ValueError(f"intervals of {1 + len(self.more)} outputs, where the node has {count}")
        return (self.output, *self.more) if self.more else (self.output,) * count


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Inputs and attributes on which every meaning of an op must agree."""

    inputs: tuple[Array, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Op:
    """One integer op: its name and its four meanings.

    Attributes:
        name: ONNX op type.
        reference: ``reference(*arrays, **attributes)``: the numpy definition of right. Returns one array,
            or a tuple where the op has several outputs.
        bounds: ``bounds(*intervals, **attributes)``: the rule of the overflow proof. Raises
            :class:`OverflowError` with a sentence if a value leaves its domain.
        lower: ``lower(*te_tensors, **attributes)``: the portable TVM lowering, a ``te.Tensor`` (or a list).
        samples: ``samples(rng)``: inputs that spread over magnitudes and hit ties and extremes.
        scalar: ``scalar(*elements, **attributes)``: one element of the result as a TIR expression, for
            element-wise ops; None for all others.
        body: ONNX function text over standard ops; None for an op of the standard domain.
        domain: ONNX domain.
        static: Positions of inputs (a shape, sizes) that are constants of the graph and reach ``lower`` as
            arrays, not as tensors.
    """

    name: str
    reference: Callable[..., Any]
    bounds: Callable[..., Bound]
    lower: Callable[..., Any]
    samples: Callable[[np.random.Generator], Iterable[Sample]]
    scalar: Callable[..., Any] | None = None
    body: str | None = None
    domain: str = DOMAIN
    static: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if (self.body is None) != (self.domain == ""):
            raise ValueError(f"{self.name}: ops of the project's domain carry a body, standard ones do not")


def fits(interval: Interval, bits: int, what: str) -> None:
    """OverflowError unless a signed integer of ``bits`` holds ``interval``."""
    limit = 1 << (bits - 1)
    if interval.low < -limit or interval.high >= limit:
        raise OverflowError(f"{what} reaches [{interval.low}, {interval.high}], which int{bits} cannot hold")
