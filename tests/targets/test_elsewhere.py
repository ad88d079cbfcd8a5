"""Programs for other processors: the kernels give the references' bits there too (in an emulator)."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgegate.errors import ToolchainError
from edgegate.targets._machine import Machine, machine
from edgegate.targets.llvm import executable, shared_library
from edgegate.targets.schedules import Cpu, kernel
from tests.targets import emulator
from tests.targets.schedules.cases import (
    block_products,
    conv_case,
    convolutions,
    depthwise_case,
    elementwise,
    pair_case,
    pools,
    products,
)
from tests.targets.schedules.kernels import one_group
from tests.targets.schedules.test_partition import squeeze_excite

MACHINES = {
    "neon": machine("aarch64-linux-gnu", ""),
    "neon with dot products": machine("aarch64-linux-gnu", "cortex-a76"),
    "riscv64": machine("riscv64-linux-gnu", ""),
}
ELF_MACHINE = {"x86_64": 62, "aarch64": 183, "riscv64": 243}


def cases() -> list[Any]:
    geometry: dict[str, Any] = {"pads": [1] * 4, "strides": [1, 1]}
    return [
        *convolutions()[::2], *products(), *block_products(), pair_case(24, 17, 1, batch=2), pair_case(64, 64, 3),
        conv_case(64, 64, (24, 24), 3, **geometry), depthwise_case(40, 3, 2, 1, batch=2),
        depthwise_case(65, 3, 1, 2, dtype=np.uint8), *pools(), *elementwise()[::3],
    ]  # fmt: skip


@pytest.mark.parametrize("name", MACHINES)
def test_kernels_give_the_same_bits(name: str, tmp_path: Any) -> None:
    made_for = MACHINES[name]
    if not emulator.available(made_for):
        pytest.skip(f"needs {made_for.architecture.compiler} and {emulator.emulator(made_for)}")
    cpu = Cpu.of(made_for.target)
    functions, calls = {}, []
    for i, (net, output) in enumerate(cases()):
        made = kernel(one_group(net, output), cpu)
        assert made is not None
        functions[f"k{i}"] = made.func
        arguments = [net.data[str(a.name)] if isinstance(a, ir.Value) else a for a in made.arguments]
        calls.append((f"k{i}", arguments, net.data[str(output.name)]))
    for (_, _, expected), found in zip(calls, emulator.run(functions, calls, made_for, tmp_path), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", MACHINES)
def test_a_program_is_linked_for_the_machine(name: str) -> None:
    made_for = MACHINES[name]
    if not emulator.available(made_for):
        pytest.skip(f"needs {made_for.architecture.compiler}")
    net, output = squeeze_excite()
    program = shared_library(executable(net.model(output), made_for), made_for)
    assert program[:4] == b"\x7fELF"
    assert int.from_bytes(program[18:20], "little") == ELF_MACHINE[made_for.triple.partition("-")[0]]


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolchainError, match="install the package gcc-riscv64-linux-gnu"):
        machine("riscv64-linux-gnu", "").link("out.so", [])


WRONG = {
    "an unknown processor": ("x86_64-linux-gnu", "znver55", "near to it: znver5"),
    "an unknown machine": ("pdp11-linux-gnu", "", "x86_64, aarch64, riscv64, got 'pdp11-linux-gnu'"),
    "another system": ("x86_64-pc-windows-msvc", "", "must be a Linux"),
    "native elsewhere": ("riscv64-linux-gnu", "native", "is no riscv64"),
}


@pytest.mark.parametrize("what", WRONG)
def test_refused(what: str) -> None:
    triple, mcpu, message = WRONG[what]
    with pytest.raises(ValueError, match=message):
        machine(triple, mcpu)


def test_native_is_written_down() -> None:
    assert machine("", "native") == machine("", "")
    assert machine("", "native").mcpu not in ("", "native")
    assert machine("x86_64-linux-gnu", "x86-64-v3") == Machine(triple="x86_64-linux-gnu", mcpu="x86-64-v3")
