"""The float edges of a program, in numpy: ONNX QuantizeLinear and DequantizeLinear, to the last bit.

    stored = saturate(round_half_even(real / scale) + zero_point)       all in float32
    real = float32(stored - zero_point) * scale

and those of bits, Threshold and Scores:

    stored = real > thresholds
    real = (float32(stored) + beta) / tau

Source: ONNX operator specification, QuantizeLinear-21 and DequantizeLinear-21.
"""

from __future__ import annotations

import math

import numpy as np

from edgegate._npz import Array
from edgegate.errors import InputError
from edgegate.manifest import IOSpec
from edgegate.storage import STATE_LIMIT, Edge, Scores, Storage, Thresholds


def entry(spec: IOSpec) -> Quantizer | Binarizer | None:
    """What stores an input; None if the program takes it as it is."""
    if isinstance(spec.storage, Thresholds):
        return Binarizer(spec, spec.storage)
    return Quantizer(spec, spec.storage) if isinstance(spec.storage, Storage) else None


class Binarizer:
    """Compares one input with its thresholds, over and over."""

    def __init__(self, spec: IOSpec, storage: Thresholds) -> None:
        self._name = spec.name
        self._thresholds = np.array(storage.values, np.float32).reshape(storage.shape)

    def __call__(self, real: Array, stored: Array, start: int = 0) -> None:
        """Write the bits of ``real`` to ``stored``, which has one axis more. Arguments, errors: as a Quantizer's."""
        if not math.isfinite(np.add.reduce(real, axis=None)):
            _refuse_non_finite(self._name, real, start)
        np.greater(real[..., None], self._thresholds, out=stored.view(np.bool_))


class Quantizer:
    """Quantizes one input over and over, without allocating."""

    def __init__(self, spec: IOSpec, storage: Storage) -> None:
        self._name = spec.name
        self._scale = np.float32(storage.scale)
        self._zero_point = np.float32(storage.zero_point)
        limits = np.iinfo(storage.dtype)
        least, most = (-STATE_LIMIT, STATE_LIMIT) if storage.dtype == "int32" else (limits.min, limits.max)
        # The bounds of the rounded quotient: they are integers, so clipping first changes nothing,
        # and no sum leaves the integers that float32 holds exactly.
        self._low = np.float32(least - storage.zero_point)
        self._high = np.float32(most - storage.zero_point)
        self._scratch = np.empty(spec.shape, np.float32)

    def __call__(self, real: Array, stored: Array, start: int = 0) -> None:
        """Write the stored form of ``real`` (float32, at most the spec's samples) to ``stored``.

        Args:
            real: Part of an input.
            stored: Of the same shape.
            start: Which sample of the input is the first of ``real``, for the message.

        Raises:
            InputError: A NaN or an infinity, with its place.
        """
        work = self._scratch[: len(real)] if real.ndim else self._scratch
        with np.errstate(over="ignore", invalid="ignore"):  # a huge quotient saturates
            np.divide(real, self._scale, out=work)
            total = np.add.reduce(work, axis=None)
        if not math.isfinite(total):  # what is not finite shows in any sum; a huge sum may be innocent
            _refuse_non_finite(self._name, real, start)
        np.maximum(work, self._low, out=work)  # np.clip takes longer than both
        np.minimum(work, self._high, out=work)
        np.rint(work, out=work)
        np.add(work, self._zero_point, out=stored, casting="unsafe")


def dequantize(stored: Array, storage: Edge, real: Array) -> None:
    """Write what ``stored`` means to ``real``, a float32 array of the same shape."""
    if isinstance(storage, Scores):
        np.add(stored, np.float32(storage.beta), out=real, dtype=np.float32, casting="unsafe")
        np.divide(real, np.float32(storage.tau), out=real)
        return
    assert isinstance(storage, Storage), "bits are no output"
    np.subtract(stored, np.float32(storage.zero_point), out=real, dtype=np.float32, casting="unsafe")
    np.multiply(real, np.float32(storage.scale), out=real)


def _refuse_non_finite(name: str, real: Array, start: int) -> None:
    """Raise the InputError if ``real`` is not finite; a quotient may be infinite all the same."""
    places = np.argwhere(~np.isfinite(real))
    if len(places):
        first = tuple(int(i) for i in places[0])
        where = [start + i if axis == 0 else i for axis, i in enumerate(first)]
        raise InputError(f"input {name!r}: {real[first]} at {where}; expected finite numbers")
