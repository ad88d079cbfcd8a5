"""Arrays in .npz and .npy files, read without pickle and within the bytes that the file really has.

numpy's own reader makes an array of whatever size a header claims and unpickles where asked to;
here a header must agree with the bytes that follow it.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from tokenize import TokenError  # from numpy's parser of .npy headers
from typing import Any

import numpy as np

from edgegate import _zip, files
from edgegate.errors import FileError, UnsafeError

Array = np.ndarray[Any, np.dtype[Any]]

LIMIT = 4 << 30
"""Most bytes of arrays read from one file."""
NPY = b"\x93NUMPY"
AXES = 16
"""Most axes of an array, as for the inputs and outputs of an artifact."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What numpy writes; other ways to compress may be missing from a Python."""


def load(path: files.Path) -> dict[str, Array]:
    """The arrays of a .npz file by name, or the one array of a .npy file under the name "".

    Raises:
        FileError: Missing, truncated, or neither format.
        UnsafeError: It holds Python objects, or more than :data:`LIMIT` bytes.
    """
    data = files.read(path, LIMIT)
    try:
        return {"": _array(data)} if data.startswith(NPY) else unpack(data)
    except (FileError, UnsafeError) as e:
        raise type(e)(f"{files.show(path)}: {e}") from e


def pack(arrays: Mapping[str, Array]) -> bytes:
    """The bytes of a .npz file that holds ``arrays``: not compressed, same arrays same bytes."""
    entries = {}
    for name, array in arrays.items():
        stream = io.BytesIO()
        np.lib.format.write_array(stream, np.asarray(array), version=(1, 0), allow_pickle=False)
        entries[f"{name}.npy"] = stream.getvalue()
    return b"".join(_zip.pack(entries))


def unpack(data: bytes) -> dict[str, Array]:
    """The arrays in a .npz file, compressed or not, by name.

    Raises:
        FileError: Not a .npz file, or a damaged one.
        UnsafeError: It holds Python objects, or more than :data:`LIMIT` bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sum(e.file_size for e in entries) > LIMIT:
                raise UnsafeError(f"more than {LIMIT} bytes when unpacked")
            if other := {e.compress_type for e in entries} - {*METHODS}:
                raise FileError(f"not a .npz file that numpy wrote: compressed by method {min(other)}")
            arrays = {e.filename.removesuffix(".npy"): _array(archive.read(e)) for e in entries}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as e:
        raise FileError(f"not a .npz file, or a damaged one ({' '.join(str(e).split())[:80]})") from e
    if len(arrays) != len(entries):
        raise UnsafeError("two arrays have one name")
    return arrays


def _array(data: bytes) -> Array:
    """The array in a .npy file; a copy, in native byte order only if the file has that."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version}")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        if min(shape, default=0) < 0 or len(shape) > AXES:
            raise ValueError(f"shape {shape}")
    except (ValueError, EOFError, OverflowError, SyntaxError, TokenError, RecursionError, MemoryError) as e:
        raise FileError(f"a damaged .npy array ({' '.join(str(e).split())[:80]})") from e
    if dtype.hasobject or dtype.kind not in "biuf":
        raise UnsafeError(f"arrays of {dtype} are not read, only numbers")
    if math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise FileError("truncated: an array has not the bytes that its header tells")
    flat = np.frombuffer(data, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C").copy()
