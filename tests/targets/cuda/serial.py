"""Kernels without a GPU: their text compiled as C++, every thread of every block one after the other.

For kernels whose threads share nothing: no barriers, no shared memory, no atomics.
"""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from edgegate.targets.cuda_network.launch import Argument, Part
from edgegate.targets.cuda_network.network import Network
from edgegate.targets.cuda_network.program import ARENA, CONSTANT, Constants, describe

GUARD = 256
"""Bytes before and behind everything."""
MOST = 12
"""Parameters of a kernel."""
BEFORE = """
#include <algorithm>
#include <cstdint>
using std::max; using std::min;
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(n)
#define __clz(x) __builtin_clz(x)
#define __clzll(x) __builtin_clzll(x)
struct Place { int x, y, z; };
static thread_local Place blockIdx, threadIdx;
"""
CASES = "\n".join(
    f"case {n}: ((void (*)({', '.join(['void*'] * n)}))f)({', '.join(f'a[{i}]' for i in range(n))}); break;"
    for n in range(1, MOST + 1)
)
AFTER = f"""
extern "C" void run_serially(void* f, const int* grid, int threads, void** a, int count)
{{
    for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x)
                for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x)
                    switch (count) {{ {CASES} }}
}}
"""


class Serial:
    """Kernels that run on the processor, in memory that holds rubbish first.

    Args:
        text: The kernels.
        folder: For the compiler's files.
    """

    def __init__(self, text: str, folder: Path) -> None:
        (folder / "kernels.cpp").write_text(BEFORE + text.replace("#include <cuda.h>", "") + AFTER)
        command = ["g++", "-O0", "-w", "-shared", "-fPIC", "-fwrapv", "-o", "kernels.so", "kernels.cpp"]
        subprocess.run(command, cwd=folder, check=True)
        self._library = ctypes.CDLL(str(folder / "kernels.so"))

    def run(self, network: Network, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """The outputs, as bytes; everything has memory of its own, and no byte around it may change."""
        memory: dict[Any, np.ndarray] = {w: rubbish(size + 2 * GUARD) for w, size in network.sizes().items()}
        before = {w: m.copy() for w, m in memory.items()}
        for whole, data in zip(network.inputs, inputs, strict=True):
            memory[whole][GUARD:-GUARD] = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)

        def place(argument: Argument) -> int:
            if isinstance(argument, np.ndarray):
                return argument.ctypes.data
            whole, offset = (argument.whole, argument.offset) if isinstance(argument, Part) else (argument, 0)
            return memory[whole].ctypes.data + GUARD + offset

        for launch in network.launches:
            constants = [np.ascontiguousarray(a) if isinstance(a, np.ndarray) else a for a in launch.places()]
            self._start(launch.kernel, launch.grid, launch.threads, [place(a) for a in constants])
        for whole, m in memory.items():
            for guard in (slice(GUARD), slice(-GUARD, None)):
                assert np.array_equal(m[guard], before[whole][guard]), "a kernel writes past an end"
        return [memory[v][GUARD:-GUARD] for v in network.outputs]

    def run_described(self, network: Network, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """The outputs, and what lies behind them, in the memory that the program on the device has."""
        constants = Constants()
        described = describe(network, constants)
        kept = np.append(constants.data(), np.zeros(1, np.uint8))
        pieces = {ARENA: rubbish(described["arena"]), CONSTANT: kept}
        for (where, offset), data in zip(described["inputs"], inputs, strict=True):
            pieces[where][offset : offset + data.nbytes] = np.frombuffer(data.tobytes(), np.uint8)
        for launch in described["launches"]:
            addresses = [pieces[where].ctypes.data + offset for where, offset in launch["arguments"]]
            self._start(launch["kernel"], launch["grid"], launch["threads"], addresses)
        return [pieces[where][offset:] for where, offset in described["outputs"]]

    def _start(self, name: str, grid: Any, threads: int, addresses: list[int]) -> None:
        kernel = ctypes.cast(getattr(self._library, name), ctypes.c_void_p)
        places = (ctypes.c_void_p * len(addresses))(*addresses)
        self._library.run_serially(kernel, (ctypes.c_int * 3)(*grid), threads, places, len(addresses))


def rubbish(size: int) -> np.ndarray:
    """Bytes at random."""
    return np.random.default_rng(size).integers(0, 256, size, np.uint8)
