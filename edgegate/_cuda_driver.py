"""NVIDIA's driver through ctypes: what it takes to load a kernel and run it, and nothing more.

No compiler, no toolkit and no framework: ``libcuda.so.1`` comes with the driver. Contexts are the primary ones, which
PyTorch, CuPy and TVM use too, so that their device memory can be read and written.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np

from edgegate._npz import Array
from edgegate.errors import FileError, InputError

LIBRARY = "libcuda.so.1"
OUT_OF_MEMORY, NO_BINARY = 2, (209, 218, 222, 200)  # CUresult: cuda.h
MULTIPROCESSORS, MAJOR, MINOR, SHARED = 16, 75, 76, 97  # CUdevice_attribute
DYNAMIC_SHARED = 8  # CUfunction_attribute
Pointer = ctypes.c_uint64


@cache
def library() -> ctypes.CDLL:
    """The driver.

    Raises:
        InputError: There is none.
    """
    try:
        found = ctypes.CDLL(LIBRARY)
    except OSError as e:
        raise InputError("this machine has no NVIDIA driver: libcuda.so.1 is not there") from e
    found.cuGetErrorString.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)]
    _check(found.cuInit(0), "the driver does not start", found)
    return found


def _check(code: int, what: str, driver: ctypes.CDLL | None = None) -> None:
    if code == 0:
        return
    text = ctypes.c_char_p()
    (driver or library()).cuGetErrorString(code, ctypes.byref(text))
    reason = (text.value or b"unknown error").decode()
    if code in NO_BINARY:
        raise FileError(f"{what}: {reason} (CUDA error {code})")
    raise InputError(f"{what}: {reason} (CUDA error {code})")


def call(function: str, *arguments: Any, what: str = "") -> None:
    """Call a function of the driver; what it returns other than 0 becomes an error.

    Raises:
        InputError: The call failed; says ``what``, and the driver's reason.
        FileError: The program is none for this device.
    """
    _check(getattr(library(), function)(*arguments), what or function)


class Device:
    """A GPU, with its primary context.

    Args:
        index: As the driver numbers them.

    Raises:
        InputError: There is no driver or no such device.
    """

    def __init__(self, index: int = 0) -> None:
        count = ctypes.c_int()
        call("cuDeviceGetCount", ctypes.byref(count))
        if not 0 <= index < count.value:
            raise InputError(f"there is no CUDA device {index}: this machine has {count.value}")
        device = ctypes.c_int()
        call("cuDeviceGet", ctypes.byref(device), index)
        self._device = device
        self._context = ctypes.c_void_p()
        call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device, what="no context on the device")
        self.use()

    def use(self) -> None:
        """Make this the device of the calling thread."""
        call("cuCtxSetCurrent", self._context)

    def attribute(self, number: int) -> int:
        """An attribute by its number in cuda.h."""
        found = ctypes.c_int()
        call("cuDeviceGetAttribute", ctypes.byref(found), number, self._device)
        return found.value

    @cached_property
    def name(self) -> str:
        """As the driver has it: "NVIDIA H200"."""
        text = ctypes.create_string_buffer(100)
        call("cuDeviceGetName", text, 100, self._device)
        return text.value.decode()

    @cached_property
    def capability(self) -> int:
        """Major times 10 plus minor: 90 for an H200."""
        return 10 * self.attribute(MAJOR) + self.attribute(MINOR)

    @cached_property
    def multiprocessors(self) -> int:
        """How many there are."""
        return self.attribute(MULTIPROCESSORS)

    @cached_property
    def shared(self) -> int:
        """Most bytes of shared memory of a block."""
        return self.attribute(SHARED)

    def synchronize(self) -> None:
        """Wait for all that was started; errors of kernels are told here."""
        call("cuCtxSynchronize", what="a kernel failed")


class Memory:
    """Bytes on the current device, freed with the object."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._pointer = Pointer()
        call(
            "cuMemAlloc_v2", ctypes.byref(self._pointer), ctypes.c_size_t(max(size, 1)), what=f"{size} bytes on the GPU"
        )

    @classmethod
    def of(cls, data: Array) -> Memory:
        """A copy of an array."""
        memory = cls(data.nbytes)
        memory.write(data)
        return memory

    @property
    def pointer(self) -> int:
        """The address on the device."""
        return self._pointer.value

    def write(self, data: Array) -> None:
        """Copy an array to the start of this memory."""
        data = np.ascontiguousarray(data)
        if data.nbytes > self.size:
            raise ValueError(f"{data.nbytes} bytes do not fit in {self.size}")
        call("cuMemcpyHtoD_v2", self._pointer, ctypes.c_void_p(data.ctypes.data), ctypes.c_size_t(data.nbytes))

    def read(self, into: Array) -> Array:
        """Fill an array from the start of this memory; waits for what was started before."""
        if into.nbytes > self.size or not into.flags.c_contiguous:
            raise ValueError(f"{into.nbytes} bytes cannot be read from {self.size}")
        call("cuMemcpyDtoH_v2", ctypes.c_void_p(into.ctypes.data), self._pointer, ctypes.c_size_t(into.nbytes))
        return into

    def fill(self, byte: int) -> None:
        """Set every byte."""
        call("cuMemsetD8_v2", self._pointer, ctypes.c_ubyte(byte), ctypes.c_size_t(self.size))

    def __del__(self) -> None:
        if getattr(self, "_pointer", None):
            library().cuMemFree_v2(self._pointer)


class Module:
    """A cubin or PTX, loaded on the current device.

    Raises:
        FileError: It is none for this device.
    """

    def __init__(self, image: bytes) -> None:
        self._module = ctypes.c_void_p()
        text = ctypes.create_string_buffer(image)  # ends in 0, as PTX must
        call("cuModuleLoadData", ctypes.byref(self._module), text, what="the program is none for this GPU")

    def kernel(self, name: str) -> Kernel:
        """A kernel by its name."""
        function = ctypes.c_void_p()
        call("cuModuleGetFunction", ctypes.byref(function), self._module, name.encode(), what=f"kernel {name}")
        return Kernel(function)


class Kernel:
    """A function of a module."""

    def __init__(self, function: ctypes.c_void_p) -> None:
        self._function = function

    def allow_shared(self, size: int) -> None:
        """Let the kernel have this many bytes of shared memory beside its own."""
        call("cuFuncSetAttribute", self._function, DYNAMIC_SHARED, size, what=f"{size} bytes of shared memory")

    def launch(
        self, grid: int | tuple[int, ...], block: int, arguments: Sequence[Any], *, shared: int = 0,
        stream: int | None = None,
    ) -> None:  # fmt: skip
        """Start the kernel; returns at once.

        Args:
            grid: Blocks, along one to three axes.
            block: Threads of a block.
            arguments: Of ctypes, in the kernel's order.
            shared: Bytes of shared memory of a block.
            stream: The driver's handle; None: the default stream.
        """
        pointers = (ctypes.c_void_p * len(arguments))(*[ctypes.addressof(a) for a in arguments])
        blocks = (grid,) if isinstance(grid, int) else grid
        sizes = (*blocks, *(1,) * (3 - len(blocks)), block, 1, 1, shared)
        call("cuLaunchKernel", self._function, *sizes, ctypes.c_void_p(stream), pointers, None, what="a kernel")


class Event:
    """A point in the default stream."""

    def __init__(self) -> None:
        self._event = ctypes.c_void_p()
        call("cuEventCreate", ctypes.byref(self._event), 0)

    def record(self) -> None:
        """Here."""
        call("cuEventRecord", self._event, None)

    def since(self, other: Event) -> float:
        """Milliseconds from the other event to this one; waits for this one."""
        call("cuEventSynchronize", self._event, what="a kernel failed")
        found = ctypes.c_float()
        call("cuEventElapsedTime", ctypes.byref(found), other._event, self._event)
        return found.value

    def __del__(self) -> None:
        if getattr(self, "_event", None):
            library().cuEventDestroy_v2(self._event)
