# mypy: disable-error-code="misc"
"""Gates that are mixed along tokens or places: gMLP, MAXIM, NiNformer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class SpatialGate(nn.Module):
    """The spatial gating unit of gMLP (2105.08050): half of the channels, mixed along tokens, is the gate."""

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.norm, self.mix = nn.LayerNorm(width // 2), nn.Linear(tokens, tokens)

    def forward(self, x):
        u, v = x.chunk(2, dim=-1)
        return u * self.mix(self.norm(v).transpose(-1, -2)).transpose(-1, -2)


class GMLP(nn.Module):
    """Blocks of gMLP."""

    def __init__(self, width: int = 12, inner: int = 24, tokens: int = 8, blocks: int = 2) -> None:
        super().__init__()
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(blocks))
        self.up = nn.ModuleList(nn.Linear(width, inner) for _ in range(blocks))
        self.gate = nn.ModuleList(SpatialGate(inner, tokens) for _ in range(blocks))
        self.down = nn.ModuleList(nn.Linear(inner // 2, width) for _ in range(blocks))

    def forward(self, x):
        for norm, up, gate, down in zip(self.norm, self.up, self.gate, self.down, strict=True):
            x = x + down(gate(F.gelu(up(norm(x)))))
        return x


def blocked(x, size: int):
    """[n, h, w, c] as [n, blocks, places of a block, c]."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // size, size, w // size, size, c).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(n, (h // size) * (w // size), size * size, c)


def unblocked(x, height: int, width: int, size: int):
    n, _, _, c = x.shape
    x = x.reshape(n, height // size, width // size, size, size, c).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(n, height, width, c)


class Maxim(nn.Module):
    """MAXIM's multi-axis gated block (2201.02973): one half mixed within blocks, the other across a grid of them."""

    def __init__(self, channels: int = 8, side: int = 8, size: int = 4) -> None:
        super().__init__()
        self.size, blocks = size, (side // size) ** 2
        self.inlet, self.norm = nn.Conv2d(3, channels, 3, padding=1), nn.LayerNorm(channels)
        self.up, self.down = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)
        self.grid, self.block = (nn.Linear(channels, 2 * channels) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.mix = nn.ModuleList((nn.Linear(blocks, blocks), nn.Linear(size * size, size * size)))
        self.out = nn.ModuleList(nn.Linear(channels, channels) for _ in range(2))

    def gated(self, x, which: int, axis: int):
        u, v = F.gelu((self.grid, self.block)[which](x)).chunk(2, -1)
        v = self.mix[which](self.norms[which](v).transpose(axis, -1)).transpose(axis, -1)
        return x + self.out[which](u * (v + 1))

    def forward(self, x):
        x = self.inlet(x).permute(0, 2, 3, 1)
        _, h, w, _ = x.shape
        u, v = F.gelu(self.up(self.norm(x))).chunk(2, -1)
        u = unblocked(self.gated(blocked(u, self.size), 0, 1), h, w, self.size)
        v = unblocked(self.gated(blocked(v, self.size), 1, 2), h, w, self.size)
        return (x + self.down(torch.cat([u, v], -1))).permute(0, 3, 1, 2)


class NiN(nn.Module):
    """NiNformer (2403.02411): a network in a network; a small mixer makes the gate of a layer over tokens."""

    def __init__(self, width: int = 12, tokens: int = 8, blocks: int = 2) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.ModuleDict({
            "norm": nn.LayerNorm(width), "inner_norm": nn.LayerNorm(width), "last_norm": nn.LayerNorm(width),
            "tokens_up": nn.Linear(tokens, 2 * tokens), "tokens_down": nn.Linear(2 * tokens, tokens),
            "channels_up": nn.Linear(width, 2 * width), "channels_down": nn.Linear(2 * width, width),
            "value": nn.Linear(width, width), "up": nn.Linear(width, 2 * width), "down": nn.Linear(2 * width, width),
        }) for _ in range(blocks))  # fmt: skip

    def forward(self, x):
        for b in self.blocks:
            y = b["norm"](x)
            inner = y + b["tokens_down"](F.gelu(b["tokens_up"](y.transpose(1, 2)))).transpose(1, 2)
            inner = inner + b["channels_down"](F.gelu(b["channels_up"](b["inner_norm"](inner))))
            x = x + b["value"](y) * inner
            x = x + b["down"](F.gelu(b["up"](b["last_norm"](x))))
        return x
