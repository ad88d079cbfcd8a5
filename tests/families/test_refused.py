# mypy: disable-error-code="misc"
"""Forms without integers are refused all at once: where, which line of torch, of what shape, and what to do."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgegate.compiler import integer_model
from edgegate.errors import CompileError
from edgegate.options import CompileOptions


class Attention(nn.Module):
    """A transformer's block as it is, with a norm of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.project, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.groups = nn.GroupNorm(2, 8)

    def forward(self, x):
        query, key, value = self.project(self.norm(x)).chunk(3, -1)
        weights = F.softmax(query @ key.transpose(1, 2) / 8**0.5, -1)
        y = self.groups((x + self.out(weights @ value)).transpose(1, 2))
        return F.normalize(y, dim=1)


class Volume(nn.Module):
    """Three axes, and a decision inside the model."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv3d(2, 4, 3), nn.InstanceNorm2d(4)

    def forward(self, x):
        return self.norm(self.conv(x)[:, :, 0]).argmax(1).float()


EXPECTED = {
    (Attention, (1, 6, 8)): [
        r"softmax \(Softmax, test_refused.py:\d+: weights = .*\): Softmax of \[1,6,6\]: no integer form; let sigmoid",
    ],
    (Volume, (1, 2, 5, 6, 6)): [
        r"conv \(Conv, .*\): Conv of \[1,2,5,6,6\], \[4,2,3,3,3\], \[4\]: Conv over 3 axes has no integer form; one or",
        r"\(Cast, .*\): Cast of \[1,4,4\]: no integer form; replace it",
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: case[0].__name__)
def test_every_form_without_integers_is_named(case):
    make, shape = case
    torch.manual_seed(0)
    with pytest.raises(CompileError) as caught:
        integer_model(make().eval(), (torch.randn(shape),), CompileOptions())
    lines = str(caught.value).splitlines()
    assert len(lines) == len(EXPECTED[case])
    for line, pattern in zip(lines, EXPECTED[case], strict=True):
        assert re.search(pattern, line), line
