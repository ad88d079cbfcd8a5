"""Load a cubin and start kernels: the driver through ctypes, device memory by address."""

import ctypes

import instantiate

_cuda = None


def cuda():
    global _cuda
    if _cuda is None:
        _cuda = ctypes.CDLL("libcuda.so.1")
        _cuda.cuGetErrorString.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)]
        check(_cuda.cuInit(0), "cuInit")
    return _cuda


def check(code, what):
    if code:
        text = ctypes.c_char_p()
        _cuda.cuGetErrorString(code, ctypes.byref(text))
        raise RuntimeError(f"CUDA {what}: {(text.value or b'?').decode()} ({code})")


def ints(*names):
    return [(n, ctypes.c_int32) for n in names]


def pointers(*names):
    return [(n, ctypes.c_uint64) for n in names]


class Product(ctypes.Structure):
    _fields_ = ints("value_zero", "gate_zero", "multiplier", "shift", "zero_point", "low", "high")


class Sum(ctypes.Structure):
    _fields_ = ints("a_zero", "b_zero", "a_multiplier", "b_multiplier", "shift", "zero_point", "low", "high")


class Conv(ctypes.Structure):
    """As in conv_common.cu."""

    _fields_ = [
        *pointers("x", "weight", "out", "bias", "multiplier", "shift", "table", "gate", "residual", "sums"),
        *ints("images", "fill"),
        *[(n, ctypes.c_int32 * 2) for n in ("zero_point", "low", "high")],
        ("product", Product), ("gating", Product), ("sum", Sum),
    ]  # fmt: skip


class Squeeze(ctypes.Structure):
    """As in squeeze.cu."""

    _fields_ = [
        *pointers("sums", "down", "up", "bias_1", "multiplier_1", "shift_1", "bias_2", "multiplier_2", "shift_2", "table_1",
                  "table_2", "gate"),
        *ints("centre", "mean_multiplier", "mean_shift", "mean_zero", "mean_low", "mean_high", "zero_1", "low_1", "high_1",
              "zero_2", "low_2", "high_2"),
    ]  # fmt: skip


class _Attribute(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int32), ("pad", ctypes.c_int32), ("value", ctypes.c_int32 * 16)]


class _Config(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint32) for n in ("gx", "gy", "gz", "bx", "by", "bz", "shared")] + [
        ("stream", ctypes.c_void_p), ("attributes", ctypes.POINTER(_Attribute)), ("count", ctypes.c_uint32)
    ]  # fmt: skip


class Kernel:
    """An instance of a template."""

    def __init__(self, cubin, kind, **constants):
        self.kind, self.constants = kind, constants
        self._module, self._function = ctypes.c_void_p(), ctypes.c_void_p()
        check(cuda().cuModuleLoadData(ctypes.byref(self._module), ctypes.create_string_buffer(cubin)), "load")
        name = instantiate.ENTRY.get(kind, kind).encode()
        check(cuda().cuModuleGetFunction(ctypes.byref(self._function), self._module, name), "function")
        self.shared = instantiate.shared(kind, **constants)
        # As much shared memory as can be ("preferred carveout" 100), for more blocks at once. Depthwise needs L1 instead.
        if kind == "conv_mma":
            check(cuda().cuFuncSetAttribute(self._function, 9, 100), "carveout")
        if self.shared > 0:
            check(cuda().cuFuncSetAttribute(self._function, 8, self.shared), "shared memory")

    def prepare(self, parameters, images, multiprocessors, pdl=False):
        """A function of the stream that starts the kernel. pdl: by programmatic dependent launch (the constant PDL set too)."""
        gx, gy = instantiate.grid(self.kind, images, multiprocessors, **self.constants)
        attribute = _Attribute(6, 0)
        attribute.value[0] = 1
        config = _Config(gx, gy, 1, instantiate.threads(self.kind, **self.constants), 1, 1, self.shared, None,
                         ctypes.pointer(attribute), 1 if pdl else 0)  # fmt: skip
        arguments = (ctypes.c_void_p * 1)(ctypes.addressof(parameters))
        function, launch = self._function, cuda().cuLaunchKernelEx

        def start(stream, _keep=(parameters, attribute)):
            config.stream = stream
            code = launch(ctypes.byref(config), function, arguments, None)
            if code:
                check(code, f"launch {self.kind}")

        return start
