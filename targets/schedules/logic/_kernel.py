"""The kernel around the code of a network: rows of bytes in, rows of bytes or of sums out."""

from __future__ import annotations

import numpy as np
from tvm import ir as tvm_ir
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import shape
from edgegate.targets.schedules._bits import WORD, Terms, Words, ones
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._geometry import tasks
from edgegate.targets.schedules._group import Group
from edgegate.targets.schedules._kernel import Builder, Kernel, Unsupported
from edgegate.targets.schedules._registers import Expr, bind
from edgegate.targets.schedules.logic._allocation import Code, allocate
from edgegate.targets.schedules.logic._assembly import function, machine_for
from edgegate.targets.schedules.logic._network import Network, network_of


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
    name, module = function(code, machine)
    builder, width = Builder(group, cpu), 8 * machine.width // WORD
    blocks = -(-samples // (WORD * width))
    work = blocks * len(code.instructions) * cpu.lanes
    imported = T.attr(0, "pragma_import_llvm", tvm_ir.StringImm(module))
    with builder.body(), imported, tasks(cpu, blocks, work) as (start, stop):
        buffer = T.alloc_buffer((code.slots * width,), "uint64")
        words = Words(registers=builder.registers, buffer=buffer, width=width, samples=samples)
        with T.serial(0, stop - start) as i:
            first = bind((start + i) * (WORD * width))
            _enter(words, builder.flat(source), network.netlist.inputs, first)
            T.evaluate(T.call_extern("int32", name, buffer.data))
            _leave(builder, words, network, code, first)
    return builder.kernel()


def _enter(words: Words, source: Expr, inputs: int, first: Expr) -> None:
    with T.serial(0, words.width) as w:
        T.buffer_store(words.buffer, tirx.const(0, "uint64"), [w])
        words.pack(source, inputs, bind(first + w * WORD), w)


def _leave(builder: Builder, words: Words, network: Network, code: Code, first: Expr) -> None:
    result, sums, outputs = builder.flat(builder.group.output), network.sums, network.netlist.outputs
    slots = np.array([code.outputs[o] for o in (outputs >> 1).tolist()], np.int32)
    inverted = outputs & 1
    if sums is None:
        buffers = builder.constant(slots), builder.constant(ones(inverted))
        with T.serial(0, words.width) as w:
            words.unpack(*buffers, len(slots), bind(first + w * WORD), w, result)
        return
    weight = np.where(inverted[sums.member], -sums.weight, sums.weight)
    offset = sums.offset.astype(np.int64)
    np.add.at(offset, sums.group, inverted[sums.member] * sums.weight.astype(np.int64))
    terms = Terms(
        groups=sums.groups,
        starts=builder.constant(np.searchsorted(sums.group, np.arange(sums.groups + 1)).astype(np.int32)),
        slots=builder.constant(np.append(slots[sums.member], 0).astype(np.int32)),
        weight=builder.constant(np.append(weight, 0).astype(np.int32)),
        offset=builder.constant(offset.astype(np.int32)),
    )
    with T.serial(0, words.width) as w:
        words.count(terms, bind(first + w * WORD), w, result)
