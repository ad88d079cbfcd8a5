"""The instructions that each processor is chosen for, by the assembly that LLVM writes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import tvm

from edgegate.targets.schedules import Cpu, kernel
from tests.targets.schedules.cases import conv_case, depthwise_case, elementwise, pools, wide_products
from tests.targets.schedules.kernels import compiled, one_group

X86, ARM = {"kind": "llvm", "mtriple": "x86_64-linux-gnu"}, {"kind": "llvm", "mtriple": "aarch64-linux-gnu"}
ELSEWHERE: dict[str, tuple[Any, tuple[str, ...]]] = {
    "vnni512": ({**X86, "mcpu": "icelake-server"}, ("vpdpbusd", "zmm", "vperm[it]2b")),
    "vnni512 without vbmi": ({**X86, "mcpu": "cascadelake"}, ("vpdpbusd", "zmm", "vpshufb")),
    "vnni256": ({**X86, "mcpu": "alderlake"}, ("vpdpbusd", "ymm", "vpshufb")),
    "avx2": ({**X86, "mcpu": "x86-64-v3"}, ("vpmaddwd", "vpshufb", "vpackssdw")),
    "neon_dot": ({**ARM, "mcpu": "cortex-a76"}, ("sdot", "tbl")),
    "neon": ({**ARM, "mattr": ["+neon"]}, ("smlal", "tbl")),
    "riscv64": ({"kind": "llvm", "mtriple": "riscv64-linux-gnu", "mcpu": "generic-rv64", "mattr": ["+m"]}, ("mul",)),
}
"""Target, and instructions that its kernels must hold."""


@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_instructions_meant_are_emitted_and_nothing_is_float(name: str) -> None:
    target, instructions = ELSEWHERE[name]
    cpu = Cpu.of(tvm.target.Target(target))
    cases = [conv_case(16, 24, (6, 5), 1), depthwise_case(64, 3, 1, 1), pools()[1], elementwise()[0]]
    kernels = [kernel(one_group(*case), cpu) for case in cases]
    module = compiled([k for k in kernels if k is not None], target).mod
    assembly, code = module.inspect_source("asm"), module.inspect_source("ll")
    for instruction in instructions:
        assert re.search(rf"\b{instruction}", assembly), instruction
    own = [f for f in code.split("\ndefine ")[1:] if not re.match(r"[^@]*@__", f)]
    assert len(own) >= len(cases)
    assert not [m for f in own for m in re.findall(r".*\b(?:float|double|half|bfloat)\b.*", f.split("\n}")[0])]


@pytest.mark.parametrize(("name", "instruction"), [("vnni512", "vpdpwssd"), ("vnni256", "vpmaddwd")])
def test_products_of_words(name: str, instruction: str) -> None:
    target, _ = ELSEWHERE[name]
    made = kernel(one_group(*wide_products()[0]), Cpu.of(tvm.target.Target(target)))
    assert made is not None
    assert re.search(rf"\b{instruction}", compiled([made], target).mod.inspect_source("asm"))


def test_features_choose_the_flavour() -> None:
    flavours = {name: Cpu.of(tvm.target.Target(target)) for name, (target, _) in ELSEWHERE.items()}
    assert flavours["vnni512"] == Cpu(dot="vnni512", lookup="vbmi", gates="avx512")
    assert flavours["vnni512 without vbmi"] == Cpu(dot="vnni512", lookup="pshufb", gates="avx512")
    assert flavours["neon_dot"] == Cpu(dot="neon_dot", lookup="tbl", gates="neon")
    assert flavours["riscv64"] == Cpu(gates="rv64")
    with pytest.raises(ValueError, match="no table look-up"):
        Cpu(dot="generic", lookup="vbmi")
