"""Latency on this machine's CPU beside ONNX Runtime: ``python -m tests.bench_cpu``.

Every network is compiled here and run in one process with its peers, which take turns: ONNX Runtime in float32, and
in int8 as its own quantizer writes it (static QDQ, per channel). The table is what BENCHMARKS.md keeps.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from rich.console import Console
from rich.table import Table

import edgegate
from edgegate import bench, replay, runtime
from examples.engines import float_onnx, in_onnx_runtime
from tests.bench_nets import NETS, made

PEERS = ("ONNX Runtime float32", "ONNX Runtime int8")


class Samples:
    """Calibration data as ONNX Runtime's quantizer reads it."""

    def __init__(self, name: str, batches: list[Any]) -> None:
        self._rest = iter([{name: batch} for batch in batches])

    def get_next(self) -> Any:
        return next(self._rest, None)


def qdq(model: bytes, batches: list[Any]) -> bytes:
    """The float model as ONNX Runtime's static quantizer writes it: int8, per channel, QDQ."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static, shape_inference

    name = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).get_inputs()[0].name
    with tempfile.TemporaryDirectory() as folder:
        source, ready, target = (os.path.join(folder, f"{n}.onnx") for n in ("float", "ready", "int8"))
        with open(source, "wb") as file:
            file.write(model)
        shape_inference.quant_pre_process(source, ready, skip_symbolic_shape=True)
        quantize_static(
            ready, target, Samples(name, batches), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        with open(target, "rb") as file:
            return file.read()


def measured(name: str, rounds: int, peers: bool) -> dict[str, Any]:
    """Compile and time one network; milliseconds and seconds."""
    net, data = made(name)
    dims = NETS[name][1]
    one = data[: dims[0]].numpy()
    start = time.perf_counter()
    artifact = edgegate.compile(
        net, (torch.from_numpy(one),), target="llvm", calib={"": data.numpy()}, batch=dims[0], threads=1
    )
    compiling = time.perf_counter() - start
    session = runtime.Session(artifact, threads=1)
    replay.verify(session)
    engines: dict[str, bench.Call] = {"EdgeGate": lambda: session(one)}
    if peers:
        graph = float_onnx(net, one)
        batches = [data[i : i + dims[0]].numpy() for i in range(0, len(data) - dims[0] + 1, dims[0])]
        in_float, in_int8 = in_onnx_runtime(graph), in_onnx_runtime(qdq(graph, batches))
        engines |= {PEERS[0]: lambda: in_float(one), PEERS[1]: lambda: in_int8(one)}
    times = bench.interleaved(engines, rounds=rounds)
    return {"compile_s": round(compiling, 1), **{engine: found["median_ms"] for engine, found in times.items()}}


def machine() -> str:
    """What was measured on and with."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    tools = ", ".join(f"{name} {version(name)}" for name in ("apache-tvm", "onnxruntime", "numpy", "torch"))
    return f"{cpu}, {os.cpu_count()} cores, {platform.system()}; {tools}"


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="networks whose name holds this")
    parser.add_argument("--rounds", type=int, default=50, help="measurements of each engine")
    parser.add_argument("--alone", action="store_true", help="no peers")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    names = [name for name in NETS if options.only.lower() in name.lower()]
    rows = {name: measured(name, options.rounds, not options.alone) for name in names}
    if options.json:
        print(json.dumps({"machine": machine(), "rounds": options.rounds, "networks": rows}, indent=1))
        return
    console = Console(width=140)
    table = Table(title="median ms per call, one thread, float arrays in to float arrays out, engines taking turns")
    for heading in ("network", "compile s", "EdgeGate", *PEERS, "x float32", "x int8"):
        table.add_column(heading, justify="left" if heading == "network" else "right", no_wrap=True)
    for name, row in rows.items():
        ours, theirs = row["EdgeGate"], [row.get(peer, np.nan) for peer in PEERS]
        table.add_row(
            name, f"{row['compile_s']:.0f}", f"{ours:.2f}", *(f"{t:.2f}" for t in theirs),
            *(f"{t / ours:.2f}" for t in theirs),
        )  # fmt: skip
    console.print(table)
    console.print(machine(), highlight=False)


if __name__ == "__main__":
    main()
