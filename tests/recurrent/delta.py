# mypy: disable-error-code="misc"
"""Delta rules: the state is read before it is written. S += k (beta (v - S^T k))^T."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.recurrent.rank_one import Heads


class Delta(Heads):
    """What the delta rules share: unit keys and queries."""

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Linear(32, self.heads)

    def unit(self, x):
        q, k, v = self.projected(x)
        return F.normalize(q, dim=-1), F.normalize(k, dim=-1), v

    def read(self, state, key):
        return (state * key.unsqueeze(-1)).sum(-2)

    def write(self, state, key, value):
        return state + key.unsqueeze(-1) * value.unsqueeze(-2)


class DeltaNet(Delta):
    """No decay. Yang et al., "Parallelizing Linear Transformers with the Delta Rule", 2024, equation 2."""

    def forward(self, x, state):
        q, k, v = self.unit(x)
        beta = torch.sigmoid(self.beta(x)).unsqueeze(-1)
        state = self.write(state, k, beta * (v - self.read(state, k)))
        return self.out(self.read(state, q).reshape(1, -1)), state


class GatedDeltaNet(Delta):
    """A decay for each head, before the read; a gated norm behind. Yang et al., 2024, equation 10."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha, self.gate, self.norm = nn.Linear(32, self.heads), nn.Linear(32, 32), nn.RMSNorm(self.key)
        self.log_a, self.dt_bias = nn.Parameter(torch.tensor([0.0, 1.0])), nn.Parameter(torch.tensor([-3.0, -4.0]))

    def forward(self, x, state):
        q, k, v = self.unit(x)
        beta = torch.sigmoid(self.beta(x)).unsqueeze(-1)
        decay = torch.exp(-torch.exp(self.log_a) * F.softplus(self.alpha(x) + self.dt_bias))
        state = state * decay[..., None, None]
        state = self.write(state, k, beta * (v - self.read(state, k)))
        o = self.norm(self.read(state, q)) * F.silu(self.split(self.gate(x)))
        return self.out(o.reshape(1, -1)), state


class KDA(Delta):
    """Kimi delta attention: a decay for each key channel; the output's norm times a sigmoid. Kimi team, 2025."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha, self.gate, self.norm = nn.Linear(32, 32), nn.Linear(32, 32), nn.RMSNorm(self.key)
        self.log_a, self.dt_bias = nn.Parameter(torch.tensor([0.0, 1.0])), nn.Parameter(torch.full((32,), -3.0))

    def forward(self, x, state):
        q, k, v = self.unit(x)
        beta = torch.sigmoid(self.beta(x)).unsqueeze(-1)
        decay = torch.exp(-torch.exp(self.log_a)[:, None] * F.softplus(self.split(self.alpha(x) + self.dt_bias)))
        state = state * decay.unsqueeze(-1)
        state = self.write(state, k, beta * (v - self.read(state, k)))
        o = self.norm(self.read(state, q)) * torch.sigmoid(self.split(self.gate(x)))
        return self.out(o.reshape(1, -1)), state


class ChannelDelta(Delta):
    """Gates per channel on what is erased and on what is written; a decay per key channel."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha, self.erase, self.fill = (nn.Linear(32, 32) for _ in range(3))

    def forward(self, x, state):
        q, k, v = self.unit(x)
        erase, fill = (torch.sigmoid(self.split(gate(x))) for gate in (self.erase, self.fill))
        state = state * torch.exp(F.logsigmoid(self.split(self.alpha(x))) / 16).unsqueeze(-1)
        state = self.write(state, k, fill * v - self.read(state, erase * k))
        return self.out(self.read(state, q).reshape(1, -1)), state


class Comba(Delta):
    """What is erased is read by a key of its own, sigmoid(d) k. Hu et al., 2025, equation 6."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha, self.scale = nn.Linear(32, self.heads), nn.Parameter(torch.tensor([0.5, 1.0]))

    def forward(self, x, state):
        q, k, v = self.unit(x)
        beta = torch.sigmoid(self.beta(x)).unsqueeze(-1)
        state = state * torch.exp(F.logsigmoid(self.alpha(x)) / 16)[..., None, None]
        p = torch.sigmoid(self.scale)[None, :, None] * k
        state = self.write(state, k, beta * (v - self.read(state, p)))
        return self.out(self.read(state, q).reshape(1, -1)), state


class RWKV7(Delta):
    """Decay exp(-0.6065 sigmoid(w)), erased along -k and written along k; the token before is mixed in.

    Peng et al., "RWKV-7", 2025, equations 15 to 18. States [N, D] and [N, H, K, V].
    """

    def __init__(self) -> None:
        super().__init__()
        self.decay, self.rate, self.gate = (nn.Linear(32, 32) for _ in range(3))
        self.mix = nn.Parameter(torch.rand(32))

    def forward(self, x, past, state):
        mixed = x + (past - x) * self.mix
        q, k, v = self.unit(mixed)
        rate = torch.sigmoid(self.split(self.rate(mixed)))
        decay = torch.exp(-0.6065306597 * torch.sigmoid(self.split(self.decay(mixed))))
        erased = self.read(state, -k)
        state = state * decay.unsqueeze(-1)
        state = self.write(self.write(state, k * rate, erased), k, v)
        o = self.read(state, q).reshape(1, -1) * torch.sigmoid(self.gate(mixed))
        return self.out(o), x, state
