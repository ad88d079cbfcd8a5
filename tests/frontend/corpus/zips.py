"""Zip files that escape, explode or mean two things."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import torch

from edgegate.errors import FileError, UnsafeError
from tests.frontend.corpus._table import (
    Maker,
    add,
    entries_of,
    kind,
    put,
    saved,
    zip_of,
)


def named(name: str) -> Maker:
    def maker(folder: Path) -> Path:
        entries = list(entries_of(saved({"w": torch.ones(2)})).items())
        return put(folder, zip_of([*entries, ("archive/XXXX", b"x")]).replace(b"archive/XXXX", name.encode()[:12]))

    return maker


for _name, _entry in [
    ("dots", "a/../../evil"), ("absolute", "/tmp/escaped"), ("nul", "archive/a\0bc"),
    ("backslash", "archive\\abcd"), ("empty_part", "archive//abc"), ("newline", "archive/a\nbc"),
    ("unicode", "archive/é-é"),
]:  # fmt: skip
    assert len(_entry.encode()) == 12 or _name == "unicode"
    add(f"zip_name_{_name}", UnsafeError, named(_entry))


@kind(UnsafeError)
def zip_symlink(folder: Path) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("archive/data.pkl")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return put(folder, buffer.getvalue())


@kind(UnsafeError)
def zip_double_name(folder: Path) -> Path:
    return put(folder, zip_of([("archive/data.pkl", b"1"), ("archive/data.pkl", b"2")]))


@kind(UnsafeError)
def zip_overlap(folder: Path) -> Path:
    """Both entries of the directory point to the first local header."""
    data = bytearray(zip_of([("archive/data.pk1", b"same"), ("archive/data.pk2", b"same")]))
    second = data.rfind(b"PK\x01\x02")
    data[second + 42 : second + 46] = bytes(4)
    return put(folder, bytes(data))


@kind(UnsafeError)
def zip_quoted_overlap(folder: Path) -> Path:
    """The first entry's content is the second entry, header and all: the core of a 42.zip."""
    inner = zip_of({"archive/data.pk2": b"same"})
    inner = inner[: inner.find(b"PK\x01\x02")]
    data = bytearray(zip_of([("archive/data.pk1", inner), ("archive/data.pk2", b"same")]))
    second = data.rfind(b"PK\x01\x02")
    data[second + 42 : second + 46] = struct.pack("<I", data.find(inner))
    return put(folder, bytes(data))


@kind(UnsafeError)
def zip_other_name_inside(folder: Path) -> Path:
    data = zip_of({"archive/data.pkl": b"x"})
    return put(folder, data.replace(b"archive/data.pkl", b"archive/data.xyz", 1))


@kind(UnsafeError)
def zip_data_before(folder: Path) -> Path:
    return put(folder, b"PK\x03\x04" + bytes(60) + saved({"w": torch.ones(2)}))


@kind(UnsafeError)
def zip_65k_entries(folder: Path) -> Path:
    return put(folder, zip_of({f"archive/data/{n}": b"" for n in range(65_536)}))


@kind(UnsafeError)
def zip_bomb(folder: Path) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(200 << 20))
    return put(folder, buffer.getvalue())


@kind(UnsafeError)
def zip_encrypted(folder: Path) -> Path:
    data = bytearray(saved({"w": torch.ones(2)}))
    data[data.find(b"PK\x01\x02") + 8] |= 1
    return put(folder, bytes(data))


@kind(FileError)
def zip_wrong_checksum(folder: Path) -> Path:
    return put(folder, saved({"w": torch.full((4,), 1.5)}).replace(struct.pack("<f", 1.5), struct.pack("<f", 2.5)))


@kind(FileError)
def zip_truncated(folder: Path) -> Path:
    return put(folder, saved({"w": torch.ones(200)})[:-300])


@kind(FileError)
def zip_empty(folder: Path) -> Path:
    return put(folder, zip_of({}))


@kind(FileError)
def zip_of_something_else(folder: Path) -> Path:
    return put(folder, zip_of({"word/document.xml": b"<a/>"}))
