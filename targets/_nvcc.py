"""NVIDIA's compiler: from CUDA C++ to a cubin or PTX, without a GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

from edgegate import files
from edgegate.errors import ToolchainError

HOMES = ("CUDA_HOME", "CUDA_PATH")
PLACES = ("/usr/local/cuda",)
LIMIT = 1 << 30
FLAGS = ("-O3", "--std=c++17")


def nvcc() -> str:
    """The path of the compiler.

    Raises:
        ToolchainError: It is not installed.
    """
    homes = [*(os.environ[name] for name in HOMES if os.environ.get(name)), *PLACES]
    for found in (shutil.which("nvcc"), *(shutil.which(os.path.join(home, "bin", "nvcc")) for home in homes)):
        if found:
            return found
    raise ToolchainError(
        "no nvcc to compile CUDA with: install the CUDA toolkit, 12 or newer (the package cuda-nvcc of NVIDIA, or "
        "nvidia-cuda-toolkit of Debian and Ubuntu); no GPU is needed"
    )


def compiled(source: str, architecture: str, *, ptx: bool = False) -> bytes:
    """The machine code for one architecture, or its PTX.

    Args:
        source: CUDA C++.
        architecture: "90" and the like.
        ptx: PTX, which drivers compile for newer architectures.

    Raises:
        ToolchainError: There is no compiler, or it fails.
    """
    kind, code = ("-ptx", f"compute_{architecture}") if ptx else ("-cubin", f"sm_{architecture}")
    with tempfile.TemporaryDirectory(prefix="edgegate-") as folder:
        given, made = os.path.join(folder, "program.cu"), os.path.join(folder, "program.out")
        files.write(given, [source.encode()])
        command = [nvcc(), kind, f"-arch={code}", *FLAGS, "-o", made, "program.cu"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = (done.stderr + done.stdout).strip().splitlines()
            reason = next((line for line in lines if "error" in line or "fatal" in line), lines[0] if lines else "")
            raise ToolchainError(f"nvcc cannot compile for {code}: {reason[:200] or f'exit code {done.returncode}'}")
        return files.read(made, LIMIT)
