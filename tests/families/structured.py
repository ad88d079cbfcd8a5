# mypy: disable-error-code="misc"
"""Matrices with a structure that makes them cheaper: factors of blocks, and blocks of zeros."""

from __future__ import annotations

import torch
from torch import nn


class Blast(nn.Module):
    """BLAST (2410.21262): block (i, j) of the matrix is ``U_i diag(s_ij) V_j``; rows and columns share factors."""

    def __init__(self, inputs: int, outputs: int, blocks: int, rank: int) -> None:
        super().__init__()
        self.blocks = blocks
        self.right = nn.Parameter(torch.randn(blocks, inputs // blocks, rank) / (inputs // blocks) ** 0.5)
        self.left = nn.Parameter(torch.randn(blocks, rank, outputs // blocks) / rank**0.5)
        self.mixing = nn.Parameter(torch.randn(blocks, blocks, rank) / blocks**0.5)

    def forward(self, x):
        *lead, width = x.shape
        parts = x.reshape(-1, self.blocks, width // self.blocks).transpose(0, 1)
        inner = torch.bmm(parts, self.right)
        mixed = (inner.unsqueeze(0) * self.mixing.unsqueeze(2)).sum(1)
        return torch.bmm(mixed, self.left).transpose(0, 1).reshape(*lead, -1)


class Monarch(nn.Module):
    """Monarch (2204.00595): a block-diagonal matrix, a permutation, and another block-diagonal matrix."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        size = width // blocks
        self.blocks, self.size = blocks, size
        self.first = nn.Parameter(torch.randn(blocks, size, size) / size**0.5)
        self.second = nn.Parameter(torch.randn(size, blocks, blocks) / blocks**0.5)

    def forward(self, x):
        x = x.reshape(*x.shape[:-1], self.blocks, self.size)
        x = torch.einsum("...bi,bio->...bo", x, self.first).transpose(-1, -2)
        x = torch.einsum("...sb,sbc->...sc", x, self.second).transpose(-1, -2)
        return x.reshape(*x.shape[:-2], -1)


class Structured(nn.Module):
    """A gated half of a transformer whose layers are structured."""

    def __init__(self, up, gate, down) -> None:
        super().__init__()
        self.up, self.gate, self.down = up, gate, down

    def forward(self, x):
        return x + self.down(self.up(x) * torch.sigmoid(self.gate(x)))


class Pruned(nn.Linear):
    """A layer whose blocks of weights are zero but for some (LPViT, 2407.02068)."""

    def __init__(self, inputs: int, outputs: int, block: int = 8, kept: float = 0.4) -> None:
        super().__init__(inputs, outputs)
        blocks = (torch.rand(outputs // block, inputs // block) < kept).float()
        self.register_buffer("mask", blocks.repeat_interleave(block, 0).repeat_interleave(block, 1))

    def forward(self, x):
        return nn.functional.linear(x, self.weight * self.mask, self.bias)
