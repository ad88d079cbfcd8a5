# mypy: disable-error-code="misc"
"""Language models that decode a token at a time: the state goes in and comes out.

``forward(token, *states) -> (logits, *states)``, token int64 [1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.recurrent.delta import GatedDeltaNet
from tests.recurrent.fifo import ShortConv

Shape = tuple[int, ...]


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(width, inner), nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class WindowAttention(nn.Module):
    """Grouped-query attention over the last ``window`` tokens, with rotary positions counted from the newest.

    States: keys and values [1, KV, W, D], and which places are taken [1, W]. A queue gives every place a fixed
    distance from the newest token, so the rotations of the keys are constants.
    """

    def __init__(self, width: int = 64, heads: int = 4, groups: int = 2, window: int = 32) -> None:
        super().__init__()
        self.heads, self.groups, self.size = heads, groups, width // heads
        self.query = nn.Linear(width, width, bias=False)
        self.key, self.value = (nn.Linear(width, groups * self.size, bias=False) for _ in range(2))
        self.query_norm, self.key_norm = nn.RMSNorm(self.size), nn.RMSNorm(self.size)
        self.out = nn.Linear(width, width, bias=False)
        rates = 1e4 ** (-torch.arange(0, self.size, 2) / self.size)
        angles = torch.outer(torch.arange(window) - (window - 1.0), rates).repeat(1, 2)
        self.cos, self.sin = nn.Buffer(angles.cos()), nn.Buffer(angles.sin())

    def states(self) -> list[Shape]:
        window = len(self.cos)
        return [(1, self.groups, window, self.size)] * 2 + [(1, window)]

    def forward(self, x, keys, values, taken):
        query = self.query_norm(self.query(x).reshape(1, self.heads, self.size)) / self.size**0.5
        key = self.key_norm(self.key(x).reshape(1, self.groups, 1, self.size))
        keys = torch.cat([keys[:, :, 1:], key], 2)
        values = torch.cat([values[:, :, 1:], self.value(x).reshape(1, self.groups, 1, self.size)], 2)
        taken = torch.cat([taken[:, 1:], torch.ones_like(taken[:, :1])], 1)
        first, second = keys.chunk(2, -1)
        turned = keys * self.cos + torch.cat([-second, first], -1) * self.sin
        grouped = query.reshape(1, self.groups, self.heads // self.groups, self.size)
        scores = torch.where(taken[:, None, None] > 0.5, grouped @ turned.transpose(-1, -2), -1e9)
        y = torch.softmax(scores, -1) @ values
        return self.out(y.reshape(1, -1)), keys, values, taken


class Conv(ShortConv):
    """LFM2's short convolution, and what its state is."""

    def __init__(self, width: int = 64) -> None:
        super().__init__(width)
        self.width = width

    def states(self) -> list[Shape]:
        return [(1, self.width, 2)]


class Delta(nn.Module):
    """A gated delta net between two projections to its width."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.inlet, self.inner, self.out = nn.Linear(width, 32), GatedDeltaNet(), nn.Linear(32, width)

    def states(self) -> list[Shape]:
        return [(1, 2, 16, 16)]

    def forward(self, x, state):
        y, state = self.inner(self.inlet(x), state)
        return self.out(y), state


class Decoder(nn.Module):
    """Pre-norm blocks of a mixer and a SwiGLU, and a head."""

    def __init__(self, mixers: list[nn.Module], width: int = 64, words: int = 128) -> None:
        super().__init__()
        self.embed, self.mixers = nn.Embedding(words, width), nn.ModuleList(mixers)
        self.mlps = nn.ModuleList(SwiGLU(width, 2 * width) for _ in mixers)
        self.norms = nn.ModuleList(nn.RMSNorm(width) for _ in range(2 * len(mixers) + 1))
        self.head = nn.Linear(width, words)

    def states(self) -> list[Shape]:
        return [shape for mixer in self.mixers for shape in mixer.states()]

    def forward(self, token, *states):
        x, left, new = self.embed(token), list(states), []
        for i, (mixer, mlp) in enumerate(zip(self.mixers, self.mlps, strict=True)):
            count = len(mixer.states())
            y, *after = mixer(self.norms[2 * i](x), *left[:count])
            left, x = left[count:], x + y
            new += after
            x = x + mlp(self.norms[2 * i + 1](x))
        return self.head(self.norms[-1](x)), *new


def lfm2_like() -> Decoder:
    """Four layers, as LFM2 mixes them: convolutions, and attention in between."""
    torch.manual_seed(0)
    return Decoder([Conv(), Conv(), WindowAttention(), Conv()]).eval()


def delta_like() -> Decoder:
    """Two layers of gated delta nets."""
    torch.manual_seed(0)
    return Decoder([Delta(), Delta()]).eval()
