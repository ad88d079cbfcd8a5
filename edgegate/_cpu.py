"""Can this machine's processor execute a program? Asked before the program is loaded.

An instruction that the processor lacks ends the process without a word, so a program is loaded only
if every extension it may use is known to be there.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
from functools import cache

from edgegate.errors import UnsafeError
from edgegate.manifest import Target

SAME = """
    adx aes amx_bf16 amx_fp16 amx_int8 amx_tile avx avx2 avx512bw avx512cd avx512dq avx512f avx512ifma avx512vbmi
    avx512vl bmi2 cx16 cx8 cmov f16c fma fma4 fxsr gfni mmx movbe popcnt sse sse2 sse4a ssse3 tbm vaes cmpccxadd
    vpclmulqdq xop sm4 sha512 sha2 sha3 crc32 sve sve2 i8mm bf16
"""
"""Extensions that LLVM and the kernel call the same."""
OTHER = {
    "64bit": "lm", "amx-bf16": "amx_bf16", "amx-fp16": "amx_fp16", "amx-int8": "amx_int8", "amx-tile": "amx_tile",
    "avx512bf16": "avx512_bf16", "avx512bitalg": "avx512_bitalg", "avx512fp16": "avx512_fp16",
    "avx512vbmi2": "avx512_vbmi2", "avx512vnni": "avx512_vnni", "avx512vp2intersect": "avx512_vp2intersect",
    "avx512vpopcntdq": "avx512_vpopcntdq", "avxifma": "avx_ifma", "avxneconvert": "avx_ne_convert",
    "avxvnni": "avx_vnni", "avxvnniint8": "avx_vnni_int8", "avxvnniint16": "avx_vnni_int16", "bmi": "bmi1",
    "lzcnt": "abm",
    "pclmul": "pclmulqdq", "prfchw": "3dnowprefetch", "sahf": "lahf_lm", "sha": "sha_ni", "sse3": "pni",
    "sse4.1": "sse4_1", "sse4.2": "sse4_2", "crc": "crc32", "dotprod": "asimddp", "fp-armv8": "fp",
    "fp16fml": "asimdfhm", "fullfp16": "asimdhp", "lse": "atomics", "neon": "asimd", "rdm": "asimdrdm",
    "sve2-aes": "sveaes", "sve2-sha3": "svesha3", "sve2-sm4": "svesm4", "sve2-bitperm": "svebitperm",
    "complxnum": "fcma", "jsconv": "jscvt", "altnzcv": "flagm2",
}  # fmt: skip
"""LLVM's word for an extension -> the kernel's, where they differ."""
WHOLE = {
    "avx10.1": """
        avx512bf16 avx512bitalg avx512bw avx512cd avx512dq avx512f avx512fp16 avx512ifma avx512vbmi avx512vbmi2
        avx512vl avx512vnni avx512vpopcntdq
    """
}
"""LLVM's words that mean others and nothing beside them; kernels before 6.15 do not tell of these."""
ON_X86 = {"crc32": "sse4_2"}
"""On x86 LLVM splits an instruction off an extension that the kernel reports as a whole."""
UNUSED = """
    64bit-mode cldemote clflushopt clwb clzero enqcmd ermsb fsgsbase fsrm hreset invpcid kl lwp movdir64b movdiri
    ete mwaitx nopl pconfig pku prefetchi prefetchwt1 ptwrite rdpid rdpru rdrnd rdseed rtm serialize sgx shstk tsxldtrk
    trbe uintr usermsr vzeroupper waitpkg wbnoinvd widekl x87 xsave xsavec xsaveopt xsaves
"""
"""Extensions that LLVM never uses unasked: system, random numbers, transactions, hints."""
TUNING = """
    allow-light- branchfusion enable-select-opt fast- faster- false-deps- fuse- idivl- idivq- inc-dec-slow lea-
    macrofusion no-bypass- pad-short- prefer- sbb-dep- slow- soft-float tagged-globals tuning- use-glm-
    use-postra-scheduler use-slm-
"""
"""How LLVM's words begin that only choose among instructions that are there anyway."""
LEVELS = {"": (), "generic": (), "x86-64": (), "x86-64-v2": ("sse4.2", "ssse3", "popcnt", "cx16", "sahf")}
LEVELS["x86-64-v3"] = (*LEVELS["x86-64-v2"], "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
LEVELS["x86-64-v4"] = (*LEVELS["x86-64-v3"], "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
"""Processor names that say by themselves what they need."""
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def check(target: Target) -> None:
    """Return if this machine can execute a program made for ``target``.

    Raises:
        UnsafeError: It cannot, or that cannot be told.
    """
    wanted = target.triple.split("-")[0].lower()
    machine = platform.machine().lower()
    if wanted and MACHINES.get(wanted, wanted) != MACHINES.get(machine, machine):
        raise UnsafeError(f"the program is for {wanted}, this machine is {machine}")
    if target.mcpu not in LEVELS and not target.features:
        raise UnsafeError(f"the manifest names the processor {target.mcpu} but not the extensions that it has")
    needed = [*LEVELS.get(target.mcpu, ()), *target.features]
    if absent := lacking(needed):
        raise UnsafeError(
            f"the program needs {', '.join(absent)}, which this machine's processor lacks; "
            "compile it with another --mcpu"
        )


def lacking(features: Iterable[str]) -> list[str]:
    """Which of LLVM's ``features`` this machine's processor lacks, or does not tell of; sorted."""
    machine = platform.machine().lower()
    return sorted({word.lstrip("+") for word in features if not _has(word, machine)})


def _has(word: str, machine: str) -> bool:
    """Whether the processor has LLVM's feature ``word``, or needs not have it."""
    name = word.lstrip("+")
    if word.startswith("-") or name in UNUSED.split() or name.startswith(tuple(TUNING.split())):
        return True
    if name in WHOLE:
        return all(_has(part, machine) for part in WHOLE[name].split())
    if MACHINES.get(machine, machine) == "x86_64" and name in ON_X86:
        return ON_X86[name] in flags()
    return OTHER.get(name, name if name in SAME.split() else "unknown") in flags()


@cache
def flags() -> frozenset[str]:
    """The extensions of this machine's processor in the kernel's words; none if it does not tell."""
    if not sys.platform.startswith("linux"):
        return frozenset()
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() in ("flags", "Features"):
                return frozenset(value.split())
    return frozenset()
