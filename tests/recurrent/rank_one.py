# mypy: disable-error-code="misc"
"""Matrix states that each step decays and adds an outer product to: S = a S + k v^T, o = S^T q."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Heads(nn.Module):
    """Projections to queries, keys and values of several heads, and back."""

    def __init__(self, width: int = 32, heads: int = 2, key: int = 16) -> None:
        super().__init__()
        self.heads, self.key = heads, key
        self.query, self.keys, self.value = (nn.Linear(width, heads * key, bias=False) for _ in range(3))
        self.out = nn.Linear(heads * key, width, bias=False)

    def split(self, x):
        return x.reshape(1, self.heads, self.key)

    def projected(self, x):
        return self.split(self.query(x)) / self.key**0.5, self.split(self.keys(x)), self.split(self.value(x))

    def step(self, state, decay, q, k, v):
        state = state * decay + k.unsqueeze(-1) * v.unsqueeze(-2)
        o = (state * q.unsqueeze(-1)).sum(-2)
        return o, state


class GLA(Heads):
    """Gated linear attention: a decay for each key channel, sigmoid(f)**(1/16). Yang et al., 2024, section 4.4."""

    def __init__(self) -> None:
        super().__init__()
        self.forget = nn.Linear(32, 32)
        self.gate = nn.Linear(32, 32)

    def forward(self, x, state):
        decay = torch.exp(F.logsigmoid(self.split(self.forget(x))) / 16)
        o, state = self.step(state, decay.unsqueeze(-1), *self.projected(x))
        return self.out(o.reshape(1, -1) * F.silu(self.gate(x))), state


class RetNet(Heads):
    """A constant decay for each head: 1 - 2**(-5 - h). Sun et al., 2023, equation 8."""

    def forward(self, x, state):
        decay = 1 - 2.0 ** (-5 - torch.arange(self.heads, dtype=torch.float32))
        o, state = self.step(state, decay[None, :, None, None], *self.projected(x))
        return self.out(o.reshape(1, -1)), state


class Lightning(Heads):
    """Lightning attention: the decay exp(-slope) of each head."""

    def forward(self, x, state):
        slopes = torch.tensor([0.25, 0.0625])
        q, k, v = self.projected(x)
        o, state = self.step(state, torch.exp(-slopes)[None, :, None, None], F.silu(q), F.silu(k), v)
        return self.out(o.reshape(1, -1)), state


class HGRN2(Heads):
    """Keys are what the decay leaves: k = 1 - f. Qin et al., 2024, equation 7."""

    def __init__(self, bound: float = 0.6) -> None:
        super().__init__()
        self.bound = bound

    def forward(self, x, state):
        q, f, v = self.projected(x)
        f = self.bound + (1 - self.bound) * torch.sigmoid(f)
        o, state = self.step(state, f.unsqueeze(-1), q, 1 - f, v)
        return self.out(o.reshape(1, -1)), state


class GSA(Heads):
    """Gated slot attention: two passes with a softmax over the slots between. Zhang et al., 2024, equation 8."""

    def __init__(self, slots: int = 8) -> None:
        super().__init__()
        self.slots = nn.Linear(32, self.heads * slots)
        self.count = slots

    def forward(self, x, first, second):
        q, k, v = self.projected(x)
        a = torch.exp(F.logsigmoid(self.slots(x).reshape(1, self.heads, self.count)) / 8)
        s = 1 - a
        first = first * a.unsqueeze(-2) + k.unsqueeze(-1) * s.unsqueeze(-2)
        p = torch.softmax((first * q.unsqueeze(-1)).sum(-2), -1)
        second = second * a.unsqueeze(-1) + s.unsqueeze(-1) * v.unsqueeze(-2)
        return self.out((second * p.unsqueeze(-1)).sum(-2).reshape(1, -1)), first, second


class Mamba1(nn.Module):
    """A decay for each channel and state: exp(dt A). Gu, Dao, 2023, algorithm 2. States [N, D, 3] and [N, D, 8]."""

    def __init__(self, width: int = 16, inner: int = 32, size: int = 8, rank: int = 4) -> None:
        super().__init__()
        self.inlet = nn.Linear(width, 2 * inner, bias=False)
        self.taps, self.bias = nn.Parameter(torch.randn(inner, 4) / 2), nn.Parameter(torch.zeros(inner))
        self.select = nn.Linear(inner, rank + 2 * size, bias=False)
        self.dt = nn.Linear(rank, inner)
        self.log_a = nn.Parameter(torch.log(torch.arange(1.0, size + 1)).repeat(inner, 1))
        self.skip, self.out = nn.Parameter(torch.ones(inner)), nn.Linear(inner, width, bias=False)
        self.parts = (rank, size, size)

    def forward(self, x, past, state):
        u, gate = self.inlet(x).chunk(2, -1)
        window = torch.cat([past, u.unsqueeze(-1)], -1)
        u = F.silu((window * self.taps).sum(-1) + self.bias)
        dt, b, c = self.select(u).split(self.parts, -1)
        dt = F.softplus(self.dt(dt)).unsqueeze(-1)
        state = state * torch.exp(dt * -torch.exp(self.log_a)) + dt * u.unsqueeze(-1) * b.unsqueeze(1)
        y = (state * c.unsqueeze(1)).sum(-1) + u * self.skip
        return self.out(y * F.silu(gate)), window[..., 1:], state


class Mamba2(nn.Module):
    """One decay for each head: exp(dt A). Dao, Gu, 2024, section 7. States [N, C, 3] and [N, H, P, S]."""

    def __init__(self, width: int = 16, heads: int = 2, head: int = 16, size: int = 16) -> None:
        super().__init__()
        self.heads, self.head, self.size, inner = heads, head, size, heads * head
        self.parts = (inner, inner + 2 * size, heads)
        self.inlet = nn.Linear(width, sum(self.parts), bias=False)
        mixed = inner + 2 * size
        self.taps, self.bias = nn.Parameter(torch.randn(mixed, 4) / 2), nn.Parameter(torch.zeros(mixed))
        self.dt_bias, self.log_a = nn.Parameter(torch.randn(heads)), nn.Parameter(torch.tensor([0.0, 1.5]))
        self.skip, self.norm, self.out = nn.Parameter(torch.ones(heads)), nn.RMSNorm(inner), nn.Linear(inner, width)

    def forward(self, x, past, state):
        gate, mixed, dt = self.inlet(x).split(self.parts, -1)
        window = torch.cat([past, mixed.unsqueeze(-1)], -1)
        inner = self.heads * self.head
        u, b, c = F.silu((window * self.taps).sum(-1) + self.bias).split((inner, self.size, self.size), -1)
        dt, u = F.softplus(dt + self.dt_bias)[..., None, None], u.reshape(1, self.heads, self.head, 1)
        decay = torch.exp(dt * -torch.exp(self.log_a)[None, :, None, None])
        state = state * decay + dt * u * b[:, None, None]
        y = (state * c[:, None, None]).sum(-1) + u[..., 0] * self.skip[:, None]
        return self.out(self.norm(y.reshape(1, -1) * F.silu(gate))), window[..., 1:], state


class MLSTM(Heads):
    """Exponential input gate with a running maximum m. Beck et al., "xLSTM", 2024, equations 19 to 27."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet, self.forget, self.gate = nn.Linear(32, 2), nn.Linear(32, 2), nn.Linear(32, 32)

    def forward(self, x, state, norm, m):
        q, k, v = self.projected(x)
        i, f = self.inlet(x), F.logsigmoid(self.forget(x) + 3)
        top = torch.maximum(f + m, i)
        keep, add = torch.exp(f + m - top)[..., None], torch.exp(i - top)[..., None]
        norm = keep * norm + add * k
        o, state = self.step(state, keep[..., None], q, add * k, v)
        size = torch.maximum((norm * q).sum(-1).abs(), torch.exp(-top))
        o = o / size[..., None]
        return self.out(o.reshape(1, -1) * torch.sigmoid(self.gate(x))), state, norm, top


class LogLinear(Heads):
    """A state for each level of a Fenwick tree. Guo et al., "Log-Linear Attention", 2025, section 3.

    ``below`` and ``level`` are 0 or 1: the levels below the lowest set bit of the step's number, and that bit.
    State [N, H, L, K, V].
    """

    def __init__(self, levels: int = 5) -> None:
        super().__init__()
        self.weights, self.forget, self.levels = nn.Linear(32, 2 * levels), nn.Linear(32, 2), levels

    def forward(self, x, below, level, state):
        q, k, v = self.projected(x)
        below, level = below[:, None, :, None, None], level[:, None, :, None, None]
        merged = (state * below).sum(2, keepdim=True)
        first = torch.cat([(k.unsqueeze(-1) * v.unsqueeze(-2)).unsqueeze(2), merged.new_zeros(1, 2, 4, 16, 16)], 2)
        decay = torch.exp(F.logsigmoid(self.forget(x)) / 16)[:, :, None, None, None]
        state = (state * (1 - below) + level * merged) * decay + first
        read = (state * q[:, :, None, :, None]).sum(3)
        scale = F.softplus(self.weights(x)).reshape(1, 2, self.levels, 1)
        return self.out((read * scale).sum(2).reshape(1, -1)), state


def lowest_bit(step: int, levels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(below, level) of a step, counted from one."""
    bit = min((step & -step).bit_length() - 1, levels - 1)
    below, level = torch.zeros(1, levels), torch.zeros(1, levels)
    below[0, :bit] = 1
    level[0, bit] = 1 if bit else 0
    return below, level
