"""Elementwise ops on their own: a gate's product with a map, a residual sum, a table."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgegate.graph import Array, array, shape
from edgegate.targets.schedules._channelwise import ChannelBlocks
from edgegate.targets.schedules._cpu import Cpu
from edgegate.targets.schedules._geometry import tasks
from edgegate.targets.schedules._group import Group
from edgegate.targets.schedules._kernel import Block, Builder, Kernel, Run, Unsupported, dtype
from edgegate.targets.schedules._registers import bind
from edgegate.targets.schedules._stages import Epilogue


def elementwise(group: Group, cpu: Cpu) -> Kernel:
    """The kernel of a chain of elementwise ops, lanes along memory or, where channels matter, along channels."""
    builder = Builder(group, cpu)
    inputs = [v for n in group.nodes for v in n.inputs if v is not None and array(v) is None and not group.inside(v)]
    narrow = all(dtype(v) in ("int8", "uint8") for v in inputs)
    if _flat(group, inputs):
        return _along_memory(builder, narrow)
    return _along_channels(builder, inputs, narrow)


def _flat(group: Group, inputs: list[ir.Value]) -> bool:
    """Whether every element is treated alike."""
    if any(shape(v) != shape(group.output) for v in inputs):
        return False
    constants = [array(v) for n in group.nodes if n.op_type != "Table" for v in n.inputs]
    return all(c is None or c.size == 1 for c in constants)


def _along_memory(builder: Builder, narrow: bool) -> Kernel:
    """Blocks of the whole tensor as one line; the last one moved back to stay inside."""
    registers, size = builder.registers, int(np.prod(shape(builder.group.output)))
    block, width = registers.block, min(registers.block, size)
    epilogue = Epilogue(builder, _same, {})
    with (
        builder.body(),
        tasks(registers.cpu, -(-size // block), size * 8) as (first, last),
        T.serial(0, last - first) as i,
    ):
        offset = bind(tirx.min((first + i) * block, size - width))
        run = Run(offset=offset, image=offset, lanes=block, count=width)
        epilogue.finish(Block(runs=[run], slots=[0] * 4, packed=narrow), {})
    return builder.kernel()


def _same(data: Array) -> Array:
    if data.size != 1:
        raise Unsupported("constants per channel in a chain without channels")
    return data


def _along_channels(builder: Builder, inputs: list[ir.Value], narrow: bool) -> Kernel:
    """For each image and block of channels all its pixels; what is per channel stays in registers."""
    dims, registers = shape(builder.group.output), builder.registers
    images, channels = (dims[0], dims[-1]) if len(dims) > 1 else (1, dims[0])
    pixels = int(np.prod(dims)) // (images * channels)
    if any(shape(v) not in (dims, (images, *[1] * (len(dims) - 2), channels)) for v in inputs):
        raise Unsupported("a broadcast other than over pixels")
    blocks = ChannelBlocks(channels, registers.block, registers.order(narrow))
    epilogue = Epilogue(builder, blocks.arrange, {})
    shares = images * blocks.count
    parallel = shares > 1 and registers.cpu.parallel(images * pixels * channels * 8)
    with builder.body(), (T.parallel if parallel else T.serial)(0, shares) as share:
        image, b = bind(share // blocks.count), bind(share % blocks.count)
        channel = blocks.start(b)
        with T.serial(0, pixels) as p:
            offset = bind((image * pixels + p) * channels + channel)
            placed = blocks.place(b, offset, bind(image * channels + channel), registers.lanes)
            epilogue.finish(Block(runs=placed.runs, slots=placed.slots, packed=narrow), {})
    return builder.kernel()
