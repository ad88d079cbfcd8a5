"""The session that the tests call."""

import pytest

from edgegate.runtime import Session
from tests import tiny_program as tiny


@pytest.fixture(scope="module")
def plus_one() -> Session:
    return Session(tiny.artifact(tiny.library(1)), threads=1)
