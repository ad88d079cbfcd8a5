"""NVIDIA's driver, on: streams, what was started on one as a graph, and what kernels take beside pointers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from edgegate._cuda_driver import Pointer, call, library
from edgegate._npz import Array

NON_BLOCKING, THREAD_LOCAL = 1, 1  # CUstream_flags, CUstreamCaptureMode
MAP_TYPES, SWIZZLES, PROMOTE_256 = {1: 0, 4: 3}, {32: 1, 64: 2, 128: 3}, 3  # CUtensorMap*


class Stream:
    """Work that is done in its order, beside that of other streams."""

    def __init__(self) -> None:
        self._stream = ctypes.c_void_p()
        call("cuStreamCreate", ctypes.byref(self._stream), NON_BLOCKING)

    @property
    def handle(self) -> int:
        """The driver's."""
        return int(self._stream.value or 0)

    def write(self, address: int, data: Array) -> None:
        """Copy an array to the device."""
        source = ctypes.c_void_p(data.ctypes.data)
        call("cuMemcpyHtoDAsync_v2", Pointer(address), source, ctypes.c_size_t(data.nbytes), self._stream)

    def read(self, address: int, into: Array) -> None:
        """Fill an array from the device; it is there after :meth:`synchronize`."""
        target = ctypes.c_void_p(into.ctypes.data)
        call("cuMemcpyDtoHAsync_v2", target, Pointer(address), ctypes.c_size_t(into.nbytes), self._stream)

    def synchronize(self) -> None:
        """Wait for all that was started; errors of kernels are told here."""
        call("cuStreamSynchronize", self._stream, what="a kernel failed")

    def __del__(self) -> None:
        if getattr(self, "_stream", None):
            library().cuStreamDestroy_v2(self._stream)


class Graph:
    """What was started on a stream, to be started again as a whole.

    Args:
        stream: Of the driver; nothing runs on it meanwhile.
        start: Starts the work on ``stream``.
    """

    def __init__(self, stream: Stream, start: Callable[[], object]) -> None:
        self._graph, handle = ctypes.c_void_p(), ctypes.c_void_p(stream.handle)
        call("cuStreamBeginCapture_v2", handle, THREAD_LOCAL)
        captured = ctypes.c_void_p()
        try:
            start()
        finally:
            call("cuStreamEndCapture", handle, ctypes.byref(captured), what="the kernels cannot be captured")
        try:
            call(
                "cuGraphInstantiateWithFlags", ctypes.byref(self._graph), captured, ctypes.c_ulonglong(0),
                what="the graph of kernels",
            )  # fmt: skip
        finally:
            library().cuGraphDestroy(captured)

    def launch(self, stream: int) -> None:
        """Start it; returns at once."""
        call("cuGraphLaunch", self._graph, ctypes.c_void_p(stream), what="the graph of kernels")

    def __del__(self) -> None:
        if getattr(self, "_graph", None):
            library().cuGraphExecDestroy(self._graph)


def struct(pointers: Sequence[int], numbers: Sequence[int]) -> ctypes.Structure:
    """A struct of pointers and of int32 behind them, to be given to a kernel by value."""
    fields = [(f"p{i}", ctypes.c_uint64) for i in range(len(pointers))]
    fields += [(f"n{i}", ctypes.c_int32) for i in range(len(numbers))]  # type: ignore[misc]
    made = type("Struct", (ctypes.Structure,), {"_fields_": fields})
    found: ctypes.Structure = made(*pointers, *numbers)
    return found


def tensor_map(address: int, rows: int, columns: int, box: int, item: int, width: int) -> Any:
    """A CUtensorMap, 128 bytes at a multiple of 64: a row-major matrix, read or written in swizzled boxes.

    Args:
        address: Where it begins, a multiple of 16.
        rows: Of the matrix.
        columns: Of the matrix; its rows lie one behind the other.
        box: Rows of a box.
        item: Bytes of an element: 1 or 4.
        width: Bytes of a row of a box: 32, 64 or 128.
    """
    raw = ctypes.create_string_buffer(128 + 64)
    start = (ctypes.addressof(raw) + 63) // 64 * 64
    dims, strides = (ctypes.c_uint64 * 2)(columns, rows), (ctypes.c_uint64 * 1)(columns * item)
    sizes, steps = (ctypes.c_uint32 * 2)(width // item, box), (ctypes.c_uint32 * 2)(1, 1)
    kinds = MAP_TYPES[item], 2, Pointer(address), dims, strides, sizes, steps, 0, SWIZZLES[width], PROMOTE_256, 0
    call("cuTensorMapEncodeTiled", ctypes.c_void_p(start), *kinds, what=f"a map of {rows} x {columns}")
    found = (ctypes.c_char * 128).from_buffer(raw, start - ctypes.addressof(raw))
    return found
