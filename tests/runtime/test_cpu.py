"""A program that the processor cannot execute is not loaded."""

import platform

import pytest

from edgegate import _cpu
from edgegate.artifact import Target
from edgegate.errors import UnsafeError
from edgegate.runtime import Session
from tests import tiny_program as tiny


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target(kind="llvm", triple="riscv64-linux-gnu"), "the program is for riscv64, this machine is"),
        (Target(kind="llvm", features=("avx1024",)), "needs avx1024, which"),
        (Target(kind="llvm", features=("+avx1024", "-avx")), "needs avx1024, which"),
        (Target(kind="llvm", mcpu="skylake"), "but not the extensions"),
    ],
)
def test_a_program_for_another_processor_is_not_loaded(target, words):
    with pytest.raises(UnsafeError, match=words) as caught:
        Session(tiny.artifact(b"never loaded", target=target))
    assert "\n" not in str(caught.value)


AVX10 = "avx512_bf16 avx512_bitalg avx512_fp16 avx512ifma avx512vbmi avx512_vbmi2 avx512_vpopcntdq"
KERNEL = {
    "x86_64": "fpu cmov cx8 fxsr mmx sse sse2 pni ssse3 sse4_1 sse4_2 popcnt cx16 lahf_lm lm avx avx2 bmi1 bmi2 "
    "f16c fma abm movbe xsave avx512f avx512bw avx512cd avx512dq avx512vl avx512_vnni",
    "aarch64": "fp asimd crc32 atomics asimdrdm asimddp",
}


@pytest.mark.parametrize(
    ("machine", "target", "good"),
    [
        ("x86_64", Target(kind="llvm"), True),
        ("x86_64", Target(kind="llvm", mcpu="x86-64-v3"), True),
        ("x86_64", Target(kind="llvm", triple="x86_64-pc-linux-gnu", mcpu="x86-64-v4"), True),
        ("AMD64", Target(kind="llvm", triple="x86_64-linux", features=("avx512vnni", "crc32", "lzcnt")), True),
        ("x86_64", Target(kind="llvm", mcpu="x", features=("xsave", "fast-gather", "prefer-256-bit", "pku")), True),
        ("x86_64", Target(kind="llvm", features=("amx-int8",)), False),
        ("x86_64", Target(kind="llvm", features=("avxvnni",)), False),
        ("x86_64", Target(kind="llvm", features=("lm",)), False),  # the kernel's word is not LLVM's
        ("aarch64", Target(kind="llvm", triple="arm64-apple", features=("neon", "dotprod", "lse", "crc")), True),
        ("aarch64", Target(kind="llvm", triple="aarch64-linux-gnu", features=("i8mm",)), False),
        ("aarch64", Target(kind="llvm", triple="x86_64-linux-gnu"), False),
    ],
)
def test_features_of_processors(monkeypatch, machine, target, good):
    flags = KERNEL["aarch64" if machine == "aarch64" else "x86_64"]
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(_cpu, "flags", lambda: frozenset(flags.split()))
    if good:
        _cpu.check(target)
    else:
        with pytest.raises(UnsafeError):
            _cpu.check(target)


@pytest.mark.parametrize("absent", ["", *AVX10.split(), "avx512_vnni"])
def test_avx10_is_all_that_it_stands_for(monkeypatch, absent):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(_cpu, "flags", lambda: {*KERNEL["x86_64"].split(), *AVX10.split()} - {absent})
    assert _cpu.lacking(["avx10.1"]) == (["avx10.1"] if absent else [])


def test_this_machine_has_what_llvm_finds_in_it():
    import tvm

    if platform.machine() != "x86_64":
        pytest.skip("the words are x86's")
    found = tvm.get_global_func("tvm.codegen.llvm.GetHostCPUFeatures")()
    features = tuple(str(k) for k, has in dict(found).items() if has)
    assert len(features) > 5
    _cpu.check(Target(kind="llvm", mcpu="this", features=features))
