"""int8 convolutions of windows on tensor cores, with what stands behind them: from templates of CUDA C++ to kernels.

Activations are [images, H, W, C], C a multiple of 16. Behind the sums a bias and a rescale per channel and a table; or,
of a gated pair, two of each and the product of both (``conv_common.cu``).

=========  ===============================================  ======
kind       what                                             from
=========  ===============================================  ======
conv_sm90  wgmma on patches of 8 x 8 pixels, C % 32 == 0    sm_90a
conv_mma   implicit product with mma.sync                   sm_75
depthwise  each channel by itself, dot products of 4 bytes  sm_75
=========  ===============================================  ======
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from edgegate.targets.cuda_network.gemm import template, wgmma

SHARED = {75: 65536, 80: 166912, 86: 101376, 87: 166912, 89: 101376, 90: 232448}
"""Bytes of shared memory of a block, by compute capability."""
MULTIPROCESSORS = 132
"""Of the GPUs that the choice is made for."""
TILES = [
    (m, n, down, across, 1)
    for m, down in ((32, 2), (64, 4), (128, 4), (128, 2), (64, 2))
    for n in (16, 32, 48, 64, 80, 96, 112, 128)
    for across in (1, 2, 4)
    if down * across in (4, 8) and n % (16 * across) == 0 and m // down * n // across <= 64 * 64
] + [
    (m, n, m // 16, 1, k) for m, n, k in ((16, 16, 4), (16, 16, 8), (16, 32, 4), (16, 32, 8), (32, 16, 4), (32, 32, 4))
]
"""Of conv_mma: pixels, channels, and warps along pixels, channels and depth."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """A convolution without groups.

    Attributes:
        images: N.
        size: H and W.
        channels: C.
        kernel: Of the window, down and across.
        strides: Down and across.
        dilations: Down and across.
        before: Padding at the top and on the left.
        made: Of the output, down and across.
        columns: Output channels; of a gated pair both together.
    """

    images: int
    size: tuple[int, int]
    channels: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    before: tuple[int, int]
    made: tuple[int, int]
    columns: int

    def constants(self) -> dict[str, int]:
        """As the templates call them."""
        names = ("H", "W"), ("KH", "KW"), ("SY", "SX"), ("DY", "DX"), ("TOP", "LEFT"), ("OH", "OW")
        values = self.size, self.kernel, self.strides, self.dilations, self.before, self.made
        found = {n: v for pair, given in zip(names, values, strict=True) for n, v in zip(pair, given, strict=True)}
        return {**found, "C": self.channels, "N": self.columns}

    @property
    def pixels(self) -> int:
        """Of all outputs."""
        return self.images * math.prod(self.made)

    @property
    def depth(self) -> int:
        """Products of a sum."""
        return math.prod(self.kernel) * self.channels


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A kernel: a template and its constants."""

    kind: str
    geometry: Geometry
    given: dict[str, int]

    @property
    def constants(self) -> dict[str, int]:
        """All of them."""
        return {**self.geometry.constants(), **self.given}

    @property
    def name(self) -> str:
        """Of the kernel in its text."""
        return "depthwise" if self.kind == "depthwise" else "conv"

    def text(self) -> str:
        """CUDA C++."""
        parts = [template(__name__, "conv_common")]
        if self.kind == "conv_sm90":
            parts += [template("edgegate.targets.cuda_network.gemm", "hopper"), wgmma(self.given["TILE_N"])]
        defined = [f"#define {name} {value}" for name, value in self.constants.items()]
        return "\n".join([*defined, *parts, template(__name__, self.kind)])

    def shared(self) -> int:
        """Bytes of dynamic shared memory."""
        c = self.constants
        if self.kind == "depthwise":
            return 0
        if self.kind == "conv_sm90":
            return self.geometry.depth * c["TILE_N"] + c["WGS"] * c["BUFFERS"] * _patch(c)
        ring = c["STAGES"] * (c["TILE_M"] + c["TILE_N"]) * c["TILE_K"]
        ring = max(ring, (c["WARPS_K"] - 1) * c["TILE_M"] * c["TILE_N"] * 4)
        return max(ring, c["TILE_M"] * (c["TILE_N"] // (1 + c["PAIR"]) + 16))

    def static(self) -> int:
        """About the bytes of shared memory beside that: tables, each entry 32 times, and the columns' parameters."""
        c = self.constants
        return (16384 if c["PAIR"] else 8192 * c["TABLE"]) + 16 * c["TILE_N"] + 16

    def threads(self) -> int:
        """Of a block."""
        c = self.constants
        if self.kind == "depthwise":
            return c["THREADS"]
        return 128 * c["WGS"] if self.kind == "conv_sm90" else 32 * c["WARPS_M"] * c["WARPS_N"] * c["WARPS_K"]

    def grid(self) -> tuple[int, int, int]:
        """Blocks along x, y and z."""
        c, g = self.constants, self.geometry
        if self.kind == "depthwise":
            each = _ceil(g.made[0], c["R"]) * _ceil(g.made[1], c["X"]) * g.channels // 4
            return _ceil(each, c["THREADS"]), g.images, 1
        if self.kind == "conv_sm90":
            units, columns = g.images * _ceil(g.made[0], 8) * _ceil(g.made[1], 8), g.columns // c["TILE_N"]
            return min(max(1, MULTIPROCESSORS // columns), units), columns, 1
        return _ceil(g.pixels, c["TILE_M"]) * _ceil(g.columns, c["TILE_N"]), 1, 1

    def order(self) -> list[int]:
        """Which logical column stands at each place; of a pair, feature j is column 2 j, its gate 2 j + 1."""
        if self.kind != "conv_sm90":
            return list(range(self.geometry.columns))
        tile, pair = self.given["TILE_N"], self.given["PAIR"]
        inner = []
        for x in range(tile):
            j, q, e = x // 8, x % 8 // 2, x % 2
            inner.append(2 * (q * (tile // 8) + j) + e if pair else q * (tile // 4) + 2 * j + e)
        return [block + i for block in range(0, self.geometry.columns, tile) for i in inner]


def choose(geometry: Geometry, capability: int, *, table: bool, pair: bool) -> Instance | None:
    """The kernel for a convolution, by what was measured on an H100; None where none fits."""
    flags = {"TABLE": int(table), "PAIR": int(pair)}
    if capability // 10 == 9 and geometry.channels % 32 == 0:
        for tile in (128, 64, 32):
            for teams in (2, 1) if geometry.columns % tile == 0 and not (pair and tile < 64) else ():
                given = {**flags, "TILE_N": tile, "WGS": teams, "BUFFERS": 1}
                found = Instance(kind="conv_sm90", geometry=geometry, given=given)
                if found.shared() + found.static() + 1024 <= SHARED[90]:
                    return found
    fitting = {_cycles(i, capability): i for i in _mma(geometry, capability, flags)}
    return fitting[min(fitting)] if fitting else None


def depthwise(geometry: Geometry, *, table: bool) -> Instance:
    """The kernel for a convolution of each channel by itself: a thread makes R x X pixels of four channels."""
    g = geometry
    across = 2 if g.strides[1] == 1 and g.dilations[1] == 1 and g.made[1] > 1 else 1
    places = g.images * _ceil(g.made[1], across) * g.channels // 4
    down = [r for r in (4, 2) if g.made[0] >= r and places * _ceil(g.made[0], r) >= MULTIPROCESSORS * 512]
    given = {"TABLE": int(table), "SUMS": 0, "R": down[0] if down else 1, "X": across, "THREADS": 256}
    return Instance(kind="depthwise", geometry=geometry, given=given)


def _mma(geometry: Geometry, capability: int, flags: dict[str, int]) -> Iterator[Instance]:
    """Instances of conv_mma that fit."""
    for m, n, down, across, deep in TILES:
        if (
            n > max(_ceil(geometry.columns, 16) * 16, 16)
            or (flags["PAIR"] and n % 32)
            or (deep > 1 and geometry.depth < 128)
        ):
            continue
        for k in (32, 64, 128, 256):
            steps = _ceil(geometry.depth, k)
            stages = 2 if capability < 80 else max(2, min(4 if k < 128 else 3, steps + 1))
            given = {"TILE_M": m, "TILE_N": n, "TILE_K": k, "WARPS_M": down, "WARPS_N": across, "WARPS_K": deep}
            found = Instance(kind="conv_mma", geometry=geometry, given={**flags, **given, "STAGES": stages})
            if _is_sound(found) and found.shared() + found.static() <= SHARED[capability] // 2:
                yield found


def _is_sound(instance: Instance) -> bool:
    """Whether the threads have something to copy, the warps something to multiply, and the depth is used."""
    c, depth = instance.constants, instance.geometry.depth
    m, k, deep = c["TILE_M"], c["TILE_K"], c["WARPS_K"]
    busy = instance.threads() // (k // 16) <= 2 * m and k % (32 * deep) == 0
    return busy and not (k > 32 and k // 2 >= depth) and not (k == 256 and deep != 8)


def _cycles(instance: Instance, capability: int) -> float:
    """About how long it takes: of each wave the work, and what of its latency the blocks on a multiprocessor leave."""
    c, g = instance.constants, instance.geometry
    m, n, k, deep = c["TILE_M"], c["TILE_N"], c["TILE_K"], c["WARPS_K"]
    steps, threads = _ceil(g.depth, k), instance.threads()
    work = m * n * (steps * k / 2400 + (0.2 if c["PAIR"] else 0.1)) + (m + n) * steps * k / 40 + 150
    parts = (m // c["WARPS_M"] // 16) * (n // c["WARPS_N"] // 8)
    latency = 900 + steps * (150 + k / 32 / deep * parts * 18) + m * n / (threads // deep) * 12 + 40 * deep
    waves = _ceil(instance.grid()[0], MULTIPROCESSORS)
    together = max(1, min(8, SHARED[capability] // instance.shared(), 65536 // (threads * 128)))
    return waves * work + latency * max(1, _ceil(waves, together)) + 400


def _patch(c: dict[str, int]) -> int:
    """Bytes of a warpgroup's patch of the input."""
    chunks = c["C"] // 16
    high, wide = 7 * c["SY"] + (c["KH"] - 1) * c["DY"] + 1, 7 * c["SX"] + (c["KW"] - 1) * c["DX"] + 1
    pixels = high * _ceil(wide, c["SX"]) * c["SX"]
    turn = {2: 4, 4: 2}.get(chunks, 1)
    plane = (pixels + (turn + 8 - pixels % 8) % 8) * 16
    return _ceil(plane * chunks, 128) * 128


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
