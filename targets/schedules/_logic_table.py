"""Logic gate networks as data: one small interpreter for all of them, so no netlist takes long to compile.

A gate is seven multiplexers over masks of its table (vpternlog or bsl on most processors), which a run of gates with
one table keeps in registers. What is read for a gate is four slots.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import shape
from edgegate.logic import GroupSum, Netlist
from edgegate.logic.listing import ENTRIES, Listing, listing_of, narrowed
from edgegate.ops.group_sum import sums_of
from edgegate.ops.logic import netlist_of
from edgegate.passes.logic import carry_save
from edgegate.targets.schedules._bits import WORD, Terms, Words, ones, width_for
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._geometry import tasks
from edgegate.targets.schedules._group import Group
from edgegate.targets.schedules._kernel import Builder, Kernel, Unsupported
from edgegate.targets.schedules._registers import Expr, bind

WORK = 2
"""Multiplications per lane that take as long as a gate."""


def logic_table(group: Group, cpu: Cpu) -> Kernel:
    """The kernel of a Logic node, a GroupSum node, or one behind the other."""
    netlist, sums = _parts(group)
    (source,) = {v for v in group.nodes[0].inputs[:1] if v is not None}
    samples = int(np.prod(shape(source)[:-1]))
    if not netlist.inputs or not len(netlist.outputs):
        raise Unsupported("no bits")
    listing, builder, width = listing_of(netlist), Builder(group, cpu), width_for(samples)
    code = _Code(builder, listing)
    blocks = -(-samples // (WORD * width))
    work = blocks * len(listing.operands) * cpu.lanes * WORK
    with builder.body(), tasks(cpu, blocks, work) as (start, stop):
        buffer = T.alloc_buffer((listing.slots * width,), "uint64")
        words = Words(registers=builder.registers, buffer=buffer, width=width, samples=samples)
        with T.serial(0, stop - start) as i:
            first = bind((start + i) * (WORD * width))
            _enter(words, builder.flat(source), netlist.inputs, first)
            code.run(words)
            _leave(builder, words, listing, sums, first)
    return builder.kernel()


def _parts(group: Group) -> tuple[Netlist, GroupSum | None]:
    """What the group computes."""
    first, *rest = group.nodes
    if first.op_type == "Logic" and not rest:
        return netlist_of(first), None
    if first.op_type == "Logic" and [n.op_type for n in rest] == ["GroupSum"]:
        return carried(netlist_of(first), sums_of(rest[0]))
    if first.op_type == "GroupSum" and not rest:
        return carried(_wires(first), sums_of(first))
    raise Unsupported("not logic alone")


def _wires(node: ir.Node) -> Netlist:
    bits = sums_of(node).bits
    outputs = 2 * np.arange(1, bits + 1, dtype=np.int32)
    return Netlist(inputs=bits, fanins=np.zeros((0, 3), np.int32), tables=np.zeros(0, np.uint64), outputs=outputs)


class _Code:
    """The listing as constants of the kernel, and the loop that reads them."""

    def __init__(self, builder: Builder, listing: Listing) -> None:
        self.runs = len(listing.tables)
        kind = np.uint16 if listing.slots <= 1 << 16 else np.int32
        self.operands = builder.constant(np.append(listing.operands.reshape(-1), 0).astype(kind))
        self.starts = builder.constant(listing.starts)
        places = np.arange(ENTRIES, dtype=np.uint8)
        self.masks = builder.constant(ones(np.append(listing.tables, 0)[:, None].astype(np.uint8) >> places & 1))

    def run(self, words: Words) -> None:
        """Compute all gates of a block."""
        _, pieces = words.pieces
        with T.serial(0, self.runs) as r:
            masks = [words.every(self.masks[r * ENTRIES + i]) for i in range(ENTRIES)]
            with T.serial(0, self.starts[r + 1] - self.starts[r]) as i:
                g = bind((self.starts[r] + i) * 4)
                *read, made = [bind(self.operands[g + j].astype("int32")) for j in range(4)]
                values = [[words.load(slot, p) for slot in read] for p in range(pieces)]
                for p, bits in enumerate(values):
                    words.store(made, p, looked_up(masks, bits))


def looked_up(masks: list[Expr], bits: list[Expr]) -> Expr:
    """The entry of a table, given as masks, at the address that ``bits`` are."""
    for bit in bits:
        inverse = bind(~bit)
        masks = [bind((one & bit) | (zero & inverse)) for zero, one in zip(masks[::2], masks[1::2], strict=True)]
    return masks[0]


def _enter(words: Words, source: Expr, inputs: int, first: Expr) -> None:
    with T.serial(0, words.width) as w:
        T.buffer_store(words.buffer, tirx.const(0, "uint64"), [w])
        words.pack(source, inputs, bind(first + w * WORD), w)


def _leave(builder: Builder, words: Words, listing: Listing, sums: GroupSum | None, first: Expr) -> None:
    result, slots, inverted = builder.flat(builder.group.output), listing.outputs >> 1, listing.outputs & 1
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


def carried(netlist: Netlist, sums: GroupSum) -> tuple[Netlist, GroupSum]:
    """The same sums of fewer bits: one for each power of two, which adders among the gates make.

    Raises:
        Unsupported: The sums do not fit int32.
    """
    try:
        planes = carry_save(narrowed(netlist), sums)
    except ValueError as e:
        raise Unsupported(str(e)) from e
    count = len(planes.group)
    member, weight = np.arange(count, dtype=np.int32), np.int32(1) << planes.shift
    return planes.netlist, GroupSum(bits=count, group=planes.group, member=member, weight=weight, offset=planes.offset)
