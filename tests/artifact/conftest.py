"""The artifact that the tests save, damage and load."""

import pytest

from edgegate.artifact import Artifact
from tests import tiny_program as tiny


@pytest.fixture
def made() -> Artifact:
    return tiny.artifact(more={"source/main.c": b"int main(void) { return 0; }\n"})
