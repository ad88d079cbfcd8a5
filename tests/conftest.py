"""What holds for every test: no clock decides, no run differs from the last, no GPU is taken for granted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run, so that a red test is red for everyone. Hunt for new ones with
# `pytest --hypothesis-profile explore`.
settings.register_profile("repeat", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, database=None, max_examples=2000)
settings.load_profile("repeat")

HAS_GPU = Path("/dev/nvidiactl").exists()


def pytest_collection_modifyitems(items):
    """Skip the tests marked ``gpu`` where there is none."""
    for item in items:
        if item.get_closest_marker("gpu") and not HAS_GPU:
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU here"))
