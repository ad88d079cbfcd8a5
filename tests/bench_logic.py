"""A trained network of 48,000 gates: how small it gets, how fast it compiles, is proved and runs, and one of 256,000.

    python -m tests.bench_logic [FOLDER]

FOLDER holds ``lgn_mnist20x20_6x8000.npz`` (the network: ``input_a``, ``input_b`` and ``gate`` [6, 8000]) and
``mnist_t10k.npz`` (``images`` and ``labels``). One thread. Every figure has a limit; if one is missed,
the exit code is 1.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import edgegate
from edgegate.artifact import Artifact
from edgegate.logic import GroupSum as Sums
from edgegate.logic import Netlist, counts, evaluate
from edgegate.nn import GroupSum, Lut
from edgegate.passes.logic import optimise
from edgegate.proof import prove
from edgegate.runtime import Session

FOLDER = Path(__file__).parents[2] / "shared" / "data"
BATCH = 2048
CLASSES, TAU = 10, 10.0

Row = tuple[str, float, str, float, bool]
"""What, measured, unit, limit, whether the limit is a most."""


def network(folder: Path) -> tuple[nn.Sequential, Netlist]:
    """The trained network as torch modules, and as a netlist."""
    data = np.load(folder / "lgn_mnist20x20_6x8000.npz")
    gates = [data[name].astype(np.int64) for name in ("gate", "input_a", "input_b")]
    return of_gates(400, *gates)


def of_gates(inputs: int, gate: Any, a: Any, b: Any) -> tuple[nn.Sequential, Netlist]:
    """Layers of two-input gates in difflogic's numbers, [layers, width] each."""
    layers, width = gate.shape
    address = np.arange(4)
    tables = gate[..., None] >> (3 - (2 * (address & 1) + (address >> 1))) & 1
    wiring = np.stack([a, b], -1)
    modules = [Lut(torch.from_numpy(i), torch.from_numpy(t).bool()) for i, t in zip(wiring, tables, strict=True)]
    starts = 1 + np.concatenate([[0], inputs + width * np.arange(layers - 1)])
    netlist = Netlist(
        inputs=inputs,
        fanins=(wiring + starts[:, None, None]).reshape(-1, 2).astype(np.int32),
        tables=(tables.reshape(-1, 4) << address).sum(1).astype(np.uint64),
        outputs=2 * (1 + inputs + width * (layers - 1) + np.arange(width, dtype=np.int32)),
    )
    return nn.Sequential(*modules, GroupSum(CLASSES, tau=TAU)), netlist


def images(folder: Path) -> tuple[Any, Any]:
    """The test set as the network takes it, bool [10000, 400], and its labels."""
    data = np.load(folder / "mnist_t10k.npz")
    return (data["images"][:, 4:24, 4:24] >= 128).reshape(-1, 400), data["labels"]


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """Time of the process, and the result."""
    begun = time.process_time()
    result = call()
    return time.process_time() - begun, result


def sizes(netlist: Netlist) -> Iterator[Row]:
    """What is left of the gates."""
    sums = Sums.contiguous(len(netlist.outputs), CLASSES)
    _, two = seconds(lambda: optimise(netlist, sums, k=2))
    taken, three = seconds(lambda: optimise(netlist, sums))
    yield "two-input gates", two.netlist.gates, "", 25_300, True
    yield "tables of three inputs", three.netlist.gates, "", 19_000, True
    yield "making it small", taken, "s", 5, True


def answers(artifact: Artifact, netlist: Netlist, x: Any) -> Iterator[Row]:
    """Every class count of every image against the definition."""
    session, wrong = Session(artifact, threads=1), 0
    sums = Sums.contiguous(len(netlist.outputs), CLASSES)
    scores = session(x)
    for start in range(0, len(x), 500):
        wanted = counts(sums, evaluate(netlist, x[start : start + 500]))
        wrong += int((scores[start : start + 500] != (wanted / TAU).astype(np.float32)).sum())
    yield "wrong class counts of 100,000", wrong, "", 0, True


def speed(artifact: Artifact, x: Any) -> Iterator[Row]:
    """Bool rows in, class counts out; the best of many, since the machine is shared."""
    session = Session(artifact, threads=1)
    rows = np.ascontiguousarray(x[:BATCH]).view(np.uint8)
    program = session._program
    np.copyto(program.buffers[0], rows)
    inside = min(timed(program.run) for _ in range(300)) / BATCH
    whole = min(timed(lambda: session.run_stored([rows])) for _ in range(300)) / BATCH
    yield "program: rows in, counts out", 1e-6 / inside, "M images/s", 15, False
    yield "session: the same, rows copied in", 1e-6 / whole, "M images/s", 10, False


def timed(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def large() -> Iterator[Row]:
    """256,000 gates in another process, for its memory."""
    code = "from tests import bench_logic; bench_logic.compile_large()"
    done = subprocess.run([sys.executable, "-c", code, str(FOLDER)], capture_output=True, text=True, check=True)
    taken, memory = map(float, done.stdout.split()[-2:])
    yield "256,000 gates: compile", taken, "s", 60, True
    yield "256,000 gates: memory", memory, "GiB", 2, True


def compile_large() -> None:
    """Compile 4 layers of 64,000 gates, wired at random, with the gates of the trained network."""
    rng = np.random.default_rng(0)
    trained = np.load(Path(sys.argv[-1]) / "lgn_mnist20x20_6x8000.npz")["gate"].reshape(-1)
    width, inputs = 64_000, 784
    gate = rng.choice(trained, (4, width)).astype(np.int64)
    limits = np.array([inputs, width, width, width])[:, None]
    a, b = ((rng.random((4, width)) * limits).astype(np.int64) for _ in "ab")
    net, _ = of_gates(inputs, gate, a, b)
    taken, _ = seconds(lambda: edgegate.compile(net, (torch.zeros(512, inputs),), batch=512, threads=1))
    print(taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def rows(folder: Path) -> Iterator[Row]:
    """Every figure."""
    net, netlist = network(folder)
    x, _ = images(folder)
    yield from sizes(netlist)
    taken, artifact = seconds(lambda: edgegate.compile(net, (torch.zeros(BATCH, 400),), batch=BATCH, threads=1))
    yield "compile, torch to artifact", taken, "s", 10, True
    yield from answers(artifact, netlist, x)
    taken, _ = seconds(lambda: prove(artifact))
    yield "proof by SAT", taken, "s", 10, True
    yield from speed(artifact, x)
    yield from large()


def main() -> int:
    """Print the table; 1 if a figure is missed."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    missed = 0
    for what, measured, unit, limit, most in rows(folder):
        kept = measured <= limit if most else measured >= limit
        missed += not kept
        mark = "" if kept else "  MISSED"
        print(
            f"{what:<36} {measured:>12,.3f} {unit:<11} {'at most' if most else 'at least'} {limit:,}{mark}", flush=True
        )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
