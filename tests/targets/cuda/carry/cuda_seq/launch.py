"""Load a cubin and start a kernel through the driver: clusters, cooperative and dependent launches."""

import ctypes

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


class Attribute(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int), ("pad", ctypes.c_int), ("value", ctypes.c_int * 16)]


class Config(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint) for n in ("gx", "gy", "gz", "bx", "by", "bz", "shared")] + [
        ("stream", ctypes.c_void_p), ("attributes", ctypes.POINTER(Attribute)), ("count", ctypes.c_uint)]  # fmt: skip


MAX_SHARED, NON_PORTABLE_CLUSTER = 8, 14
COOPERATIVE, DEPENDENT = 2, 6


class Kernel:
    def __init__(self, cubin, name, shared=0, large_cluster=False):
        self._module, self._function, self.shared = ctypes.c_void_p(), ctypes.c_void_p(), shared
        check(cuda().cuModuleLoadData(ctypes.byref(self._module), ctypes.create_string_buffer(cubin)), "load")
        check(cuda().cuModuleGetFunction(ctypes.byref(self._function), self._module, name.encode()), "function")
        if shared > 48 << 10:
            check(cuda().cuFuncSetAttribute(self._function, MAX_SHARED, shared), "shared memory")
        if large_cluster:
            check(cuda().cuFuncSetAttribute(self._function, NON_PORTABLE_CLUSTER, 1), "cluster of more than 8")

    def prepare(self, arguments, grid, threads, cooperative=False, dependent=False):
        """A function of the stream that starts it. ``arguments``: torch tensors (their address), ctypes values or None."""
        values = [ctypes.c_uint64(0 if a is None else a.data_ptr()) if a is None or hasattr(a, "data_ptr") else a for a in arguments]
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(v) for v in values])
        attributes = (Attribute * 2)()
        count = 0
        for wanted, number in ((cooperative, COOPERATIVE), (dependent, DEPENDENT)):
            if wanted:
                attributes[count].id, attributes[count].value[0] = number, 1
                count += 1
        config = Config(grid[0], grid[1], 1, threads, 1, 1, self.shared, None, attributes, count)
        launch, function = cuda().cuLaunchKernelEx, self._function

        def start(stream, _keep=(values, arguments)):
            config.stream = stream
            code = launch(ctypes.byref(config), function, pointers, None)
            if code:
                check(code, "launch")

        return start
