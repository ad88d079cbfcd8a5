"""The kernel around the code of a network: rows of bytes in, rows of bytes or of sums out."""

from __future__ import annotations

import numpy as np
from tvm import ir as tvm_ir
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import CODE, shape
from edgegate.targets.schedules._bits import WORD, Words, ones
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._geometry import tasks
from edgegate.targets.schedules._group import Group
from edgegate.targets.schedules._kernel import Builder, Kernel, Unsupported
from edgegate.targets.schedules._registers import Expr, bind
from edgegate.targets.schedules.logic import _pack_x86
from edgegate.targets.schedules.logic._allocation import Code, allocate
from edgegate.targets.schedules.logic._assembly import function, machine_for, module
from edgegate.targets.schedules.logic._bound import described
from edgegate.targets.schedules.logic._count import HELPER, Counter, planes_of
from edgegate.targets.schedules.logic._network import Network, network_of
from edgegate.targets.schedules.logic._pack import Packer, Rows
from edgegate.targets.schedules.logic._transpose import GROUP


def logic_code(group: Group, cpu: Cpu) -> Kernel:
    """The kernel of a Logic node, a GroupSum node, or one behind the other.

    A block of samples is packed to one register a bit; the code of the network runs once over it, through memory of
    the thread; its results are unpacked.

    Raises:
        Unsupported: There is no instruction set to write it in, or nothing to compute.
    """
    if cpu.gates is None:
        raise Unsupported("no instruction set for gates")
    (source,) = {v for v in group.nodes[0].inputs[:1] if v is not None}
    samples = int(np.prod(shape(source)[:-1]))
    machine = machine_for(cpu.gates, samples)
    network = network_of(group, machine.inputs)
    if not network.netlist.inputs or not len(network.netlist.outputs):
        raise Unsupported("no bits")
    code = allocate(network.netlist, machine)
    group.nodes[0].meta[CODE] = described(code, machine)
    name, text = function(code, machine)
    if machine.name == "avx512":
        text += module(_pack_x86.NAME, _pack_x86.packing())
    builder, block = Builder(group, cpu), 8 * machine.width
    blocks = -(-samples // block)
    work = blocks * len(code.instructions) * cpu.lanes
    imported = T.attr(0, "pragma_import_llvm", tvm_ir.StringImm(text + HELPER))
    with builder.body(), imported, tasks(cpu, blocks, work) as (start, stop):
        size = max(code.slots, _pack_x86.slots_for(network.netlist.inputs))
        slots = T.alloc_buffer((size * block // WORD,), "uint64")
        ends = _Ends(builder, network, code, machine.width, machine.widths[-1], slots)
        with T.serial(0, stop - start) as i:
            first = bind((start + i) * block)
            ends.enter(first)
            T.evaluate(T.call_extern("int32", name, slots.data))
            ends.leave(first)
    return builder.kernel()


class _Ends:
    """What stands before and behind the code of the network: bytes to bits, and bits to bytes or to sums.

    Args:
        builder: Of the kernel.
        network: What is computed.
        code: Where its outputs are.
        width: Bytes of a slot.
        lanes: Bytes of a register.
        slots: Memory, uint64.
    """

    def __init__(self, builder: Builder, network: Network, code: Code, width: int, lanes: int, slots: Expr) -> None:
        (source,) = {v for v in builder.group.nodes[0].inputs[:1] if v is not None}
        self.samples, self.count = int(np.prod(shape(source)[:-1])), network.netlist.inputs
        self.source, self.result = builder.flat(source), builder.flat(builder.group.output)
        self.words = Words(registers=builder.registers, buffer=slots, width=8 * width // WORD, samples=self.samples)
        rows = Rows(buffer=self.source, samples=self.samples, count=self.count)
        self.packer = Packer(rows, slots, width, lanes) if width >= GROUP else None
        nodes, inverted = network.netlist.outputs >> 1, network.netlist.outputs & 1
        places = np.array([code.outputs[node] for node in nodes.tolist()], np.int32)
        self.outputs, self.counter = len(nodes), None
        if network.sums is not None:
            planes = planes_of(network.sums, places, inverted)
            self.counter = Counter(builder, planes, network.sums.groups, slots, self.samples, self.words.width)
        else:
            self.places, self.flips = builder.constant(places), builder.constant(ones(inverted))

    def enter(self, first: Expr) -> None:
        """Fill the slots of false and of the inputs."""
        for w in range(self.words.width):
            T.buffer_store(self.words.buffer, tirx.const(0, "uint64"), [w])
        if self.packer is not None:
            self.packer.pack(first)
            return
        with T.serial(0, self.words.width) as w:
            self.words.pack(self.source, self.count, bind(first + w * WORD), w)

    def leave(self, first: Expr) -> None:
        """Write the results."""
        if self.counter is not None:
            self.counter.write(first)
            return
        with T.serial(0, self.words.width) as w:
            self.words.unpack(self.places, self.flips, self.outputs, bind(first + w * WORD), w, self.result)
