"""Kernels for other processors, run in QEMU: a C program that calls them takes the place of TVM's runtime."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tvm

from edgegate.targets._machine import Machine

EMULATORS = {"aarch64": "qemu-aarch64-static", "riscv64": "qemu-riscv64-static"}
CODES = {"i": 0, "u": 1, "b": 6}
"""DLPack's type codes by numpy's kinds."""
RUNTIME = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct { int32_t type; uint32_t zero; void *pointer; } Any;
typedef struct {
    void *data; int32_t device[2]; int32_t ndim; uint8_t code, bits; uint16_t lanes;
    int64_t *shape, *strides; uint64_t offset;
} Tensor;
typedef struct { void *handle; int32_t tasks; } Group;

static void *take(int device, int id, uint64_t size, int code, int bits) {
    return aligned_alloc(64, (size + 63) / 64 * 64);
}
static int give(int device, int id, void *pointer) { free(pointer); return 0; }
static int launch(int (*body)(int, Group *, void *), void *data, int tasks) {
    int count = tasks ? tasks : 3;  /* three threads, one after the other */
    Group group = {0, count};
    for (int i = 0; i < count; ++i)
        if (body(i, &group, data)) return -1;
    return 0;
}
void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int) = take;
int (*__TVMBackendFreeWorkspace)(int, int, void *) = give;
int (*__TVMBackendParallelLaunch)(int (*)(int, Group *, void *), void *, int) = launch;
void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count) {
    fprintf(stderr, "%s: ", kind);
    for (int i = 0; i < count; ++i) fputs(parts[i], stderr);
    exit(1);
}
"""

Call = tuple[str, list[Any], Any]
"""A kernel's name, its arguments, and an array like its output."""


def available(machine: Machine) -> bool:
    """Whether this machine can link and emulate programs for ``machine``."""
    return bool(shutil.which(machine.architecture.compiler) and shutil.which(emulator(machine)))


def emulator(machine: Machine) -> str:
    return EMULATORS[machine.triple.partition("-")[0]]


def run(functions: dict[str, Any], calls: Sequence[Call], machine: Machine, folder: Path) -> list[Any]:
    """Call TIR functions on another processor; what each wrote."""
    named = {name: f.with_attr("global_symbol", name) for name, f in functions.items()}
    tvm.compile(tvm.IRModule(named), machine.target).mod.write_to_file(str(folder / "kernels.o"), "o")
    (folder / "main.c").write_text(RUNTIME + "".join(_main(calls)))
    objects = [str(folder / "main.c"), str(folder / "kernels.o")]
    program = str(folder / "program")
    subprocess.run([machine.architecture.compiler, "-O1", "-w", "-static", "-o", program, *objects], check=True)
    (folder / "in").write_bytes(b"".join(_padded(a) for _, arrays, _ in calls for a in arrays))
    done = subprocess.run([emulator(machine), program, folder / "in", folder / "out"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written, results = (folder / "out").read_bytes(), []
    for _, _, like in calls:
        results.append(np.frombuffer(written[: like.nbytes], like.dtype).reshape(like.shape))
        written = written[like.nbytes :]
    assert not written
    return results


def _padded(array: Any) -> bytes:
    data = np.ascontiguousarray(array).tobytes()
    return data + bytes(-len(data) % 64)


def _main(calls: Sequence[Call]) -> Any:
    """The C function that reads the arguments, calls the kernels and writes their outputs."""
    yield "".join(f"int __tvm_ffi_{name}(void *, Any *, int32_t, Any *);\n" for name in {name for name, _, _ in calls})
    yield "int main(int argc, char **argv) {\n"
    yield '    FILE *in = fopen(argv[1], "rb"), *out = fopen(argv[2], "wb"); Any result = {0};\n'
    for name, arrays, like in calls:
        yield "    {\n"
        for i, array in enumerate((*arrays, like)):
            yield _tensor(f"t{i}", array, given=i < len(arrays))
        arguments = ", ".join(f"{{7, 0, &t{i}}}" for i in range(len(arrays) + 1))
        yield f"        Any arguments[] = {{{arguments}}};\n"
        yield f"        if (__tvm_ffi_{name}(0, arguments, {len(arrays) + 1}, &result)) return 1;\n"
        yield f"        fwrite(t{len(arrays)}.data, 1, {like.nbytes}, out);\n    }}\n"
    yield "    return fclose(out);\n}\n"


def _tensor(name: str, array: Any, *, given: bool) -> str:
    """A tensor that is read from the file, or one full of poison."""
    size = array.nbytes + -array.nbytes % 64
    shape = ", ".join(map(str, array.shape)) or "1"
    strides = ", ".join(str(s // array.itemsize) for s in np.empty(array.shape, array.dtype).strides) or "1"
    fill = f"fread({name}.data, 1, {size}, in)" if given else f"__builtin_memset({name}.data, 85, {size})"
    return (
        f"        int64_t {name}s[] = {{{shape}}}, {name}d[] = {{{strides}}};\n"
        f"        Tensor {name} = {{aligned_alloc(64, {size}), {{1, 0}}, {array.ndim}, {CODES[array.dtype.kind]}, "
        f"{8 * array.itemsize}, 1, {name}s, {name}d, 0}};\n"
        f"        {fill};\n"
    )
