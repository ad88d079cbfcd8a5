"""torchlogix itself, where it is installed: Python 3.12 or newer, not among this project's packages."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import torch

from edgegate.frontend import logic
from tests.frontend.logic.fixtures.make import torchlogix_cases

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12) or importlib.util.find_spec("torchlogix") is None, reason="no torchlogix here"
)


@pytest.mark.parametrize("seed", range(20))
def test_what_torchlogix_computes(seed):
    torch.manual_seed(seed)
    for name, model, x in torchlogix_cases("0.2.2"):
        with torch.no_grad():
            got, y = logic.plain(model)(x), model.eval()(x)
        assert got.shape == y.shape and torch.allclose(got.float(), y.float(), rtol=1e-6, atol=1e-6), name
