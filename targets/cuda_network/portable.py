"""Any integer op as CUDA kernels, by TVM: one thread for each element of a result.

An op's own lowering (:mod:`edgegate.ops`) says what it computes. Values in between that need no sum are computed where
they are read; what is left of a function are nests of loops, and each becomes a kernel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tvm
from tvm import s_tir, tirx
from tvm.ir.expr import TensorLoad
from tvm.tirx.build import codegen_build, split_host_device_mods
from tvm_ffi import structural_equal, structural_hash, structural_walk

from edgegate.targets._call import Call
from edgegate.targets.cuda_network.launch import Argument, Launch, Room

MODULE = "ops"
"""The text that all these kernels are in."""
THREADS = 128
"""Of a block."""
PART, FEW = 64, 1 << 15
"""Terms of a part of a sum, where fewer sums than that leave most of a GPU idle."""
POINTER = "_ptr"
"""What TVM puts behind the name of a buffer that is a kernel's parameter."""
TARGET = {"kind": "cuda", "arch": "sm_75"}
"""The oldest one: the text is C++ that nvcc compiles for each."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A kernel of a function.

    Attributes:
        kernel: Its name.
        parameters: The names of the function's buffers that it is called on, in order.
        written: Those of them that it writes.
        grid: Blocks along x, y and z.
        threads: Of a block.
    """

    kernel: str
    parameters: tuple[str, ...]
    written: frozenset[str]
    grid: tuple[int, int, int]
    threads: int


@dataclass(kw_only=True)
class Functions:
    """The scheduled functions of a model, each once.

    Attributes:
        by_name: The functions.
    """

    by_name: dict[str, Any] = field(default_factory=dict)
    _alike: dict[int, list[str]] = field(default_factory=dict)

    def name(self, function: Any) -> str:
        """The name of ``function``, which is that of an equal one if there is one."""
        alike = self._alike.setdefault(structural_hash(function), [])
        for name in alike:
            if structural_equal(self.by_name[name], function):
                return name
        alike.append(f"op{len(self.by_name)}")
        self.by_name[alike[-1]] = function
        return alike[-1]

    def compiled(self) -> tuple[str, dict[str, list[Signature]]]:
        """The text of every kernel, and the kernels of every function in the order in which they run."""
        if not self.by_name:
            return "", {}
        named = {name: f.with_attr("global_symbol", name) for name, f in self.by_name.items()}
        target = tvm.target.Target(TARGET, host="llvm")
        lower, _, finalize = tirx.get_default_tir_pipeline(target)
        lowered = lower(tirx.transform.BindTarget(target)(tvm.IRModule(named)))
        _, devices = split_host_device_mods(lowered)
        ((device, module),) = devices.items()
        module = finalize()(module)
        signatures: dict[str, list[Signature]] = {name: [] for name in self.by_name}
        for variable, function in sorted(module.functions.items(), key=lambda item: _place(item[0].name_hint)):
            signatures[variable.name_hint.partition("_")[0]].append(_signature(variable.name_hint, function))
        return codegen_build(module, device).inspect_source(), signatures


def _place(kernel: str) -> tuple[str, int]:
    """The function and the number of a kernel, from its name: ``op3_kernel``, ``op3_kernel_1``."""
    name, _, number = kernel.split("_", 1)[0], "", kernel.rpartition("_")[2]
    return name, int(number) if number.isdigit() else 0


def _signature(kernel: str, function: Any) -> Signature:
    extents: dict[str, int] = {}
    written: set[str] = set()

    def thread(node: Any) -> None:
        if node.attr_key == "thread_extent":
            extents[str(node.node.thread_tag)] = int(node.value)

    def store(node: Any) -> None:
        written.add(str(node.buffer.name))

    structural_walk(function.body, ((tirx.AttrStmt, thread), (tirx.BufferStore, store)))
    names = [str(p.name).removesuffix(POINTER) for p in function.params]
    blocks = [extents.get(f"blockIdx.{axis}", 1) for axis in "xyz"]
    return Signature(
        kernel=kernel, parameters=tuple(names), written=frozenset(n for n in names if n in written),
        grid=(blocks[0], blocks[1], blocks[2]), threads=extents.get("threadIdx.x", 1),
    )  # fmt: skip


def launches(call: Call, function: Any, signatures: Sequence[Signature]) -> Iterator[Launch]:
    """The kernels of a function that was scheduled for ``call``, on what that is called on."""
    ends: list[Argument] = [*call.arguments, *call.outputs]
    places: dict[str, Argument] = {str(b.name): end for b, end in zip(function.params, ends, strict=True)}
    rooms = {str(b.name): Room(size=_bytes(b)) for b in function.body.block.alloc_buffers if b.scope() == "global"}
    assert len({*places, *rooms}) == len(function.params) + len(rooms), "every buffer has a name of its own"
    places |= rooms
    for s in signatures:
        written = frozenset(i for i, name in enumerate(s.parameters) if name in s.written)
        arguments = tuple(places[name] for name in s.parameters)
        yield Launch(
            module=MODULE, kernel=s.kernel, grid=s.grid, threads=s.threads, arguments=arguments, written=written
        )


def _bytes(buffer: Any) -> int:
    return math.prod(int(d) for d in buffer.shape) * np.dtype(str(buffer.dtype)).itemsize


def scheduled(function: Any) -> Any:
    """The function for a GPU: results and sums spread over blocks and threads, what is in between in the threads."""
    schedule = s_tir.Schedule(function)
    threads: dict[str, Any] = {}
    for block in reversed(schedule.get_child_blocks(schedule.get_sblock("root"))):
        summed = any(int(axis.iter_type) != 0 for axis in schedule.get(block).iter_vars)
        homes = {_home(schedule, reader, threads) for reader in schedule.get_consumers(block)}
        if summed or len(homes) != 1:
            parts = _parts(schedule, block) if summed else None
            for made in (block, *([parts] if parts is not None else [])):
                threads[schedule.get(made).name_hint] = _spread(schedule, made, summed=summed)
            continue
        (reader, *others) = schedule.get_consumers(block)
        if not others and _loads(schedule, block, reader) == 1:
            schedule.compute_inline(block)
        else:
            schedule.set_scope(block, 0, "local")
            schedule.compute_at(block, threads[homes.pop()])
    return schedule.mod["main"]


def _parts(schedule: Any, block: Any) -> Any | None:
    """Split a long sum of which there are few into parts, each made by a thread: the block of those, or None."""
    loops, axes = schedule.get_loops(block), schedule.get(block).iter_vars
    spread = [loop for loop, axis in zip(loops, axes, strict=True) if int(axis.iter_type) == 0]
    summed = [loop for loop, axis in zip(loops, axes, strict=True) if int(axis.iter_type) != 0]
    results, depth = (math.prod(int(schedule.get(loop).extent) for loop in found) for found in (spread, summed))
    # A part that does not divide the sum would need a guard, which TVM leaves out where blocks are moved.
    fitting = [part for part in range(PART // 4, 4 * PART + 1) if depth % part == 0]
    if len(schedule.get(block).writes) > 1 or depth < 2 * PART or results > FEW or not fitting:
        return None
    schedule.reorder(*spread, *summed)
    part = min(fitting, key=lambda size: abs(math.log2(size / PART)))
    outer, _ = schedule.split(schedule.fuse(*summed), [depth // part, part])
    return schedule.rfactor(outer, 0)


def _spread(schedule: Any, block: Any, *, summed: bool) -> Any:
    """Make a kernel of a block; the loop over its threads. Sums are made in registers, and written once."""
    written = schedule.cache_write(block, 0, "local") if summed else block
    loops = schedule.get_loops(written)
    whole = schedule.fuse(*loops) if loops else schedule.add_unit_loop(written)
    outer, inner = schedule.split(whole, [None, THREADS])
    schedule.bind(outer, "blockIdx.x")
    schedule.bind(inner, "threadIdx.x")
    if summed:
        schedule.compute_at(block, inner)
    return inner


def _home(schedule: Any, block: Any, threads: Mapping[str, Any]) -> str:
    """The name of the kernel that a block is computed in."""
    name = str(schedule.get(block).name_hint)
    if name in threads:
        return name
    (reader, *_) = schedule.get_consumers(block)
    return _home(schedule, reader, threads)


def _loads(schedule: Any, block: Any, reader: Any) -> int:
    """How often the text of ``reader`` reads what ``block`` makes."""
    made = schedule.get(block).writes[0].source
    found: list[bool] = []

    def load(node: Any) -> None:
        found.append(bool(node.source.same_as(made)))

    structural_walk(schedule.get(reader).body, ((TensorLoad, load),))
    return sum(found)
