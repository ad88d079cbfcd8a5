"""Networks of gates as code: every instruction set gives the definition's bits and sums, and writes nothing else."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import tvm

from edgegate import CompileOptions, interpreter
from edgegate.logic import GroupSum, Netlist
from edgegate.stages import prove
from edgegate.targets._machine import machine
from edgegate.targets.llvm import llvm
from edgegate.targets.schedules import Cpu, kernel, partition
from edgegate.targets.schedules._kernel import Unsupported
from edgegate.targets.schedules.logic import Bound, bound
from tests.targets import emulator
from tests.targets.logic_models import Graph, classifier, network
from tests.targets.schedules.kernels import HERE, NATIVE, functions_of

GUARD, POISON = 64, 85
ELSEWHERE = {"neon": machine("aarch64-linux-gnu", ""), "rv64": machine("riscv64-linux-gnu", "")}


def case(model: Any, cpu: Cpu, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """A model's kernel, an input (of a network not only 0 and 1), and what the interpreter makes of it."""
    (group,) = partition(model)
    made = kernel(group, cpu)
    assert made is not None
    dims = [int(d) for d in model.graph.inputs[0].shape]
    true = [1, 2, 128, 255] if group.nodes[0].op_type == "Logic" else [1]
    x = np.where(rng.random(dims) < 0.5, 0, rng.choice(true, dims)).astype(np.uint8)
    return made, x, interpreter.run(model, {"x": x})[str(made.output.name)]


def arguments(made: Any, x: Any) -> list[Any]:
    return [x if isinstance(a, ir.Value) else a for a in made.arguments]


def guarded(like: Any) -> tuple[Any, Any]:
    """Memory full of poison, and a tensor in the midst of it."""
    memory = np.full(like.nbytes + 3 * GUARD, POISON, np.uint8)
    start = -memory.ctypes.data % GUARD + GUARD
    return memory, memory[start : start + like.nbytes].view(like.dtype).reshape(like.shape)


def check(models: list[Any], target: Any, threads: int | None = 1) -> None:
    """Every model is one kernel."""
    cpu, rng = Cpu.of(tvm.target.Target(target), threads), np.random.default_rng(3)
    cases = [case(model, cpu, rng) for model in models]
    functions = functions_of([made for made, _, _ in cases], target)
    for i, (function, (made, x, expected)) in enumerate(zip(functions, cases, strict=True)):
        memory, result = guarded(expected)
        given = [tvm.runtime.tensor(np.ascontiguousarray(a)) for a in arguments(made, x)]
        function(*given, tvm.runtime.from_dlpack(result))
        np.testing.assert_array_equal(result, expected, f"case {i}")
        result.view(np.uint8)[:] = POISON
        assert (memory == POISON).all(), f"case {i}"


def odd_outputs(batch: int, sums: GroupSum | None = None) -> Any:
    """Constants, inputs, inverted ones, and nodes that are wanted twice; an input that nothing reads."""
    fanins = np.array([[1, 2, 0], [5, 3, 1], [6, 5, 2], [7, 7, 6], [0, 0, 0], [8, 9, 4]], np.int32)
    tables = np.array([0b01110111, 0b10010110, 0b11101000, 0b01000010, 0b11111111, 0b00101101], np.uint64)
    outputs = np.array([0, 1, 2, 3, 4, 10, 11, 12, 13, 12, 15, 15, 16, 18, 20, 21, 20], np.int32)
    return classifier(Netlist(inputs=4, fanins=fanins, tables=tables, outputs=outputs), sums, batch=batch)


def every_table(k: int, batch: int, sums: GroupSum | None = None) -> Any:
    """A gate for each table of ``k`` inputs."""
    size = 1 << (1 << k)
    fanins = np.tile(np.arange(1, k + 1, dtype=np.int32), (size, 1))
    outputs = 2 * np.arange(k + 1, k + 1 + size, dtype=np.int32)
    netlist = Netlist(inputs=k, fanins=fanins, tables=np.arange(size, dtype=np.uint64), outputs=outputs)
    return classifier(netlist, sums, batch=batch)


def some_models(batches: Sequence[int]) -> list[Any]:
    """Nets with and without sums; more values wait than there are registers."""
    rng = np.random.default_rng(0)
    models = [odd_outputs(65), odd_outputs(3, GroupSum.contiguous(17, 3)), every_table(3, 70)]
    for i, batch in enumerate(batches):
        bits = int(rng.integers(1, 90))
        k = int(rng.integers(2, 5))
        netlist = network(rng, int(rng.integers(1, 150)), (200, 100, bits), k)
        models.append(classifier(netlist, GroupSum.contiguous(bits, min(bits, 11)) if i % 2 else None, batch=batch))
    return models


@pytest.mark.parametrize("target", HERE)
def test_any_number_of_samples(target):
    check(some_models((1, 2, 63, 64, 65, 129, 256, 511, 512, 513, 1000)), target)


@pytest.mark.parametrize("target", HERE)
def test_weights_and_offsets(target):
    weight = np.array([-(1 << 20), -3, 1, 7, 1000, -1, 3, 5, 2, -2, 1, 9], np.int32)
    group = np.array([0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 3, 3], np.int32)
    member = np.array([0, 1, 2, 3, 0, 1, 4, 5, 6, 7, 7, 0], np.int32)
    sums = GroupSum(
        bits=8, group=group, member=member, weight=weight, offset=np.array([-5, 9, 1 << 29, 0], np.int32)
    )  # fmt: skip
    netlist = network(np.random.default_rng(1), 20, (60, 8), 4)
    check([classifier(netlist, sums, batch=70), classifier(netlist, sums, batch=600)], target)


def at_the_end(like: Any) -> Any:
    """A tensor that ends where memory may not be read any more."""
    pages = -(-like.nbytes // mmap.PAGESIZE)
    memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    whole = np.frombuffer(memory, np.uint8)
    guard = ctypes.c_void_p(whole.ctypes.data + pages * mmap.PAGESIZE)
    assert ctypes.CDLL(None).mprotect(guard, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    start = pages * mmap.PAGESIZE - like.nbytes
    tensor = whole[start : start + like.nbytes].reshape(like.shape)
    tensor[:] = like
    return tensor


@pytest.mark.parametrize("target", HERE)
def test_whole_blocks_read_no_byte_too_many(target):
    cpu, rng = Cpu.of(tvm.target.Target(target), 1), np.random.default_rng(7)
    sizes = [(512, count) for count in (1, 63, 64, 65, 127, 128, 400)] + [(1024, 65), (576, 70), (64, 65)]
    cases = [case(classifier(network(rng, n, (200, 30)), None, batch=batch), cpu, rng) for batch, n in sizes]
    for function, (made, x, expected) in zip(functions_of([made for made, _, _ in cases], target), cases, strict=True):
        given = [tvm.runtime.tensor(np.ascontiguousarray(a)) for a in arguments(made, x)[1:]]
        result = tvm.runtime.tensor(np.full_like(expected, POISON))
        function(tvm.runtime.from_dlpack(at_the_end(x)), *given, result)
        np.testing.assert_array_equal(result.numpy(), expected)


def test_deep_and_wide():
    """A chain of gates; more waiting values than base registers reach."""
    rng = np.random.default_rng(5)
    rows = np.array([[4 + i, 1 + i % 3, 3 + i] for i in range(3000)], np.int32)
    deep = Netlist(
        inputs=4, fanins=np.minimum(rows, 4 + np.arange(3000, dtype=np.int32)[:, None]),
        tables=rng.choice(np.array([0x96, 0x69, 0xCA, 0xD4], np.uint64), 3000), outputs=np.array([2 * 3004], np.int32),
    )  # fmt: skip
    wide = network(rng, 6000, (7000, 7000))
    sums = GroupSum.contiguous(7000, 10)
    check([classifier(deep, None, batch=512), classifier(wide, sums, batch=513)], NATIVE)


def test_threads_share_the_blocks():
    netlist = network(np.random.default_rng(2), 64, (2000, 2000, 2000))
    check([classifier(netlist, GroupSum.contiguous(2000, 10), batch=5000)], NATIVE, threads=None)


def test_sums_alone_more_axes_and_many_groups():
    rng = np.random.default_rng(4)
    graph = Graph()
    alone = graph.model(graph.sums(graph.input("x", (5, 30)), GroupSum.contiguous(30, 4), "y"))
    graph = Graph()
    rows = graph.model(graph.logic(graph.input("x", (3, 50, 6)), network(rng, 6, (20, 5)), "y"))
    many = classifier(network(rng, 30, (500, 4100)), GroupSum.contiguous(4100, 2000), batch=66)
    check([alone, rows, many], NATIVE)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_other_processors(name, tmp_path):
    made_for, rng = ELSEWHERE[name], np.random.default_rng(6)
    if not emulator.available(made_for):
        pytest.skip(f"needs {made_for.architecture.compiler} and {emulator.emulator(made_for)}")
    cpu = Cpu.of(made_for.target)
    assert cpu.gates == name
    far = network(rng, {"neon": 70_000, "rv64": 3000}[name], (60, 20))  # more slots than base registers reach
    cases = [case(m, cpu, rng) for m in (*some_models((1, 64, 65, 130, 300)), classifier(far, None, batch=70))]
    functions = {f"k{i}": made.func for i, (made, _, _) in enumerate(cases)}
    calls = [(f"k{i}", arguments(made, x), expected) for i, (made, x, expected) in enumerate(cases)]
    for (_, _, expected), found in zip(calls, emulator.run(functions, calls, made_for, tmp_path), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_program_with_code():
    """Linked as a library; kernels that share a network's function, and two networks."""
    rng = np.random.default_rng(8)
    one, two = network(rng, 40, (200, 90)), network(rng, 90, (200, 30), 3)
    graph = Graph()
    first, second = (graph.input(name, (batch, 40)) for name, batch in (("x0", 600), ("x1", 1024)))
    y = graph.logic(first, one, "y0")
    z = graph.logic(graph.logic(second, one, "b1"), two, "y1")
    model = graph.model(y, z, graph.sums(y, GroupSum.contiguous(90, 10), "y2"))
    artifact = llvm(CompileOptions(threads=1))(model, prove(model))
    data = {name: rng.integers(0, 2, (n, 40)).astype(np.uint8) for name, n in (("x0", 600), ("x1", 1024))}
    expected = interpreter.run(model, data)
    for found, name in zip(artifact(*data.values()), ("y0", "y1", "y2"), strict=True):
        np.testing.assert_array_equal(found, expected[name])


def test_instruction_sets():
    names = {"znver5": "avx512", "x86-64-v4": "avx512", "x86-64-v3": "avx2", "x86-64": "sse2"}
    assert {c: Cpu.of(machine("x86_64-linux-gnu", c).target).gates for c in names} == names


def test_the_bound_counts_instructions():
    fanins = np.array([[1, 2, 3], [1, 2, 3]], np.int32)
    adder = Netlist(inputs=3, fanins=fanins, tables=np.array([0x96, 0xE8], np.uint64), outputs=np.array([8, 10], "i4"))
    found = bound(adder, None, 5000, Cpu(gates="avx512"))
    assert found == Bound(samples=512, width=64, gates=2, loads=5, stores=2, instructions=7)
    assert found.executed == 2.5 / 512 and found.decoded == found.cycles == 3.5 / 512
    with pytest.raises(Unsupported):
        bound(adder, None, 1, Cpu())
