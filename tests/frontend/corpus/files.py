"""Paths that hold no model file."""

from __future__ import annotations

import os
from pathlib import Path

from edgegate.errors import FileError
from tests.frontend.corpus._table import (
    kind,
)


@kind(FileError)
def onnx_above_2_gib(folder: Path) -> Path:
    with open(folder / "model.bin", "wb") as file:
        file.write(b"\x08\x0a\x3a\x80\x80\x80\x80\x08\x0a\x00")
        file.truncate((1 << 31) + 100)
    return folder / "model.bin"


@kind(FileError)
def file_fifo(folder: Path) -> Path:
    os.mkfifo(folder / "model.bin")
    return folder / "model.bin"


@kind(FileError)
def file_device(folder: Path) -> Path:
    return Path("/dev/zero")
