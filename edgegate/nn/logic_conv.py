"""A convolution whose kernels are trees of trainable gates.

Source: F. Petersen et al., "Convolutional Differentiable Logic Gate Networks", NeurIPS 2024 (arXiv 2411.04732),
section 3.1. OR pooling (section 3.3) is torch.nn.MaxPool2d: the maximum of bits, and its relaxation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from edgegate.nn import _gates, _wiring
from edgegate.nn._parameters import Gates
from edgegate.nn.lut import as_float


class LogicConv2d(Gates):
    """``out_channels`` trees of gates, each over ``2**depth`` random places of its window.

    A tree has the same gates and leaves at every position of the image. In training mode gates are mixtures; in eval
    mode they are gates on bits, and the layer exports as ``depth`` layers of look-up tables.

    Args:
        in_channels: Channels of the input.
        out_channels: Trees.
        kernel_size: Height and width of the window.
        depth: Levels of gates, at least 1: a tree has ``2**depth`` leaves and ``2**depth - 1`` gates.
        stride: Step of the window.
        padding: Rows and columns of zeros around the image.
        channel_group: Channels, counted from a random one around, that a tree may read; all if None.
        generator: Where random leaves and logits come from; torch's own if None.
        options: As :class:`edgegate.nn.LogicLayer` has them.

    Attributes:
        weight: Parameter, float32 [out_channels * (2**depth - 1), 16], or with 4 columns: tree by tree in each level,
            the level that reads the image first.
        leaves: Buffer, int64 [out_channels, 2**depth, 3]: channel, row and column in the window. Gates read
            neighbours, the leaf of the lower number as A.

    Shape:
        x float [N, in_channels, H, W] in [0, 1] -> [N, out_channels, H', W'] with
        ``H' = (H + 2 * padding - kernel_size) // stride + 1``.

    Raises:
        ValueError: An argument outside of what is said here; or an image that does not fit.
    """

    leaves: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        depth: int,
        *,
        stride: int = 1,
        padding: int = 0,
        channel_group: int | None = None,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> None:
        group = in_channels if channel_group is None else channel_group
        if (
            min(in_channels, out_channels, kernel_size, depth, stride) < 1
            or padding < 0
            or not 1 <= group <= in_channels
        ):
            what = f"{in_channels} to {out_channels} channels, kernel {kernel_size}, depth {depth}, stride {stride}"
            raise ValueError(f"impossible trees: {what}, padding {padding}, channel group {group}")
        super().__init__(out_channels * ((1 << depth) - 1), generator=generator, **options)
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.depth, self.stride, self.padding = depth, stride, padding
        window = group * kernel_size**2
        places = torch.stack([_wiring.evenly(window, 1 << depth, generator) for _ in range(out_channels)])
        first = torch.randint(0, in_channels, (out_channels, 1), generator=generator)
        channel = (first + places // kernel_size**2) % in_channels
        row, column = places // kernel_size % kernel_size, places % kernel_size
        self.register_buffer("leaves", torch.stack([channel, row, column], dim=2))

    def forward(self, x: Tensor) -> Tensor:
        """The mixtures, or the gates."""
        height, width = self._positions(x)
        image = functional.pad(as_float(x), (self.padding,) * 4)
        pairs = self._pairs(image.shape[2], image.shape[3], height, width)
        bits, values = image.flatten(1), self.values()
        tables = self.tables() if values is None else _gates.coefficients(values)
        bits = bits if values is None else bits.t()
        first = 0
        for level in range(self.depth):
            count = self.out_channels << (self.depth - 1 - level)
            spread = tables[first : first + count].repeat_interleave(height * width, dim=0)
            first += count
            if level:
                pairs = self._neighbours(len(spread), height * width)
            if values is None:
                bits = torch.ops.edgegate.lut(bits, pairs, spread)
            else:
                bits = _gates.mixed(bits, pairs, spread, 1.0 if level else self.grad_factor)
        bits = bits if values is None else bits.t()
        return bits.reshape(-1, self.out_channels, height, width)

    def _positions(self, x: Tensor) -> tuple[int, int]:
        """Where the window stands: rows and columns of the output."""
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"expected [N, {self.in_channels}, H, W], got {list(x.shape)}")
        sizes = [(int(n) + 2 * self.padding - self.kernel_size) // self.stride + 1 for n in x.shape[2:]]
        if min(sizes) < 1:
            raise ValueError(f"a window of {self.kernel_size} does not fit in an image of {list(x.shape[2:])}")
        return sizes[0], sizes[1]

    def _pairs(self, rows: int, columns: int, height: int, width: int) -> Tensor:
        """What the first level reads of a flat image of ``rows`` and ``columns``: int64 [trees * gates * places, 2]."""
        channel, row, column = self.leaves.unbind(2)
        down = self.stride * torch.arange(height, device=row.device)
        right = self.stride * torch.arange(width, device=row.device)
        corner = (columns * down[:, None] + right).flatten()
        place = ((channel * rows + row) * columns + column)[:, :, None] + corner
        return place.reshape(self.out_channels, -1, 2, height * width).transpose(2, 3).reshape(-1, 2)

    def _neighbours(self, count: int, places: int) -> Tensor:
        """What a later level of ``count`` gates reads: int64 [count, 2]; nodes lie by tree, gate, place."""
        every = torch.arange(2 * count, device=self.leaves.device)
        return every.reshape(-1, 2, places).transpose(1, 2).reshape(-1, 2)

    def extra_repr(self) -> str:
        """What torch prints of it."""
        shape = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, depth={self.depth}"
        return f"{shape}, stride={self.stride}, padding={self.padding}"
