"""How fast the code of a network can be at best, from what a core does in a cycle."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from edgegate.logic import GroupSum, Netlist
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._kernel import Unsupported
from edgegate.targets.schedules.logic._allocation import Code, allocate
from edgegate.targets.schedules.logic._assembly import machine_for
from edgegate.targets.schedules.logic._machine import Machine
from edgegate.targets.schedules.logic._network import network

GATES, LOADS, STORES, DECODED = 4, 2, 64, 2
"""Of one cycle: gates (or copies), loads, bytes stored, and instructions of code that is read once, front to back.

Measured on a core of the Zen 5 family: four vpternlog, two loads of any width, one store of 64 bytes or two of 32.
Code that does not fit its cache of decoded instructions, as that of thousands of gates, is decoded at 16 bytes a cycle:
two instructions of AVX-512.
"""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What is done for a block of samples between packing and unpacking.

    Attributes:
        samples: Of a block.
        width: Bytes of a register.
        gates: Gates and copies of registers.
        loads: Reads of memory, those of gates among them.
        stores: Writes.
        instructions: Of the code.
    """

    samples: int
    width: int
    gates: int
    loads: int
    stores: int
    instructions: int

    @property
    def executed(self) -> float:
        """Least cycles a sample if only what executes instructions is short: the busiest of its parts is."""
        return max(self.gates / GATES, self.loads / LOADS, self.stores * self.width / STORES) / self.samples

    @property
    def decoded(self) -> float:
        """Least cycles a sample if only the decoder is short."""
        return self.instructions / DECODED / self.samples

    @property
    def cycles(self) -> float:
        """Least cycles a sample: nanoseconds times the gigahertz of the core."""
        return max(self.executed, self.decoded)


def described(code: Code, machine: Machine) -> dict[str, float | int]:
    """Code for a report: samples of a block, instructions, registers in memory, and the least cycles a sample."""
    made = bound_of(code, machine)
    return {
        "block": made.samples, "instructions": made.instructions, "live_set": code.slots,
        "cycles_at_best": round(made.cycles, 2),
    }  # fmt: skip


def bound(netlist: Netlist, sums: GroupSum | None, batch: int, cpu: Cpu) -> Bound:
    """The bound of a network's code for ``batch`` samples a call.

    Raises:
        Unsupported: There is no instruction set to write it in, or the sums do not fit int32.
    """
    if cpu.gates is None:
        raise Unsupported("no instruction set for gates")
    machine = machine_for(cpu.gates, batch)
    return bound_of(allocate(network(netlist, sums, machine.inputs).netlist, machine), machine)


def bound_of(code: Code, machine: Machine) -> Bound:
    """The bound of code that was made."""
    kinds = Counter(kind for kind, *_ in code.instructions)
    read = sum([min(sources, default=0) < 0 for *_, sources in code.instructions])
    return Bound(
        samples=8 * machine.width, width=machine.width, gates=kinds["gate"] + kinds["copy"],
        loads=kinds["load"] + read, stores=kinds["store"], instructions=len(code.instructions),
    )  # fmt: skip
