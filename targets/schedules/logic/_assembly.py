"""A network of gates as a function in assembly, and the function as a module of LLVM."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain

from edgegate.targets.schedules.logic._allocation import Code
from edgegate.targets.schedules.logic._arm import Neon
from edgegate.targets.schedules.logic._machine import Machine
from edgegate.targets.schedules.logic._riscv import Rv64
from edgegate.targets.schedules.logic._x86 import Avx2, Avx512, Sse2

MACHINES: dict[str, type[Machine]] = {m.name: m for m in (Avx512, Avx2, Sse2, Neon, Rv64)}


def machine_for(name: str, batch: int) -> Machine:
    """The instruction set ``name``, with the narrowest registers that hold a bit of every sample, or the widest."""
    widths = MACHINES[name].widths
    return MACHINES[name](next((w for w in widths if 8 * w >= batch), widths[-1]))


def lines(code: Code, machine: Machine) -> Iterator[str]:
    """The instructions of the function."""
    yield from machine.enter()
    for kind, a, b, sources in code.instructions:
        if kind == "gate":
            yield machine.gate(a, b, sources)
        elif kind == "load":
            yield machine.load(a, b)
        elif kind == "store":
            yield machine.store(a, b)
        else:
            yield machine.copy(a, b)
    yield from machine.leave()


def function(code: Code, machine: Machine) -> tuple[str, str]:
    """The function's name, and the text of an LLVM module that holds it.

    The function takes the address of slot 0, a multiple of 16. Its instructions are the module's inline assembly:
    LLVM assembles them as they are, in linear time. The name tells the contents.
    """
    body = list(lines(code, machine))
    name = f"edgegate_logic_{hashlib.sha256(chr(10).join(body).encode()).hexdigest()[:16]}"
    return name, module(name, body)


def module(name: str, body: Iterable[str]) -> str:
    """The text of an LLVM module with a function in assembly; one that several kernels bring is defined once."""
    start = (f".ifndef {name}", ".text", ".p2align 6", f".type {name}, %function", f"{name}:")
    end = (f".size {name}, .-{name}", ".endif")
    return "".join(f'module asm "{line}"\n' for line in chain(start, body, end))
