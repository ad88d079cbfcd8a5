# mypy: disable-error-code="misc, override"
"""Attention with gates and biases: every row of the family, as people write it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

WIDTH, HEADS, LENGTH = 32, 4, 16
SIZE = WIDTH // HEADS


def split(x, heads=HEADS):
    """[N, T, D] to [N, H, T, D / H]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def joined(x):
    """[N, H, T, D] to [N, T, H * D]."""
    return x.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """What all share: projections of the input to queries, keys and values, and back."""

    def __init__(self, keys: int = HEADS) -> None:
        super().__init__()
        self.query, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.key, self.value = nn.Linear(WIDTH, keys * SIZE), nn.Linear(WIDTH, keys * SIZE)
        self.keys = keys

    def heads(self, x):
        return split(self.query(x)), split(self.key(x), self.keys), split(self.value(x), self.keys)

    def forward(self, x):
        return self.out(joined(self.attend(x, *self.heads(x))))

    def attend(self, x, q, k, v):
        return F.scaled_dot_product_attention(q, k, v)


class Causal(Attention):
    """Every token sees what is before it."""

    def attend(self, x, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class Windowed(Attention):
    """Every token sees its neighbours: a constant mask of bools, open-coded with -inf."""

    def attend(self, x, q, k, v):
        place = torch.arange(LENGTH)
        keep = (place[:, None] - place).abs() <= 3
        scores = (q @ k.transpose(-1, -2) / SIZE**0.5).masked_fill(~keep, float("-inf"))
        return torch.softmax(scores, -1) @ v


class Padded(Attention):
    """Tokens that are not there are given as input, 0 or 1."""

    def forward(self, x, present):
        q, k, v = self.heads(x)
        bias = (1.0 - present[:, None, None, :]) * -1e9
        return self.out(joined(torch.softmax(q @ k.transpose(-1, -2) * SIZE**-0.5 + bias, -1) @ v))


class PaddedCausal(Attention):
    """Both masks: what is there, and before; the flags are compared, and torch's own attention hides."""

    def forward(self, x, present):
        mask = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril() & (present > 0.5)[:, None, None, :]
        return self.out(joined(F.scaled_dot_product_attention(*self.heads(x), attn_mask=mask)))


class PaddedTwice(Attention):
    """The same as two sums."""

    def forward(self, x, present):
        q, k, v = self.heads(x)
        causal = torch.full((LENGTH, LENGTH), float("-inf")).triu(1)
        scores = q @ k.transpose(-1, -2) / SIZE**0.5 + causal + (1.0 - present[:, None, None, :]) * -1e9
        return self.out(joined(torch.softmax(scores, -1) @ v))


class Grouped(Attention):
    """Two heads of queries read one of keys and values. Ainslie et al., "GQA", 2023."""

    def __init__(self) -> None:
        super().__init__(keys=2)

    def attend(self, x, q, k, v):
        k, v = (t[:, :, None].expand(-1, -1, HEADS // 2, -1, -1).reshape(-1, HEADS, LENGTH, SIZE) for t in (k, v))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class Rotary(Attention):
    """Queries and keys turned by their place, by halves. Su et al., "RoFormer", 2021, equation 34."""

    def __init__(self) -> None:
        super().__init__()
        rates = 1e2 ** (-torch.arange(0, SIZE, 2) / SIZE)
        angles = torch.outer(torch.arange(float(LENGTH)), rates).repeat(1, 2)
        self.cos, self.sin = nn.Buffer(angles.cos()), nn.Buffer(angles.sin())

    def turned(self, x):
        first, second = x[..., : SIZE // 2], x[..., SIZE // 2 :]
        return x * self.cos + torch.cat([-second, first], -1) * self.sin

    def attend(self, x, q, k, v):
        return F.scaled_dot_product_attention(self.turned(q), self.turned(k), v, is_causal=True)


class Placed(Rotary):
    """The same, the places given at run time."""

    def forward(self, x, places):
        q, k, v = self.heads(x)
        cos, sin = self.cos[places][:, None], self.sin[places][:, None]
        q, k = (t * cos + torch.cat([-t[..., SIZE // 2 :], t[..., : SIZE // 2]], -1) * sin for t in (q, k))
        return self.out(joined(F.scaled_dot_product_attention(q, k, v, is_causal=True)))


class Interleaved(Rotary):
    """The same by pairs of neighbours."""

    def turned(self, x):
        even, odd = x[..., ::2], x[..., 1::2]
        cos, sin = self.cos[:, : SIZE // 2], self.sin[:, : SIZE // 2]
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


class Gated(Attention):
    """A sigmoid gate for each element behind the attention. Qiu et al., 2025 (position G1)."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        y = joined(F.scaled_dot_product_attention(*self.heads(x), is_causal=True))
        return self.out(y * torch.sigmoid(self.gate(x)))


class HeadGated(Attention):
    """A gate for each head."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, HEADS)

    def attend(self, x, q, k, v):
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return y * torch.sigmoid(self.gate(x)).transpose(1, 2)[..., None]


class Forgetting(Attention):
    """The sum of the logarithms of what is kept in between biases the scores. Lin et al., "FoX", 2025, equation 6."""

    def __init__(self) -> None:
        super().__init__()
        self.forget = nn.Linear(WIDTH, HEADS)

    def attend(self, x, q, k, v):
        kept = F.logsigmoid(self.forget(x) + 1).transpose(1, 2).cumsum(-1)
        bias = kept[..., :, None] - kept[..., None, :]
        mask = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
        scores = (q @ k.transpose(-1, -2) / SIZE**0.5 + bias).masked_fill(~mask, float("-inf"))
        return torch.softmax(scores, -1) @ v


class Flash(nn.Module):
    """A gated attention unit: relu**2 of the scores, no softmax; u gates. Hua et al., 2022, equations 3 and 4."""

    def __init__(self, shared: int = 16) -> None:
        super().__init__()
        self.u, self.v, self.z = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, shared)
        self.gain, self.shift = nn.Parameter(torch.rand(2, shared)), nn.Parameter(torch.randn(2, shared) / 2)
        self.out = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x):
        u, v, z = (F.silu(layer(x)) for layer in (self.u, self.v, self.z))
        q, k = (z * self.gain[i] + self.shift[i] for i in range(2))
        weights = torch.relu(q @ k.transpose(-1, -2) / LENGTH**0.5) ** 2
        return self.out(u * (weights @ v))


class FlashLinear(Flash):
    """MossFormer2's: quadratic attention plus linear attention, a sigmoid of one with the other. Zhao et al., 2023."""

    def forward(self, x):
        u, v, z = (F.silu(layer(x)) for layer in (self.u, self.v, self.z))
        q, k = (z * self.gain[i] + self.shift[i] for i in range(2))
        weights = torch.relu(torch.einsum("bqd,bkd->bqk", q, k) / LENGTH**0.5) ** 2
        whole = torch.einsum("bkd,bkv->bdv", k, u) / LENGTH, torch.einsum("bkd,bkv->bdv", k, v) / LENGTH
        reads_u, reads_v = (weights @ t + q @ w for t, w in zip((u, v), whole, strict=True))
        return self.out(reads_u * v * torch.sigmoid(reads_v * u))


class Linear(Attention):
    """elu + 1 of queries and keys, and a norm by their sum. Katharopoulos et al., 2020, equation 5."""

    def attend(self, x, q, k, v):
        q, k = F.elu(q) + 1, F.elu(k) + 1
        sums = (q * k.sum(-2, keepdim=True)).sum(-1, keepdim=True)
        return q @ (k.transpose(-1, -2) @ v) / sums


class CausalLinear(Attention):
    """The same without the norm, causal: products masked by zeros and ones."""

    def attend(self, x, q, k, v):
        mask = torch.ones(LENGTH, LENGTH).tril()
        return (q @ k.transpose(-1, -2) * mask / LENGTH) @ v


class Differential(Attention):
    """One softmax less a share of another. Ye et al., "Differential Transformer", 2024, equation 1."""

    def __init__(self, share: float = 0.5) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.full((1,), share))

    def attend(self, x, q, k, v):
        (q1, q2), (k1, k2) = (t.chunk(2, -1) for t in (q, k))
        first, second = (torch.softmax(a @ b.transpose(-1, -2) * 0.5, -1) for a, b in ((q1, k1), (q2, k2)))
        return (first - self.share * second) @ v


NETS: dict[str, Callable[[], nn.Module]] = {
    "plain": Attention, "causal": Causal, "windowed": Windowed, "padded": Padded,
    "padded_causal": PaddedCausal, "padded_twice": PaddedTwice, "grouped": Grouped, "rotary": Rotary, "placed": Placed,
    "interleaved": Interleaved, "gated": Gated, "head_gated": HeadGated, "forgetting": Forgetting,
    "flash": Flash, "flash_linear": FlashLinear, "linear": Linear, "causal_linear": CausalLinear,
    "differential": Differential,
}  # fmt: skip
"""Name -> module."""


def made(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module with weights that let attention pick, and inputs for it."""
    torch.manual_seed(0)
    net = NETS[name]().eval()
    for part in net.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=part.weight.shape[1] ** -0.5)
            nn.init.normal_(part.bias, std=0.2)
    extra = {"padded": (torch.arange(LENGTH) < LENGTH - 3).float()[None], "placed": torch.arange(LENGTH).flip(0)[None]}
    return net, (torch.randn(1, LENGTH, WIDTH), *[extra[key] for key in extra if name.startswith(key)])
