"""A C artifact as a program: compiled by this machine's C compiler, called 64 samples at a time."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgegate import files
from edgegate._npz import Array
from edgegate.errors import FileError, ToolchainError
from edgegate.manifest import IOSpec, samples

WORD = 64
"""Samples of a call."""
FLAGS = ("-std=c99", "-O1", "-shared", "-fPIC")


class CProgram:
    """A compiled library with its input buffers. Not for two threads at a time.

    Args:
        contents: The artifact's files.
        inputs: As the manifest has them.
        outputs: As the manifest has them.

    Raises:
        ToolchainError: There is no C compiler.
        FileError: The artifact holds no program in C, or the compiler refuses it.
    """

    def __init__(self, contents: Mapping[str, bytes], inputs: Sequence[IOSpec], outputs: Sequence[IOSpec]) -> None:
        headers = [name for name in contents if name.endswith(".h")]
        if len(headers) != 1 or f"{headers[0][:-2]}.c" not in contents:
            raise FileError("the artifact holds no program in C: one file .h and one of its name .c")
        self.buffers: list[Array] = [np.zeros(s.stored_shape, s.stored_dtype) for s in inputs]
        """What the program reads, in its order: fill these before :meth:`run`."""
        self._samples = samples(inputs, outputs)
        self._outputs = outputs
        self._call = _compiled(headers[0][:-2], contents)

    def run(self) -> list[Array]:
        """Run on what the buffers hold."""
        rows = [buffer.reshape(self._samples, -1) != 0 for buffer in self.buffers]
        results = [np.zeros((self._samples, _size(s, self._samples)), s.stored_dtype) for s in self._outputs]
        for start in range(0, self._samples, WORD):
            given = [_words(bits[start : start + WORD]) for bits in rows]
            made = [np.zeros(_room(r), _kind(s)) for r, s in zip(results, self._outputs, strict=True)]
            self._call(*(array.ctypes.data_as(ctypes.c_void_p) for array in (*given, *made)))
            for result, array in zip(results, made, strict=True):
                part = result[start : start + WORD]
                rows_of = _bits(array) if array.dtype == np.uint64 else array.reshape(WORD, -1)
                np.copyto(part, rows_of[: len(part)], casting="unsafe")
        return [r.reshape(s.stored_shape) for r, s in zip(results, self._outputs, strict=True)]


def _size(spec: IOSpec, samples: int) -> int:
    return int(np.prod(spec.stored_shape)) // samples


def _kind(spec: IOSpec) -> type[np.generic]:
    """What the library writes: words of bits, or numbers."""
    return np.uint64 if spec.stored_dtype in ("uint8", "bool") else np.int32


def _room(result: Array) -> int:
    return result.shape[1] * (1 if result.dtype in (np.uint8, np.bool_) else WORD)


def _words(bits: Array) -> Array:
    """uint64 [bits] from bool [at most 64, bits]."""
    full = np.zeros((WORD, bits.shape[1]), np.bool_)
    full[: len(bits)] = bits
    return np.ascontiguousarray(np.packbits(full, axis=0, bitorder="little").T).view("<u8").reshape(-1)


def _bits(words: Array) -> Array:
    """uint8 [64, bits] from uint64 [bits]."""
    return np.unpackbits(words.view(np.uint8).reshape(-1, 8), axis=1, bitorder="little").T


def _compiled(prefix: str, contents: Mapping[str, bytes]) -> Any:
    """The function of the compiled program that takes words."""
    wanted = (os.environ.get("CC", ""), "cc", "gcc", "clang")
    compiler = next((found for name in wanted if name and (found := shutil.which(name))), None)
    if compiler is None:
        raise ToolchainError("no C compiler to run the program on this machine: install the package gcc")
    with tempfile.TemporaryDirectory(prefix="edgegate-") as folder:
        for name in (f"{prefix}.h", f"{prefix}.c"):
            files.write(os.path.join(folder, name), [contents[name]])
        library = os.path.join(folder, "program.so")
        command = [compiler, *FLAGS, f"-D{prefix.upper()}_WORD_BITS={WORD}", "-o", library, f"{prefix}.c"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = next(iter(done.stderr.strip().splitlines()), f"exit code {done.returncode}")
            raise FileError(f"{prefix}.c: {os.path.basename(compiler)} refuses it: {reason[:200]}")
        try:
            function = getattr(ctypes.CDLL(library), f"{prefix}_run_words")
        except (OSError, AttributeError) as e:
            raise FileError(f"{prefix}.c gives no program that loads: {e}") from e
    function.restype = None
    return function
