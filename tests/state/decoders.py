# mypy: disable-error-code="misc, override"
"""A small model of language as it is run: a token and its place in, caches of keys and values from step to step.

Blocks are those of Touvron et al., "Llama 2", 2023: RMS norms, rotary positions, grouped queries, SwiGLU.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

TOKENS, WIDTH, HEADS, KEYS, LENGTH, HIDDEN, STEPS = 32, 32, 4, 2, 64, 64, 64
SIZE = WIDTH // HEADS


class Norm(nn.Module):
    """By the root of the mean square."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(1 + 0.1 * torch.randn(WIDTH))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.gain


def queued(cache, new, place):
    """The cache moves by one."""
    return torch.cat([cache[:, :, 1:], new], 2)


def chosen(cache, new, place):
    """The new row is taken where its place is."""
    return torch.where((torch.arange(LENGTH) == place)[None, None, :, None], new, cache)


def scattered(cache, new, place):
    """The new row is put at its place."""
    return cache.scatter(2, place.view(1, 1, 1, 1).expand(1, KEYS, 1, SIZE), new)


class Block(nn.Module):
    """Attention over the cache, then SwiGLU."""

    def __init__(self, put) -> None:
        super().__init__()
        self.put, narrow = put, KEYS * SIZE
        sizes = {"q": (WIDTH, WIDTH), "k": (WIDTH, narrow), "v": (WIDTH, narrow), "o": (WIDTH, WIDTH)}
        sizes |= {"gate": (WIDTH, HIDDEN), "up": (WIDTH, HIDDEN), "down": (HIDDEN, WIDTH)}
        self.maps = nn.ModuleDict({name: nn.Linear(*size, bias=False) for name, size in sizes.items()})
        self.before, self.between = Norm(), Norm()

    def forward(self, x, keys, values, place, cos, sin, keep):
        h, to = self.before(x), self.maps
        q, k, v = (to[name](h).view(1, -1, 1, SIZE) for name in "qkv")
        q, k = (t * cos + torch.cat([-t[..., SIZE // 2 :], t[..., : SIZE // 2]], -1) * sin for t in (q, k))
        keys, values = self.put(keys, k, place), self.put(values, v, place)
        k, v = (
            t[:, :, None].expand(-1, -1, HEADS // KEYS, -1, -1).reshape(1, HEADS, LENGTH, SIZE) for t in (keys, values)
        )
        scores = (q @ k.transpose(-1, -2) * SIZE**-0.5).masked_fill(~keep, float("-inf"))
        x = x + to["o"]((torch.softmax(scores, -1) @ v).reshape(1, WIDTH))
        h = self.between(x)
        return x + to["down"](F.silu(to["gate"](h)) * to["up"](h)), keys, values


class Decoder(nn.Module):
    """A token, its place and the caches to the scores of the next token, the next place and the caches."""

    def __init__(self, put, layers: int) -> None:
        super().__init__()
        self.put = put
        self.embed = nn.Embedding(TOKENS, WIDTH)
        self.blocks = nn.ModuleList(Block(put) for _ in range(layers))
        self.norm, self.head = Norm(), nn.Linear(WIDTH, TOKENS, bias=False)
        rates = 1e2 ** (-torch.arange(0, SIZE, 2) / SIZE)
        angles = torch.outer(torch.arange(float(STEPS)), rates).repeat(1, 2)
        self.cos, self.sin = nn.Buffer(angles.cos()), nn.Buffer(angles.sin())

    def forward(self, token, place, *caches):
        x, cos, sin = self.embed(token), self.cos[place], self.sin[place]
        positions, after = torch.arange(LENGTH), []
        keep = positions >= LENGTH - 1 - place if self.put is queued else positions <= place
        for i, block in enumerate(self.blocks):
            x, *pair = block(x, caches[2 * i], caches[2 * i + 1], place, cos, sin, keep)
            after += pair
        return self.head(self.norm(x)), place + 1, *after


def decoder(put, layers=1):
    """The model, with weights that let attention pick, and example inputs."""
    torch.manual_seed(0)
    net = Decoder(put, layers).eval()
    for part in net.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=part.weight.shape[1] ** -0.5)
    whole = torch.zeros(1, dtype=torch.int64)
    return net, (whole, whole.clone(), *(torch.zeros(1, KEYS, LENGTH, SIZE) for _ in range(2 * layers)))
