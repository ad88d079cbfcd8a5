"""Every layer of other packages computes here what it computes there: recorded, bit for bit."""

from __future__ import annotations

import pytest
import torch

from edgegate.frontend import logic
from tests.frontend.logic.standins import LABELS, case, cases


@pytest.mark.parametrize("label", LABELS)
def test_what_the_package_computes(label):
    for name in cases(label):
        model, x, y = case(label, name)
        made = logic.plain(model)
        got = made(x)
        assert got.shape == y.shape and torch.equal(got.float(), y), f"{label}, {name}"
