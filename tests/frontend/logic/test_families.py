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
        where = f"{label}, {name}"
        if " beta" in name or name in ("sum 3 4.0 1.5", "sum 12 3.3 0.1"):
            assert torch.allclose(got, y, rtol=1e-6, atol=1e-6), where  # (sum + beta) / tau, and sum / tau + beta / tau
        else:
            assert got.shape == y.shape and torch.equal(got.float(), y), where
