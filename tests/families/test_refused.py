# mypy: disable-error-code="misc"
"""Forms without integers are refused all at once: where, which line of torch, of what shape, and what to do."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from edgegate.compiler import integer_model
from edgegate.errors import CompileError
from edgegate.options import CompileOptions


class Volume(nn.Module):
    """Three axes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv3d(2, 4, 3), nn.InstanceNorm2d(4)

    def forward(self, x):
        return self.norm(self.conv(x)[:, :, 0])


EXPECTED = {
    (Volume, (1, 2, 5, 6, 6)): [
        r"conv \(Conv, .*\): Conv of \[1,2,5,6,6\], \[4,2,3,3,3\], \[4\]: Conv over 3 axes has no integer form; one or",
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
