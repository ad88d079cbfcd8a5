# mypy: disable-error-code="misc"
"""Transformer blocks in plain torch, as people write them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


def tables(length: int, size: int, style: str) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin [length, size]; pairs half a head apart, or side by side."""
    theta = 100.0 ** (-torch.arange(0, size, 2) / size)
    angle = torch.arange(length)[:, None] * theta
    angle = angle.repeat_interleave(2, -1) if "interleaved" in style else torch.cat((angle, angle), -1)
    return angle.cos(), angle.sin()


def rotate(x, cos, sin, style: str):
    """Rotary position embedding in one of the ways it is written."""
    thin = slice(None, x.shape[-1] // 2) if style.startswith("half") else slice(None, None, 2)
    if style == "half":
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat((-b, a), -1) * sin
    if style == "half parts":
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos[:, thin] - b * sin[:, thin], a * sin[:, thin] + b * cos[:, thin]), -1)
    if style == "none":
        return x
    a, b = x[..., 0::2], x[..., 1::2]
    if style == "interleaved":
        return x * cos + torch.stack((-b, a), -1).flatten(-2) * sin
    return torch.stack((a * cos[:, thin] - b * sin[:, thin], a * sin[:, thin] + b * cos[:, thin]), -1).flatten(-2)


class Attention(nn.Module):
    """Self-attention with grouped heads.

    Args:
        style: Of the rotary embedding: "none", "half", "half parts", "interleaved", "interleaved parts".
        normed: Whether q and k have norms with gains of their own.
        fused: One projection for q, k and v.
        sdpa: torch's own attention.
    """

    def __init__(self, dim=16, heads=4, kv=2, size=8, length=5, style="half", *, normed=False, fused=False, sdpa=False):
        super().__init__()
        self.heads, self.kv, self.size, self.style, self.sdpa = heads, kv, size, style, sdpa
        widths = [heads * size, kv * size, kv * size]
        self.fused = fused
        if fused:
            self.qkv = nn.Linear(dim, sum(widths))
        else:
            self.q, self.k, self.v = (nn.Linear(dim, width) for width in widths)
        self.o = nn.Linear(heads * size, dim)
        self.q_norm, self.k_norm = (nn.RMSNorm(size) if normed else nn.Identity() for _ in range(2))
        cos, sin = tables(length, size, style)
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)

    def forward(self, x):
        batch, length, _ = x.shape
        if self.fused:
            widths = [self.heads * self.size, self.kv * self.size, self.kv * self.size]
            parts = self.qkv(x).split(widths, -1)
        else:
            parts = self.q(x), self.k(x), self.v(x)
        q, k, v = (part.view(batch, length, -1, self.size).transpose(1, 2) for part in parts)
        q = rotate(self.q_norm(q), self.cos, self.sin, self.style)
        k = rotate(self.k_norm(k), self.cos, self.sin, self.style)
        if self.sdpa:
            y = F.scaled_dot_product_attention(q, k, v, enable_gqa=self.kv != self.heads)
        else:
            if self.kv != self.heads:
                k = k[:, :, None].expand(-1, -1, self.heads // self.kv, -1, -1).reshape(q.shape)
                v = v.repeat_interleave(self.heads // self.kv, 1)
            y = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(self.size), -1) @ v
        return self.o(y.transpose(1, 2).reshape(batch, length, -1))


class SwiGLU(nn.Module):
    def __init__(self, dim=16, hidden=24, activation=F.silu):
        super().__init__()
        self.gate, self.up = nn.Linear(dim, hidden, bias=False), nn.Linear(dim, hidden)
        self.down, self.activation = nn.Linear(hidden, dim, bias=False), activation

    def forward(self, x):
        return self.down(self.activation(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """Norm, attention, norm, gated unit, both with a residual."""

    def __init__(self, norm=nn.RMSNorm, **options):
        super().__init__()
        self.norm1, self.norm2 = norm(16), norm(16)
        self.attention, self.unit = Attention(**options), SwiGLU()

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.unit(self.norm2(x))


def drawn(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with parameters far from their defaults, batch norms' statistics too."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(0.3 * torch.randn_like(tensor))
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
    return module
