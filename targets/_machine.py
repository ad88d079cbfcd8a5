"""Which processor a program is for: LLVM's triple, LLVM's name of the processor, the extensions that it has."""

from __future__ import annotations

import difflib
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm.target import Target, codegen

from edgegate import _cpu, manifest
from edgegate.errors import ToolchainError


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What differs between the processors that Linux runs on.

    Attributes:
        baseline: LLVM's name of the least processor of the kind.
        compiler: The C compiler that links for it on another machine.
        package: The Debian package that holds the compiler.
        attributes: Extensions that every Linux machine of the kind has and ``baseline`` lacks.
        abi: LLVM's name of the calling convention; "": its default.
    """

    baseline: str
    compiler: str
    package: str
    attributes: tuple[str, ...] = ()
    abi: str = ""


ARCHITECTURES = {
    "x86_64": Architecture(baseline="x86-64", compiler="x86_64-linux-gnu-gcc", package="gcc-x86-64-linux-gnu"),
    "aarch64": Architecture(baseline="generic", compiler="aarch64-linux-gnu-gcc", package="gcc-aarch64-linux-gnu"),
    "riscv64": Architecture(
        baseline="generic-rv64", compiler="riscv64-linux-gnu-gcc", package="gcc-riscv64-linux-gnu",
        attributes=("+m", "+a", "+f", "+d", "+c"), abi="lp64d",
    ),
}  # fmt: skip
ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}
NATIVE = "native"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A processor that programs are made for.

    Attributes:
        triple: LLVM's target triple.
        mcpu: LLVM's name of the processor; never "native".
        attributes: Extensions switched on ("+x") or off ("-x") beside what ``mcpu`` says.
    """

    triple: str
    mcpu: str
    attributes: tuple[str, ...] = ()

    @property
    def architecture(self) -> Architecture:
        """Of the triple."""
        return ARCHITECTURES[self.triple.partition("-")[0]]

    @property
    def target(self) -> Any:
        """As TVM has it."""
        spec: dict[str, Any] = {"kind": "llvm", "mtriple": self.triple, "mcpu": self.mcpu}
        if self.attributes:
            spec["mattr"] = list(self.attributes)
        if self.architecture.abi:
            spec["mabi"] = self.architecture.abi
        return Target(spec)

    @property
    def features(self) -> tuple[str, ...]:
        """Every extension that LLVM may use, in its words, sorted."""
        return tuple(sorted(str(name) for name in codegen.llvm_get_cpu_features(self.target)))

    def described(self, kind: str) -> manifest.Target:
        """As an artifact of the target ``kind`` records it."""
        return manifest.Target(kind=kind, triple=self.triple, mcpu=self.mcpu, features=self.features)

    def link(self, output: str, objects: Sequence[str]) -> None:
        """Link object files to the shared library ``output``.

        Raises:
            ToolchainError: There is no compiler for the machine, or it fails.
        """
        command = [self.compiler(), "-shared", "-s", "-Wl,--build-id=none", "-o", output, *objects]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = next(iter(done.stderr.strip().splitlines()), f"exit code {done.returncode}")
            raise ToolchainError(f"{command[0]} cannot link the program: {reason[:200]}")

    def compiler(self) -> str:
        """The C compiler to link with.

        Raises:
            ToolchainError: There is none for the machine.
        """
        here = _architecture(platform.machine()) == self.triple.partition("-")[0]
        wanted = [os.environ.get("CC", ""), "cc", "gcc", "clang"] if here else []
        for name in (*wanted, self.architecture.compiler):
            if name and (found := shutil.which(name)):
                return found
        package = "gcc" if here else self.architecture.package
        raise ToolchainError(f"no C compiler to link for {self.triple}: install the package {package}")


def machine(triple: str, mcpu: str) -> Machine:
    """The machine that the user names.

    Args:
        triple: LLVM's target triple, of a Linux; "": this machine's.
        mcpu: LLVM's name of the processor, or "native"; "": native on this machine, else the least of its kind.

    Raises:
        ValueError: LLVM or EdgeGate does not know them.
    """
    here = f"{_architecture(platform.machine())}-unknown-linux-gnu"
    triple = triple or here
    kind, *rest = triple.split("-")
    if kind not in ARCHITECTURES or "linux" not in rest:
        raise ValueError(f"triple must be a Linux on one of {', '.join(ARCHITECTURES)}, got {triple!r}")
    architecture = ARCHITECTURES[kind]
    at_home = kind == here.partition("-")[0]
    if mcpu == NATIVE and not at_home:
        raise ValueError(f"mcpu native names this machine, which is no {kind}: name the processor")
    if mcpu == NATIVE or (not mcpu and at_home):
        return _native(triple, architecture)
    plain = Target({"kind": "llvm", "mtriple": triple})
    known = sorted(str(name) for name in codegen.llvm_get_cpu_archlist(plain))
    if mcpu and mcpu not in known:
        near = difflib.get_close_matches(mcpu, known, n=3) or known[:8]
        raise ValueError(f"mcpu {mcpu!r} is no {kind} processor of LLVM; near to it: {', '.join(near)}")
    return Machine(triple=triple, mcpu=mcpu or architecture.baseline, attributes=architecture.attributes)


def _native(triple: str, architecture: Architecture) -> Machine:
    """This machine: what LLVM makes of its processor, less the extensions that a hypervisor hides."""
    whole = Machine(triple=triple, mcpu=str(codegen.llvm_get_system_cpu()), attributes=architecture.attributes)
    hidden = tuple(f"-{name}" for name in _cpu.lacking(whole.features))
    return Machine(triple=triple, mcpu=whole.mcpu, attributes=(*whole.attributes, *hidden))


def _architecture(name: str) -> str:
    return ALIASES.get(name.lower(), name.lower())
