"""Token skipping: a block that only some of the tokens go through."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GateSkip(nn.Module):  # type: ignore[misc]
    """A gated residual block with a budget.

    For every token h of a sequence, with f the block:

        z = w . h + b,   g = sigmoid(z)
        training:               y = h + g * f(h)
        eval, with a budget k:  the same for the k tokens of the greatest z, y = h for the others
        eval, with theta:       the same where g > theta, y = h elsewhere

    With a budget the block sees the k tokens alone, in the order of z (equal ones in that of the sequence), and does k
    tokens' work, whatever the length; z is ranked as it is stored, in integers. A block that mixes tokens mixes those.
    With theta the block is computed for all tokens, and the choice is one threshold on an integer for each.

    Source: GateSkip (arXiv 2510.13876): a sigmoid gate on the branch's output, tokens ranked by it, a budget a layer.

    Args:
        block: [N, T, D] -> the same, of any T.
        dim: D.
        budget: How many tokens go through in eval mode; None: as theta says.
        theta: What the gate must exceed, in (0, 1), where there is no budget.

    Attributes:
        scores: [N, T, 1], the gates of the last forward pass; None before, and while the model is exported. Add
            ``weight * layer.scores.mean()`` to the loss, so that tokens that need no work have small gates.

    Shape:
        h float [N, T, D] -> the same; T is at least the budget.

    Raises:
        ValueError: An argument outside of what is said here.
    """

    def __init__(self, block: nn.Module, dim: int, budget: int | None = None, theta: float = 0.5) -> None:
        super().__init__()
        if (budget is not None and budget < 1) or not 0 < theta < 1 or dim < 1:
            raise ValueError(f"impossible gate: dim {dim}, a budget of {budget} tokens, theta {theta}")
        self.block, self.budget, self.theta = block, budget, theta
        self.gate = nn.Linear(dim, 1)
        self.scores: Tensor | None = None

    def forward(self, h: Tensor) -> Tensor:
        """The tokens, those that went through changed."""
        logits = self.gate(h)
        if not torch.compiler.is_exporting():
            self.scores = torch.sigmoid(logits)
        if self.training:
            return h + torch.sigmoid(logits) * self.block(h)
        if self.budget is None:
            scores = torch.sigmoid(logits)
            return torch.where(scores > self.theta, h + scores * self.block(h), h)
        return self._within_budget(h, logits)

    def _within_budget(self, h: Tensor, logits: Tensor) -> Tensor:
        assert self.budget is not None, "there is a budget"
        if h.shape[1] < self.budget:
            raise ValueError(f"a budget of {self.budget} tokens for {h.shape[1]}")
        best, places = torch.topk(logits, self.budget, dim=1)
        places = places.expand(-1, -1, h.shape[2])
        chosen = torch.gather(h, 1, places)
        return torch.scatter(h, 1, places, chosen + torch.sigmoid(best) * self.block(chosen))

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"budget={self.budget}" if self.budget is not None else f"theta={self.theta}"
