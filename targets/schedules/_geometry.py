"""How a kernel cuts its work: tiles of channels and pixels, tasks, and the rows of the input that it copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import Array
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._kernel import powers
from edgegate.targets.schedules._registers import Expr, Registers, bind, view

TASKS = 16
"""Most shares of a kernel's work; each keeps its own copy of input rows."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """A two-dimensional reduction over an NHWC input.

    Attributes:
        images: N.
        height: Of the input.
        width: Of the input.
        channels: Of the input.
        kernel: Rows and columns.
        pads: Top, left, bottom, right.
        strides: Down, right.
        dilations: Down, right.
    """

    images: int
    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    pads: tuple[int, int, int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]

    @property
    def output(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        (kh, kw), (dh, dw), (sh, sw) = self.kernel, self.dilations, self.strides
        top, left, bottom, right = self.pads
        rows = (self.height + top + bottom - (kh - 1) * dh - 1) // sh + 1
        return rows, (self.width + left + right - (kw - 1) * dw - 1) // sw + 1

    @property
    def span(self) -> int:
        """Input rows that one output row reads from, gaps included."""
        return (self.kernel[0] - 1) * self.dilations[0] + 1

    @property
    def pointwise(self) -> bool:
        """Whether output pixel i reads input pixel i alone."""
        return self.kernel == (1, 1) and self.strides == (1, 1) and self.pads == (0, 0, 0, 0)

    @property
    def row(self) -> int:
        """Elements of an input row with its padding."""
        return (self.width + self.pads[1] + self.pads[3]) * self.channels


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """Equal tiles of output channels.

    Attributes:
        first: First register of the first tile.
        count: How many tiles.
        vectors: Registers of a tile.
    """

    first: int
    count: int
    vectors: int


def channel_starts(channels: int, lanes: int) -> Array:
    """First channel of each register: the last one overlaps its neighbour so that every lane is a channel.

    >>> channel_starts(40, 16).tolist()
    [0, 16, 24]
    """
    starts = np.arange(0, channels, lanes)
    return np.minimum(starts, max(0, channels - lanes))


def channel_tiles(channels: int, lanes: int, most: int) -> list[Tiles]:
    """Registers of channels in tiles of at most ``most``, as even as can be.

    The last tile stands alone where its last register overlaps, for its stores are not regular.
    """
    vectors = -(-channels // lanes)
    tiles = -(-vectors // most)
    small, wider = divmod(vectors, tiles)
    sizes = [small + 1] * wider + [small] * (tiles - wider)
    result: list[Tiles] = []
    first = 0
    for i, size in enumerate(sizes):
        alone = i == tiles - 1 and channels % lanes != 0
        if result and result[-1].vectors == size and not alone:
            result[-1] = Tiles(first=result[-1].first, count=result[-1].count + 1, vectors=size)
        else:
            result.append(Tiles(first=first, count=1, vectors=size))
        first += size
    return result


def tile_rows(pixels: int, most: int) -> int:
    """Pixels of a tile: the size up to ``most`` that recomputes the fewest when the last tile is moved back."""
    return max(range(1, min(pixels, most) + 1), key=lambda r: (-(-(-pixels // r) * (2 * r + 1)), r))


@contextmanager
def tasks(cpu: Cpu, units: int, work: int) -> Iterator[tuple[Expr, Expr]]:
    """A loop over shares of ``units`` units, on threads where ``work`` multiplications are worth it.

    Gives the first unit of the share and the one behind its last.
    """
    shares = min(units, cpu.threads or TASKS) if cpu.parallel(work) else 1
    with (T.parallel if shares > 1 else T.serial)(0, shares) as i:
        yield bind(i * units // shares), bind((i + 1) * units // shares)


class Rows:
    """Copies of input rows, in the form that the dot product takes.

    The rows an output row reads stand in a ring, so a row is copied once per share of the work; padding is
    written out, and bytes are made signed or unsigned.

    Args:
        registers: Of the CPU.
        window: The reduction.
        source: The input, flat.
        operand: dtype of the copy: int16 takes the zero point off, uint8 and int8 flip the top bit where the
            input has the other sign; the input's own dtype copies.
        zero_point: A one-element buffer of int16 with the zero point; padding holds it.
    """

    SLACK = 64

    def __init__(
        self,
        registers: Registers,
        window: Window,
        source: Expr,
        source_dtype: str,
        operand: str,
        zero_point: Expr,
    ) -> None:
        self.registers = registers
        self.window = window
        self.source = source
        self.source_dtype = source_dtype
        self.operand = operand
        self.zero_point = zero_point
        self.buffer: Expr = None

    def allocate(self, size: int) -> None:
        """Room for ``size`` elements, and for reading a little beyond them."""
        self.buffer = T.alloc_buffer((size + self.SLACK,), self.operand)

    def advance(self, unit: Expr, first: Expr) -> list[Expr]:
        """Make the rows that output row ``unit`` reads available.

        Args:
            unit: ``image * output rows + row``.
            first: Whether nothing of this image was copied yet in this share.

        Returns:
            For each kernel row, where its input row starts in :attr:`buffer`.
        """
        w = self.window
        image, top = bind(unit // w.output[0]), bind(unit % w.output[0] * w.strides[0])
        start = bind(tirx.Select(tirx.Or(first, top == 0), 0, max(0, w.span - w.strides[0])))
        with T.serial(0, w.span - start) as j:
            line = bind(top + start + j)
            y = bind(line - w.pads[0])
            at = bind(line % w.span * w.row)
            inside = tirx.And(y >= 0, y < w.height) if w.pads[0] or w.pads[2] or w.span > 1 else None
            if inside is None:
                self._row(at, (image * w.height + y) * w.width * w.channels)
            else:
                self._row_or_padding(inside, at, (image * w.height + y) * w.width * w.channels)
        return [bind((top + i * w.dilations[0]) % w.span * w.row) for i in range(w.kernel[0])]

    def _row_or_padding(self, inside: Expr, at: Expr, source: Expr) -> None:
        with T.If(inside):
            with T.Then():
                self._row(at, source)
            with T.Else():
                self.fill(at, self.window.row)

    def _row(self, at: Expr, source: Expr) -> None:
        w = self.window
        left, right = w.pads[1] * w.channels, w.pads[3] * w.channels
        self.fill(at, left)
        self.copy(at + left, source, w.width * w.channels)
        self.fill(at + left + w.width * w.channels, right)

    def copy(self, at: Expr, source: Expr, size: int) -> None:
        """Convert ``size`` elements."""
        block = self.registers.block
        for start, count, step in _pieces(size, block):
            with T.serial(0, count) as i:
                offset = bind(start + i * step)
                name = f"{self.source_dtype}x{step}" if step > 1 else self.source_dtype
                value = bind(self.source.vload([source + offset], dtype=name))
                self._put(at + offset, self._convert(value, step), step)

    def fill(self, at: Expr, size: int) -> None:
        """Write padding: what converts from the zero point."""
        for start, count, step in _pieces(size, self.registers.block):
            with T.serial(0, count) as i:
                zero = self.zero_point[0].astype(self.source_dtype)
                value = bind(T.broadcast(zero, step) if step > 1 else zero)
                self._put(at + start + i * step, self._convert(value, step), step)

    def _put(self, at: Expr, value: Expr, lanes: int) -> None:
        T.buffer_store(self.buffer, value, [T.ramp(at, 1, lanes) if lanes > 1 else at])

    def _convert(self, value: Expr, lanes: int) -> Expr:
        if self.operand == self.source_dtype:
            return value
        name = f"{self.operand}x{lanes}" if lanes > 1 else self.operand
        if self.operand == "int16":
            zero = T.broadcast(self.zero_point[0], lanes) if lanes > 1 else self.zero_point[0]
            return bind(value.astype(name) - zero)
        top = tirx.const(-128 if self.source_dtype == "int8" else 128, self.source_dtype)
        return view(name, bind(value ^ (T.broadcast(top, lanes) if lanes > 1 else top)))


def shift_of(source_dtype: str, operand: str) -> int:
    """What the copy adds to the stored integers: flipping the top bit changes the zero point by 128."""
    return {("int8", "uint8"): 128, ("uint8", "int8"): -128}.get((source_dtype, operand), 0)


def _pieces(size: int, block: int) -> list[tuple[int, int, int]]:
    """``size`` elements as (start, count, step) loops over whole registers and then falling powers of two."""
    whole = size // block
    pieces = [(0, whole, block)] if whole else []
    return pieces + [(whole * block + at, 1, n) for at, n in powers(size % block)]


def merge(starts: Sequence[int], lanes: int) -> list[tuple[int, int]]:
    """Registers that lie next to each other as (index of the first, how many).

    >>> merge([0, 16, 24], 16)
    [(0, 2), (2, 1)]
    """
    runs: list[tuple[int, int]] = []
    for i, start in enumerate(starts):
        if runs and start == starts[i - 1] + lanes:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((i, 1))
    return runs
