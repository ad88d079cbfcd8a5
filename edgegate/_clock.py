"""How fast this core's clock is, measured: what a bound in cycles is in nanoseconds here.

Neither the kernel nor a virtual machine says it truly. A loop that counts down takes one cycle a round on every
processor that matters, so a few instructions of machine code are timed.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import time

ROUNDS = 1 << 21
"""About a millisecond."""
TRIES = 9
COUNT_DOWN = {
    "x86_64": bytes.fromhex("48ffcf 75fb c3"),  # l: dec rdi; jnz l; ret
    "aarch64": bytes.fromhex("000400f1 e1ffff54 c0035fd6"),  # l: subs x0, x0, #1; b.ne l; ret
}
"""A function of the number of rounds, by architecture."""


def gigahertz() -> float | None:
    """Cycles a nanosecond of the core that runs this, at its fastest; None where it cannot be measured."""
    code = COUNT_DOWN.get(platform.machine())
    if code is None or not hasattr(mmap, "PROT_EXEC"):
        return None
    try:
        memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:  # a system that lets nobody write what is executed
        return None
    memory.write(code)
    here = ctypes.c_char.from_buffer(memory)
    loop = ctypes.CFUNCTYPE(None, ctypes.c_uint64)(ctypes.addressof(here))
    nanoseconds = min(_timed(loop) for _ in range(TRIES))
    return ROUNDS / nanoseconds


def _timed(loop: object) -> int:
    start = time.perf_counter_ns()
    loop(ROUNDS)  # type: ignore[operator]
    return time.perf_counter_ns() - start
