"""The table of hostile files, and what their makers share."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from edgegate.errors import EdgeGateError

MARKER = "marker"
RUN = f"__import__('os').mknod('{MARKER}')"

Maker = Callable[[Path], Path]
Table = list[tuple[str, type[EdgeGateError] | None, Maker]]
KINDS: dict[str, tuple[Maker, type[EdgeGateError] | None]] = {}
"""None: the file loads, and what was hostile in it was left behind."""


def kind(expected: type[EdgeGateError] | None) -> Callable[[Maker], Maker]:
    def register(maker: Maker) -> Maker:
        KINDS[maker.__name__] = (maker, expected)
        return maker

    return register


def add(name: str, expected: type[EdgeGateError] | None, maker: Maker) -> None:
    KINDS[name] = (maker, expected)


def put(folder: Path, data: bytes, name: str = "model.bin") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


class Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, Any]:
        return self.function, self.args


class Built:
    """Pickles as an object that sets its own state."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Built, (), {"state": 1}

    def __setstate__(self, state: object) -> None:
        os.mknod(MARKER)


def zip_of(entries: dict[str, bytes] | list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items() if isinstance(entries, dict) else entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def entries_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {i.filename: archive.read(i) for i in archive.infolist()}


def saved(content: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


EVIL = Call(eval, RUN)
