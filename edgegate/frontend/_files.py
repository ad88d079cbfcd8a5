"""Opening a file of unknown origin: its kind by content, and the limits that hold for all kinds.

What is *unsafe* and what is merely *broken* is decided by meaning. A file that asks for something
harmful (to run code, to read another file, to take more memory than its own bytes can fill, to be
read differently by two parsers) is refused with :class:`UnsafeError`. A file whose bytes are missing
or make no sense (truncated, wrong checksum, no known format) is a :class:`FileError`.
"""

from __future__ import annotations

import os
import stat
from enum import Enum
from pathlib import Path

from edgegate.errors import FileError, UnsafeError

MIB = 1 << 20
FILE_LIMIT = 16 << 30
"""Largest file read into memory, in bytes."""
VALUE_LIMIT = 1 << 30
"""Largest value (activation or folded constant) of a model, in bytes."""
FOLD_LIMIT = 1 << 30
"""Most bytes that constant folding may ever make in one model."""
NODE_LIMIT = 100_000
"""Most nodes of a model, function calls expanded."""

WAY_OUT = (
    "save it with edgegate.save(module, example, path), or give its state_dict (or .safetensors) "
    "together with --model package.module:factory"
)


class Kind(Enum):
    """What a file holds, found in its first bytes; the ending of its name says nothing."""

    ZIP = "zip archive"
    SAFETENSORS = "safetensors"
    ONNX = "ONNX"
    AIGER = "AIGER"
    BLIF = "BLIF"


def read(path: str | os.PathLike[str]) -> bytes:
    """All bytes of the regular file at ``path``.

    Raises:
        FileError: It is missing, empty, not a regular file, not readable or above :data:`FILE_LIMIT`.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileError(f"{show(name)}: not a regular file")
            if status.st_size > FILE_LIMIT:
                raise FileError(f"{show(name)}: {size(status.st_size)}, the limit is {size(FILE_LIMIT)}")
            if status.st_size == 0:
                raise FileError(f"{show(name)}: empty file")
            _check_protobuf_size(name, file.read(64), status.st_size)
            file.seek(0)
            return file.read()
    except IsADirectoryError:
        raise FileError(f"{show(name)}: a folder, not a model file") from None
    except ValueError:  # a NUL inside the name
        raise FileError(f"{show(name)}: not a file name") from None
    except OSError as error:
        raise FileError(f"{show(name)}: {error.strerror or error}") from None


def kind(data: bytes, name: str) -> Kind:
    """The format of ``data``, from its content.

    Raises:
        UnsafeError: A format that is a program by design: a bare pickle, a tar, a compiled library.
        FileError: No format that is known.
    """
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return Kind.ZIP
    if data[8:9] == b"{" and data[4:8] == bytes(4):  # its length comes first, and may begin as a pickle does
        return Kind.SAFETENSORS
    if data[:1] == b"\x80" and data[1:2] in (b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"):
        raise UnsafeError(f"{show(name)}: a bare pickle (old torch.save format) runs code when read; {WAY_OUT}")
    if data[257:262] == b"ustar":
        raise UnsafeError(f"{show(name)}: a tar archive (old torch.save format) is never unpacked; {WAY_OUT}")
    if data[:4] == b"\x7fELF":
        raise UnsafeError(f"{show(name)}: a compiled program, not a model; {WAY_OUT}")
    if data[8:9] == b"{" and len(data) > 9:
        return Kind.SAFETENSORS
    # Protobuf has no magic number. Field 1 of a ModelProto (ir_version, a varint) or field 7 (graph,
    # a message) comes first in what every writer produces.
    if data[:1] in (b"\x08", b"\x3a", b"\x42"):
        return Kind.ONNX
    return _circuit(data, name)


def _circuit(data: bytes, name: str) -> Kind:
    """AIGER or BLIF, which are text at their beginning."""
    if data[:4] in (b"aag ", b"aig "):
        return Kind.AIGER
    if _is_blif(data):
        return Kind.BLIF
    known = "a torch.export archive, a state_dict, a safetensors, an ONNX, an AIGER nor a BLIF file"
    raise FileError(f"{show(name)}: neither {known}")


def _is_blif(data: bytes) -> bool:
    """Whether the first line that is no comment begins with ``.model``."""
    lines = (line.strip() for line in data[:65536].split(b"\n"))
    first = next((line for line in lines if line and not line.startswith(b"#")), b"")
    return first.split()[:1] == [b".model"]


def show(name: str | os.PathLike[str]) -> str:
    """The last part of a path, printable: error messages must not depend on the machine's folders."""
    text = os.fspath(name).replace("\0", "?")
    return printable(Path(text).name or text or "empty path")  # "." and "/" have no last part


def printable(text: object, limit: int = 120) -> str:
    """``text`` in one line of at most ``limit`` characters, without terminal control characters."""
    line = "".join(c if c.isprintable() else " " for c in str(text)[: limit * 4])
    line = " ".join(line.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def size(count: int) -> str:
    """A byte count for people: 1536 is ``1.5 KiB``."""
    value, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.4g} {units[0]}"


def _open_without_waiting(name: str, flags: int) -> int:
    """Open so that a FIFO does not block: it is refused afterwards as no regular file."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _check_protobuf_size(name: str, head: bytes, count: int) -> None:
    """A single protobuf message ends at 2 GiB; say what to do instead of failing inside the parser."""
    if count >= 1 << 31 and len(head) > 9 and head[:1] == b"\x08" and head[8:9] != b"{":
        raise FileError(
            f"{show(name)}: {size(count)} in one ONNX file, protobuf ends at 2 GiB; "
            "save the model with external data: onnx.save(model, path, save_as_external_data=True)"
        )
