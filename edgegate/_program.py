"""A compiled program in this process: the only module that loads foreign machine code.

The bytes that were checked are the bytes that run: they go into a sealed memory file, which nobody can
change, and that is what the dynamic loader maps. The loader knows a library by its path, so a memory
file that was closed would lend its path, /proc/self/fd/N, to the next one, and the loader would hand out
the old program again. Hence each program is loaded once, and its memory file stays open with it.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgegate import files
from edgegate._npz import Array
from edgegate.errors import FileError, InputError
from edgegate.manifest import IOSpec

MFD_EXEC = 0x10  # linux/memfd.h, since 6.3: needed where vm.memfd_noexec is 1
ALIGNMENT = 64  # tvm::runtime::kAllocAlignment
SHARE_ALL_CORES = -3  # tvm::runtime::threading::ThreadGroup::kSpecifyThreadShareAllCore
_libraries: dict[str, Any] = {}
_lock = threading.Lock()
_pool = threading.local()


def processors() -> list[int]:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


class Program:
    """A Relax VM program with its input buffers. Not for two threads at a time."""

    def __init__(self, library: bytes, inputs: Sequence[IOSpec], *, device: str, threads: int) -> None:
        module = _loaded(library)
        import tvm

        try:
            self._device = tvm.runtime.device(device)
            if not self._device.exist:
                raise InputError(f"this machine has no device {device!r}")
            self._main = tvm.runtime.vm.VirtualMachine(module, self._device)["main"]
        except (RuntimeError, AttributeError, ValueError) as e:
            raise FileError(f"program.so is no program of TVM {tvm.__version__}: {_first_line(e)}") from e
        self._threads = threads
        self._host = device == "cpu"
        self._borrowed: dict[int, Any] = {}
        self._tensors = [tvm.runtime.empty(s.stored_shape, s.stored_dtype, self._device) for s in inputs]
        self.buffers: list[Array] = [
            np.from_dlpack(t) if self._host else np.empty(s.stored_shape, s.stored_dtype)
            for t, s in zip(self._tensors, inputs, strict=True)
        ]
        """What the program reads, in its order: fill these before :meth:`run`."""

    def borrow(self, index: int, array: Array) -> bool:
        """Let the next run read ``array`` itself in the place of a buffer; False if it cannot, as it lies in memory."""
        own = self.buffers[index]
        fits = self._host and array.dtype == own.dtype and array.shape == own.shape and array.ndim > 0
        if not fits or not (array.flags.c_contiguous and array.flags.writeable) or array.ctypes.data % ALIGNMENT:
            return False
        import tvm

        self._borrowed[index] = tvm.runtime.from_dlpack(array)
        return True

    def run(self) -> list[Array]:
        """Run on what the buffers hold; the outputs share memory with the program until the next run."""
        _use_threads(self._threads)
        if not self._host:
            for tensor, buffer in zip(self._tensors, self.buffers, strict=True):
                tensor.copyfrom(buffer)
        tensors = [self._borrowed.pop(i, tensor) for i, tensor in enumerate(self._tensors)]
        result = self._main(*tensors)
        outputs = [result] if hasattr(result, "numpy") else list(result)
        return [np.from_dlpack(o) if self._host else o.numpy() for o in outputs]


def aligned(dims: Sequence[int], dtype: Any) -> Array:
    """A new array of zeros that a program can read as it lies in memory."""
    size = math.prod(dims) * np.dtype(dtype).itemsize
    whole = np.zeros(size + ALIGNMENT, np.uint8)
    start = -whole.ctypes.data % ALIGNMENT
    return np.asarray(whole[start : start + size].view(dtype).reshape(dims))


def _loaded(library: bytes) -> Any:
    """TVM's module for the shared library in ``library``; the same bytes are loaded once."""
    key = hashlib.sha256(library).hexdigest()
    with _lock:
        if key not in _libraries:
            _libraries[key] = _load(library, key)
        return _libraries[key]


def _load(library: bytes, key: str) -> Any:
    import tvm  # registers the runtime that the library calls
    import tvm_ffi

    # load_module() would ask for a path that ends in .so
    load = tvm_ffi.get_global_func("ffi.Module.load_from_file.so")
    try:
        descriptor = _memory_file(library)
        if descriptor is not None:
            return load(f"/proc/self/fd/{descriptor}", "so")
        with tempfile.TemporaryDirectory(prefix="edgegate-") as folder:  # mode 0700: ours alone
            path = os.path.join(folder, f"{key}.so")
            files.write(path, [library])
            return load(path, "so")
    except RuntimeError as e:
        raise FileError(f"program.so cannot be loaded by TVM {tvm.__version__}: {_first_line(e)}") from e


def _memory_file(data: bytes) -> int | None:
    """The descriptor of a sealed memory file that holds ``data``; None where there are none."""
    if not hasattr(os, "memfd_create"):
        return None
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        descriptor = os.memfd_create("edgegate", flags | MFD_EXEC)
    except OSError:  # an older kernel does not know the flag
        try:
            descriptor = os.memfd_create("edgegate", flags)
        except OSError:
            return None
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
    fcntl.fcntl(
        descriptor,
        fcntl.F_ADD_SEALS,
        fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE,
    )
    return descriptor


def _use_threads(count: int) -> None:
    """Let TVM use ``count`` threads from here on: its pool belongs to the calling thread."""
    if getattr(_pool, "count", None) == count:
        return
    import tvm_ffi

    # Named one by one and shared by all threads: TVM would count physical cores, and pin the caller.
    names = [str(i) for i in processors()]
    tvm_ffi.get_global_func("runtime.config_threadpool")(SHARE_ALL_CORES, count, names)
    _pool.count = count


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
