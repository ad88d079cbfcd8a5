"""A Verilog artifact as a program: its own testbench in Icarus Verilog, one process a call.

The testbench reads samples from a file and writes what the module answers (:mod:`edgegate.targets.rtl.bench`); here
are only the two files.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

import numpy as np

from edgegate import files
from edgegate._npz import Array
from edgegate.errors import FileError, MismatchError, ToolchainError
from edgegate.manifest import IOSpec, samples

BENCH = "_tb.v"
"""How the name of a testbench ends."""
LIMIT = 1 << 31
"""Most bytes of answers."""


class VerilogProgram:
    """A simulated module with its input buffers. Not for two threads at a time.

    Args:
        contents: The artifact's files.
        inputs: As the manifest has them.
        outputs: As the manifest has them.

    Raises:
        ToolchainError: Icarus Verilog is not installed.
        FileError: The artifact holds no testbench, or the simulator refuses its sources.
    """

    def __init__(self, contents: Mapping[str, bytes], inputs: Sequence[IOSpec], outputs: Sequence[IOSpec]) -> None:
        self._outputs = outputs
        self.buffers: list[Array] = [np.zeros(s.stored_shape, s.stored_dtype) for s in inputs]
        """What the program reads, in its order: fill these before :meth:`run`."""
        self._samples = samples(inputs, outputs)
        self._folder = tempfile.TemporaryDirectory(prefix="edgegate-")
        sources = {name: data for name, data in contents.items() if name.endswith(".v")}
        benches = [name for name in sources if name.endswith(BENCH)]
        if len(benches) != 1:
            raise FileError(f"the artifact holds {len(benches)} testbenches, expected one file *{BENCH}")
        for name, data in sources.items():
            files.write(os.path.join(self._folder.name, os.path.basename(name)), [data])
        top = os.path.basename(benches[0])[: -len(".v")]
        self._call("iverilog", "-g2001", "-s", top, "-o", "program", *map(os.path.basename, sources))

    def run(self) -> list[Array]:
        """Simulate what the buffers hold.

        Raises:
            MismatchError: The module leaves an answer out, or undefined.
        """
        rows = [buffer.reshape(self._samples, -1) != 0 for buffer in self.buffers]
        lines = [" ".join(_hexadecimal(row[i]) for row in rows) for i in range(self._samples)]
        files.write(os.path.join(self._folder.name, "in.txt"), ["".join(f"{line}\n" for line in lines).encode()])
        self._call("vvp", "-n", "program", "+stimuli=in.txt", "+responses=out.txt")
        answers = files.read(os.path.join(self._folder.name, "out.txt"), LIMIT).decode("ascii", "replace")
        return self._split([line.split() for line in answers.splitlines()])

    def _split(self, answers: Sequence[Sequence[str]]) -> list[Array]:
        sizes = [math.prod(spec.stored_shape) // self._samples for spec in self._outputs]
        if len(answers) != self._samples or any(len(answer) != sum(sizes) for answer in answers):
            raise MismatchError(f"the module gives {len(answers)} answers to {self._samples} samples, or parts of them")
        try:
            table = np.array(answers, np.int64).reshape(self._samples, sum(sizes))
        except ValueError as e:  # x and z are no digits
            raise MismatchError(f"the module leaves outputs undefined: {' '.join(str(e).split())[:100]}") from e
        parts = np.split(table, np.cumsum(sizes)[:-1], 1)
        return [
            part.astype(spec.stored_dtype).reshape(spec.stored_shape)
            for part, spec in zip(parts, self._outputs, strict=True)
        ]

    def _call(self, tool: str, *arguments: str) -> None:
        if shutil.which(tool) is None:
            raise ToolchainError(f"{tool} is not installed: install the package iverilog")
        done = subprocess.run([tool, *arguments], cwd=self._folder.name, capture_output=True, text=True, check=False)
        if done.returncode:
            text = done.stderr or done.stdout
            reason = next(iter(text.strip().splitlines()), f"exit code {done.returncode}")
            raise FileError(f"{tool} refuses the module: {reason[:200]}")


def _hexadecimal(bits: Array) -> str:
    """Bit ``i`` of the number is element ``i``."""
    return np.packbits(bits, bitorder="little").tobytes()[::-1].hex()
