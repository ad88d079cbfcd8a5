"""An empty working folder, the command, and an artifact that runs."""

import pytest

from tests import tiny_program as tiny
from tests.cli.command import Command


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder of the command."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def edgegate(capfd, folder):
    """The command; what foreign libraries write to the descriptors is seen too."""
    return Command(capfd, folder)


@pytest.fixture
def artifact(folder):
    """m.egate: float32 [1, 8] plus half; its program is real."""
    made = tiny.artifact(tiny.library(1))
    made.save(folder / "m.egate")
    return made
