"""Compiling kernels and comparing them with the references, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import tvm
import tvm_ffi

from edgegate.targets.schedules import Cpu, Group, Kernel, kernel, partition
from tests.targets.schedules.cases import Case
from tests.targets.schedules.net import Net

POISON = 85
NATIVE = {"kind": "llvm", "mcpu": str(tvm.target.codegen.llvm_get_system_cpu())}
AVX2 = {"kind": "llvm", "mcpu": "x86-64-v3"}
HERE = [pytest.param(NATIVE, id="native")]
if "avx2" in {str(f) for f in tvm.target.codegen.llvm_get_cpu_features(tvm.target.Target(NATIVE))}:
    HERE += [pytest.param(AVX2, id="avx2"), pytest.param({"kind": "llvm", "mcpu": "x86-64"}, id="generic")]


def one_group(net: Net, output: ir.Value) -> Group:
    groups = partition(net.model(output))
    assert len(groups) == 1, [[n.op_type for n in g.nodes] for g in groups]
    return groups[0]


def compiled(kernels: Sequence[Kernel], target: Any) -> Any:
    functions = {f"k{i}": k.func.with_attr("global_symbol", f"k{i}") for i, k in enumerate(kernels)}
    return tvm.compile(tvm.IRModule(functions), target=tvm.target.Target(target))


def functions_of(kernels: Sequence[Kernel], target: Any) -> list[Any]:
    """What runs each kernel; those that differ in their constants alone are compiled once."""
    apart = list({tvm_ffi.StructuralKey(k.func): k for k in kernels}.values())
    places = {tvm_ffi.StructuralKey(k.func): i for i, k in enumerate(apart)}
    library = compiled(apart, target)
    return [library[f"k{places[tvm_ffi.StructuralKey(k.func)]}"] for k in kernels]


def check(cases: Sequence[Case], target: Any) -> None:
    """Each case is one kernel; its output overwrites poison with what the references computed."""
    cpu = Cpu.of(tvm.target.Target(target))
    kernels = []
    for net, output in cases:
        made = kernel(one_group(net, output), cpu)
        assert made is not None, output.producer()
        kernels.append(made)
    functions = functions_of(kernels, target)
    for i, ((net, _), made) in enumerate(zip(cases, kernels, strict=True)):
        expected = net.data[str(made.output.name)]
        np.testing.assert_array_equal(called(functions[i], made, net.data, expected), expected, f"case {i}")


def called(function: Any, made: Kernel, data: dict[str, Any], like: Any) -> Any:
    arguments = [data[str(a.name)] if isinstance(a, ir.Value) else a for a in made.arguments]
    result = tvm.runtime.tensor(np.full(like.shape, POISON, like.dtype))
    function(*(tvm.runtime.tensor(np.ascontiguousarray(a)) for a in arguments), result)
    return result.numpy()
