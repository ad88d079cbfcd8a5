# mypy: disable-error-code="untyped-decorator"
"""The operator of the package transformers for rows that are sorted by expert, as that registers it."""

from __future__ import annotations

import torch


@torch.library.custom_op("transformers::grouped_mm_fallback", mutates_args=())
def grouped_mm(input: torch.Tensor, weight: torch.Tensor, offs: torch.Tensor) -> torch.Tensor:
    """[S, K] and [G, K, N] to [S, N]: group g are the rows before ``offs[g]`` that no group before it has."""
    output, start = torch.zeros(len(input), weight.shape[2]), 0
    for index, end in enumerate(offs.tolist()):
        output[start:end] = input[start:end] @ weight[index]
        start = end
    return output


@grouped_mm.register_fake
def _shape(input: torch.Tensor, weight: torch.Tensor, offs: torch.Tensor) -> torch.Tensor:
    return input.new_empty(input.shape[0], weight.shape[2])
