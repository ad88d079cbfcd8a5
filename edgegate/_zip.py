"""A zip file in one fixed form: same files, same bytes, and a reader that accepts no other form.

Stored entries (no compression), one after the other from byte 0, 1980-01-01, mode 0644, no extra
fields, no comments. Because every header follows from the names and contents, the reader rebuilds
them and compares: links, overlaps, gaps, trailing bytes, second directories and the like need no
rule of their own. Any zip tool can open the file.

Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping

from edgegate.errors import FileError, UnsafeError

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
LOCAL_FORM, CENTRAL_FORM, END_FORM = "<4s5H3L2H", "<4s6H3L5H2L", "<4s4H2LH"
LOCAL_SIZE = struct.calcsize(LOCAL_FORM)
NEEDED, MADE_BY = 20, (3 << 8) | 20  # version 2.0, on Unix
UTF8 = 1 << 11
DATE = (0 << 9) | (1 << 5) | 1  # 1980-01-01
MODE = 0o100644 << 16
LIMIT = (1 << 32) - 1
"""Largest file, in bytes: this form has no zip64."""
ENTRIES = 1000
"""Most entries."""


def pack(files: Mapping[str, bytes]) -> list[bytes]:
    """The parts of a zip file that holds ``files`` in their order; joined they are the file.

    Raises:
        ValueError: Above :data:`LIMIT` or :data:`ENTRIES`.
    """
    parts: list[bytes] = []
    directory: list[bytes] = []
    offset = 0
    for name, data in files.items():
        encoded = name.encode()
        common = (0 if name.isascii() else UTF8, 0, 0, DATE, zlib.crc32(data), len(data), len(data))
        if len(files) > ENTRIES or offset + len(data) + (1 << 20) > LIMIT:
            raise ValueError(f"at most {ENTRIES} files and {LIMIT} bytes fit")
        header = struct.pack(LOCAL_FORM, LOCAL, NEEDED, *common, len(encoded), 0) + encoded
        rest = (len(encoded), 0, 0, 0, 0, MODE, offset)
        directory.append(struct.pack(CENTRAL_FORM, CENTRAL, MADE_BY, NEEDED, *common, *rest) + encoded)
        parts += header, data
        offset += len(header) + len(data)
    size, count = sum(map(len, directory)), len(files)
    return [*parts, *directory, struct.pack(END_FORM, END, 0, 0, count, count, size, offset, 0)]


def unpack(data: bytes, allowed: Callable[[str], bool]) -> dict[str, bytes]:
    """The files in what :func:`pack` wrote, in their order.

    Args:
        data: The whole zip file.
        allowed: Says whether an entry may have this name.

    Raises:
        FileError: Not a zip file, or its end is missing.
        UnsafeError: Anything that :func:`pack` would not have written.
    """
    if data[:4] != LOCAL:
        raise FileError("not an artifact" if data else "empty file")
    files: dict[str, bytes] = {}
    offset = 0
    while data[offset : offset + 4] == LOCAL:
        name, start, end = _entry(data, offset)
        if not allowed(name):
            raise UnsafeError(f"{name!a} is no name for a file of an artifact")
        if name in files or len(files) == ENTRIES:
            raise UnsafeError(f"{name!a} is there twice" if name in files else "too many files")
        files[name] = data[start:end]
        offset = end
    _compare(data, files)
    return files


def _entry(data: bytes, offset: int) -> tuple[str, int, int]:
    """Name, start and end of the entry whose header is at ``offset``."""
    if len(data) < offset + LOCAL_SIZE:
        raise FileError("truncated")
    fields = struct.unpack_from(LOCAL_FORM, data, offset)
    _, _, flags, method, _, _, _, packed, size, name_size, extra = fields
    name = data[offset + LOCAL_SIZE : offset + LOCAL_SIZE + name_size].decode("utf-8", "replace")
    if method or flags & 1:
        raise UnsafeError(f"{name!a} is {'encrypted' if flags & 1 else 'compressed'}; stored files only")
    if packed != size or extra:
        raise UnsafeError(f"{name!a} has an unusual zip header")
    start = offset + LOCAL_SIZE + name_size
    if len(data) < start + size:
        raise FileError("truncated")
    return name, start, start + size


def _compare(data: bytes, files: Mapping[str, bytes]) -> None:
    """Refuse ``data`` unless it is byte for byte what :func:`pack` makes of ``files``."""
    offset = 0
    for part in pack(files):
        if not data.startswith(part, offset):
            if len(data) < offset + len(part) and part.startswith(data[offset:]):
                raise FileError("truncated")
            raise UnsafeError("damaged or altered: a checksum or a zip header is not as it was written")
        offset += len(part)
    if offset != len(data):
        raise UnsafeError(f"{len(data) - offset} bytes after its end")
