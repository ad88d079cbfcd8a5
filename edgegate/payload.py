"""Payloads: what crosses a cut between stages, as bytes. Values that are the stored zero need not be sent.

The first byte is the form; shape, dtype and zero point are known on both sides. Numbers are little-endian.

    0 dense     every value
    1 bitmap    ceil(N / 8) bytes of one bit a value, lowest bit first, rest 0; then the values whose bit is set
    2 index     uint32 G; G gaps of one byte; then the values
                a gap g < 255: g zeros, then a value; 255: as many zeros and no value; behind the last value, zeros

Each array has one spelling in each form, and no other bytes are accepted.

Source: Li et al., arXiv 2303.08970, compress what crosses a cut. The bytes are this project's: of 8-bit values,
ceil(N / 8) + nnz for a bitmap and about 2 nnz for an index.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgegate._npz import Array
from edgegate.errors import InputError

FORMS = ("dense", "bitmap", "index")
"""By their number."""
DTYPES = ("int8", "uint8", "int16", "int32")
STEP = 255
"""A gap that stands for as many zeros and no value."""


@dataclass(frozen=True, kw_only=True)
class Payload:
    """How one array crosses a cut.

    Attributes:
        shape: Of the array.
        dtype: "int8", "uint8", "int16" or "int32".
        zero_point: The stored value that means zero.
        form: "dense", "bitmap" or "index".

    Raises:
        ValueError: An attribute is impossible.
    """

    shape: tuple[int, ...]
    dtype: str
    zero_point: int = 0
    form: str = "bitmap"

    def __post_init__(self) -> None:
        if self.form not in FORMS or self.dtype not in DTYPES:
            raise ValueError(f"no payload of {self.dtype!r} as {self.form!r}")
        limits = np.iinfo(self.dtype)
        if not limits.min <= self.zero_point <= limits.max:
            raise ValueError(f"{self.dtype} cannot store the zero {self.zero_point}")
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        if min(self.shape, default=1) < 1 or math.prod(self.shape) > 2**31:
            raise ValueError(f"impossible shape {list(self.shape)}")

    @property
    def count(self) -> int:
        """Values of the array."""
        return math.prod(self.shape)

    @property
    def _wire(self) -> np.dtype[np.generic]:
        return np.dtype(self.dtype).newbyteorder("<")

    def pack(self, array: Array) -> bytes:
        """The bytes of an array.

        Raises:
            InputError: It has another shape or dtype.
        """
        if array.shape != self.shape or array.dtype != np.dtype(self.dtype):
            found = f"{array.dtype}{list(array.shape)}"
            raise InputError(f"expected {self.dtype}{list(self.shape)} to cross the cut, got {found}")
        flat = np.ascontiguousarray(array).reshape(-1)
        places = np.flatnonzero(flat != self.zero_point)
        values = flat.astype(self._wire) if self.form == "dense" else flat[places].astype(self._wire)
        head = bytes([FORMS.index(self.form)])
        if self.form == "bitmap":
            head += np.packbits(flat != self.zero_point, bitorder="little").tobytes()
        elif self.form == "index":
            gaps = _gaps(places)
            head += len(gaps).to_bytes(4, "little") + gaps.tobytes()
        return head + values.tobytes()

    def unpack(self, data: bytes) -> Array:
        """The array of some bytes, which may come from anywhere: they are checked before anything is made of them.

        Raises:
            InputError: They are not what :meth:`pack` writes.
        """
        if not data or data[0] != FORMS.index(self.form):
            raise InputError(f"payload: expected the form {self.form}, got {data[:1].hex() or 'nothing'}")
        match self.form:
            case "bitmap":
                places, rest = self._bitmap(data[1:])
            case "index":
                places, rest = self._index(data[1:])
            case _:
                places, rest = np.arange(self.count), data[1:]
        if len(rest) != len(places) * self._wire.itemsize:
            raise InputError(f"payload: {len(rest)} bytes for {len(places)} values of {self.dtype}")
        values = np.frombuffer(rest, self._wire)
        if self.form != "dense" and (values == self.zero_point).any():
            raise InputError("payload: a value that is zero, which is not to be sent")
        flat = np.full(self.count, self.zero_point, self.dtype)
        flat[places] = values
        return flat.reshape(self.shape)

    def _bitmap(self, data: bytes) -> tuple[Array, bytes]:
        size = -(-self.count // 8)
        if len(data) < size:
            raise InputError(f"payload: {len(data)} bytes, a bitmap of {self.count} values has {size}")
        bits = np.unpackbits(np.frombuffer(data[:size], np.uint8), bitorder="little")
        if bits[self.count :].any():
            raise InputError("payload: a bit is set behind the last value")
        return np.flatnonzero(bits[: self.count]), data[size:]

    def _index(self, data: bytes) -> tuple[Array, bytes]:
        size = int.from_bytes(data[:4], "little")
        if len(data) < 4 + size or size > self.count:
            raise InputError(f"payload: {size} gaps in {len(data)} bytes, for {self.count} values")
        gaps = np.frombuffer(data[4 : 4 + size], np.uint8).astype(np.int64)
        if size and gaps[-1] == STEP:
            raise InputError("payload: zeros behind the last value, which are not to be sent")
        ends = gaps != STEP
        places = (np.cumsum(gaps + ends) - 1)[ends]
        if size and places[-1] >= self.count:
            raise InputError(f"payload: value {places[-1]} of {self.count}")
        return places, data[4 + size :]

    def document(self) -> dict[str, object]:
        """The payload as plain JSON values."""
        return {"shape": list(self.shape), "dtype": self.dtype, "zero_point": self.zero_point, "form": self.form}


def _gaps(places: Array) -> Array:
    """The gaps before each value, long ones in steps: uint8."""
    lengths = np.diff(places, prepend=-1) - 1
    steps = lengths // STEP
    gaps = np.full(int(steps.sum()) + len(places), STEP, np.uint8)
    gaps[np.cumsum(steps + 1) - 1] = lengths % STEP
    return gaps


def chosen(shape: Iterable[int], dtype: str, zero_point: int, samples: Iterable[Array]) -> tuple[Payload, float]:
    """The form of the fewest bytes over samples, and how many bytes it takes on average.

    Args:
        shape: Of an array that crosses.
        dtype: As it is stored.
        zero_point: The stored value that means zero.
        samples: Arrays that crossed, as calibration saw them; without any, it is dense.
    """
    forms = [Payload(shape=tuple(shape), dtype=dtype, zero_point=zero_point, form=form) for form in FORMS]
    sizes = [[len(form.pack(array)) for form in forms] for array in samples]
    if not sizes:
        return forms[0], float(1 + forms[0].count * np.dtype(dtype).itemsize)
    means = np.mean(sizes, axis=0)
    best = int(means.argmin())
    return forms[best], float(means[best])
