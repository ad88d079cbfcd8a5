"""Load a cubin, make tensor maps and start kernels: the driver through ctypes, device memory by address."""

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


def check(code: int, what: str) -> None:
    if code:
        text = ctypes.c_char_p()
        _cuda.cuGetErrorString(code, ctypes.byref(text))
        raise RuntimeError(f"{what}: {(text.value or b'?').decode()} ({code})")


class Finish(ctypes.Structure):
    """As in common.cu."""

    _fields_ = [(n, ctypes.c_uint64) for n in ("bias", "multiplier", "shift", "table")] + [
        (n, ctypes.c_int32) for n in ("all_multiplier", "all_shift", "zero_point", "low", "high")
    ]


UINT8, INT32 = 0, 3  # CUtensorMapDataType
PROMOTE_256B = 3


def tensor_map(address: int, rows: int, columns: int, box_rows: int, item: int = 1, width: int = 128):
    """A row-major matrix read or written in boxes of so many rows of ``width`` bytes, 32, 64 or 128, swizzled."""
    raw = ctypes.create_string_buffer(128 + 64)
    start = (ctypes.addressof(raw) + 63) // 64 * 64
    dims = (ctypes.c_uint64 * 2)(columns, rows)
    strides = (ctypes.c_uint64 * 1)(columns * item)
    box = (ctypes.c_uint32 * 2)(width // item, box_rows)
    steps = (ctypes.c_uint32 * 2)(1, 1)
    code = cuda().cuTensorMapEncodeTiled(
        ctypes.c_void_p(start), UINT8 if item == 1 else INT32, 2, ctypes.c_void_p(address), dims, strides, box, steps,
        0, {32: 1, 64: 2, 128: 3}[width], PROMOTE_256B, 0,
    )  # fmt: skip
    check(code, f"tensor map of {rows} x {columns}, box {box_rows}")
    found = (ctypes.c_char * 128).from_buffer(raw, start - ctypes.addressof(raw))
    found.keep = raw
    return found


class Kernel:
    """An instance of a template."""

    def __init__(self, cubin: bytes, kind: str, **given: int) -> None:
        self.kind, self.constants = kind, instantiate.constants(kind, **given)
        self._module, self._function = ctypes.c_void_p(), ctypes.c_void_p()
        check(cuda().cuModuleLoadData(ctypes.byref(self._module), ctypes.create_string_buffer(cubin)), "load")
        name = kind.encode() if kind in ("gemv", "thin") else b"gemm"
        check(cuda().cuModuleGetFunction(ctypes.byref(self._function), self._module, name), "function")
        self.shared = instantiate.shared(kind, **given)
        self.threads = instantiate.threads(kind, **given)
        if self.shared > 48 << 10:
            check(cuda().cuFuncSetAttribute(self._function, 8, self.shared), "shared memory")

    def prepare(self, a: int, b: int, out: int, m: int, n: int, k: int, finish: Finish, multiprocessors: int):
        """A function of the stream that starts the kernel on these matrices."""
        c = self.constants
        item = 1 if c["OUT_INT8"] else 4
        sizes = [ctypes.c_int32(m), ctypes.c_int32(n), ctypes.c_int32(k), finish]
        if self.kind == "gemm_sm90":
            map_a = tensor_map(a, m, k, c["TILE_M"] // c["CLUSTER_N"])
            map_b = tensor_map(b, n, k, c["TILE_N"] // c["CLUSTER_M"])
            # A map is a parameter in any case; without STORE_TMA nothing reads it.
            map_c = tensor_map(out, m, n, 16, item, min(128, c["TILE_N"] * item)) if c["STORE_TMA"] else map_a
            arguments = [map_a, map_b, map_c, ctypes.c_uint64(out), *sizes]
        elif self.kind == "small_sm90":
            map_t = tensor_map(a, m, k, c["TILE_T"] // c["TOGETHER"])
            map_w = tensor_map(b, n, k, 64 * c["CONSUMERS"])
            arguments = [map_t, map_w, ctypes.c_uint64(out), *sizes]
        else:
            arguments = [ctypes.c_uint64(a), ctypes.c_uint64(b), ctypes.c_uint64(out), *sizes]
        pointers = (ctypes.c_void_p * len(arguments))(*[ctypes.addressof(x) for x in arguments])
        across, down = instantiate.grid(self.kind, m, n, multiprocessors, **self.constants)
        launch, function, shape = cuda().cuLaunchKernel, self._function, (across, down, 1, self.threads, 1, 1, self.shared)

        def start(stream: int, _keep=arguments) -> None:
            code = launch(function, *shape, ctypes.c_void_p(stream), pointers, None)
            if code:
                check(code, "launch")

        return start
