"""Zip files, read entry by entry into memory and never unpacked to disk.

Two zip readers may see two different files: one believes the central directory, another the local
headers. Everything in which they could differ is refused, and torch is afterwards given an archive
that :func:`write` made from the checked bytes, never the file itself.
Refused are the escapes and bombs of CVE-2024-0450 (overlapping entries) and of zip-slip.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping

from edgegate.errors import FileError, UnsafeError
from edgegate.frontend import _files

ENTRY_LIMIT = 50_000
"""Most entries of an archive: a state_dict has one per tensor."""
EXPANSION = 4
"""Entries may hold this many times the file's size ..."""
EXPANSION_FLOOR = 64 * _files.MIB
"""... or this many bytes, whichever is more."""

_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    NotImplementedError,
)
"""What zipfile raises over bytes that make no sense; ValueError: names that are no UTF-8, negative seeks."""
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_END, _END_SIZE = b"PK\x05\x06", 22
"""The record that ends an archive, and its size without a comment, which no writer of models makes."""
_NAME = re.compile(r"[A-Za-z0-9_.+\-][A-Za-z0-9_.+\- /]*")


def read(data: bytes, name: str) -> dict[str, bytes]:
    """The entries of the zip file ``data``, by name.

    Args:
        data: The whole file.
        name: Its name for error messages.

    Raises:
        UnsafeError: Unsafe or double names, links, encryption, overlapping entries, data before the
            first entry, too many entries, or entries larger than the file can honestly hold.
        FileError: Truncated, damaged, or a checksum is wrong.
    """
    if not _is_whole(data):
        raise FileError(f"{name}: truncated archive, or something follows it (its directory is not at its end)")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_directory(archive.infolist(), name, len(data))
            _check_layout(archive.infolist(), data, archive.start_dir, name)
            return {i.filename: archive.read(i) for i in archive.infolist()}
    except _DAMAGE as error:
        raise FileError(f"{name}: damaged or truncated archive ({_files.printable(error)})") from None


def write(entries: Mapping[str, bytes]) -> io.BytesIO:
    """A stored (uncompressed) zip file of ``entries``, rewound to its start."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    buffer.seek(0)
    return buffer


def _is_whole(data: bytes) -> bool:
    """Whether ``data`` ends as an archive does.

    zipfile looks for the end further up as well. In an archive that is cut off it then finds the end of
    an archive inside it: torch.export stores one.
    """
    return data[-_END_SIZE:].startswith(_END) and data.endswith(b"\0\0")


def _is_beginning(data: bytes) -> bool:
    """Whether ``data`` begins with an entry, but has no directory: what is left of an archive that was cut off."""
    if len(data) < _LOCAL_HEADER.size or _END in data:
        return False
    magic, *_, name_size, _ = _LOCAL_HEADER.unpack_from(data)
    entry = data[_LOCAL_HEADER.size : _LOCAL_HEADER.size + name_size].decode("ascii", "replace")
    return magic == b"PK\x03\x04" and _NAME.fullmatch(entry) is not None


def _check_directory(entries: list[zipfile.ZipInfo], name: str, count: int) -> None:
    if not entries:
        raise FileError(f"{name}: empty archive")
    if len(entries) > ENTRY_LIMIT:
        raise UnsafeError(f"{name}: {len(entries)} archive entries, the limit is {ENTRY_LIMIT}")
    seen: set[str] = set()
    for entry in entries:
        _check_entry(entry, name)
        if entry.filename in seen:
            raise UnsafeError(f"{name}: two archive entries are called {entry.filename!r}")
        seen.add(entry.filename)
    total, limit = sum(e.file_size for e in entries), max(EXPANSION * count, EXPANSION_FLOOR)
    if total > limit:
        what = f"{_files.size(count)} would expand to {_files.size(total)}"
        raise UnsafeError(f"{name}: {what}, the limit is {_files.size(limit)}")


def _check_entry(entry: zipfile.ZipInfo, name: str) -> None:
    shown = _files.printable(repr(entry.orig_filename))
    parts = entry.orig_filename.split("/")
    if not _NAME.fullmatch(entry.orig_filename) or any(p in ("", "..", ".") for p in parts):
        raise UnsafeError(f"{name}: unsafe archive entry name {shown}")
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        raise UnsafeError(f"{name}: archive entry {shown} is a link or a device, not a file")
    if entry.flag_bits & 1:
        raise UnsafeError(f"{name}: archive entry {shown} is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnsafeError(f"{name}: archive entry {shown} is compressed by an unknown method")
    if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
        raise UnsafeError(f"{name}: archive entry {shown} has two sizes")


def _check_layout(entries: list[zipfile.ZipInfo], data: bytes, directory: int, name: str) -> None:
    """Each entry's local header says what the directory says, and no two entries share bytes."""
    end = 0
    for entry in sorted(entries, key=lambda e: e.header_offset):
        start = entry.header_offset
        shown = _files.printable(repr(entry.filename))
        if end == 0 and start != 0 and _is_beginning(data[:start]):
            raise FileError(f"{name}: truncated archive (it has no directory, but another archive inside it has)")
        if start < end or (end == 0 and start != 0):
            raise UnsafeError(f"{name}: archive entry {shown} overlaps another or hides data before it")
        magic, *_, name_size, extra_size = _LOCAL_HEADER.unpack_from(data, start)
        body = start + _LOCAL_HEADER.size
        if magic != b"PK\x03\x04":
            raise FileError(f"{name}: damaged archive (no entry where {shown} should be)")
        if data[body : body + name_size] != entry.filename.encode():
            raise UnsafeError(f"{name}: archive entry {shown} has another name in its own header")
        end = body + name_size + extra_size + entry.compress_size
        if end > directory:
            raise UnsafeError(f"{name}: archive entry {shown} reaches into the archive's directory")
