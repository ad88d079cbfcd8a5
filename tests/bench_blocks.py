"""Latency of layers in block formats on this machine's CPU beside int8: ``python -m tests.bench_blocks``.

A SwiGLU layer is compiled in every format and run in one process with its peers, which take turns: ONNX Runtime in
float32, in int8 as its own quantizer writes it, and on the QDQ form of ours, which keeps the first block format. The
table is what BENCHMARKS.md keeps: medians, and the 10th percentiles, which say more where the machine is shared; the
ratios are theirs.
"""

from __future__ import annotations

import argparse
import json
import time

from rich.console import Console
from rich.table import Table

import edgegate
from edgegate import bench, replay, runtime
from examples.engines import float_onnx, in_onnx_runtime
from tests.bench_cpu import PEERS, machine, qdq
from tests.bench_nets import NETS, made

FORMATS = {
    "int8": ("int8", "none"), "w4a8_bfp": ("w4a8_bfp", "none"), "w4a8_bfp, hadamard": ("w4a8_bfp", "hadamard"),
    "bfp12": ("bfp12", "none"), "bfp16": ("bfp16", "none"), "mxfp4:mxint8": ("mxfp4:mxint8", "none"),
}  # fmt: skip
"""Engine to formats and transform."""
OWN_QDQ = "ONNX Runtime on our QDQ, w4a8_bfp"


def measured(name: str, wanted: list[str], rounds: int) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """What :func:`edgegate.bench.interleaved` says of each engine on a network, and how many seconds ours took."""
    net, data = made(name)
    rows = NETS[name][1][0]
    one, example = data[:rows].numpy(), (data[:rows],)
    options = {"calib": {"": data.numpy()}, "batch": rows}
    engines: dict[str, bench.Call] = {}
    compiling = {}
    for engine in wanted:
        formats, transform = FORMATS[engine]
        start = time.perf_counter()
        artifact = edgegate.compile(net, example, formats=(formats,), transform=transform, threads=1, **options)
        compiling[engine] = round(time.perf_counter() - start, 1)
        session = runtime.Session(artifact, threads=1)
        replay.verify(session)
        engines[engine] = lambda s=session: s(one)  # type: ignore[misc]
    graph = float_onnx(net, one)
    batches = [data[i : i + rows].numpy() for i in range(0, len(data) - rows + 1, rows)]
    own, _, _ = edgegate.quantize(net, example, formats=("w4a8_bfp",), transform="none", form="qdq", **options)
    for peer, model in ((PEERS[0], graph), (PEERS[1], qdq(graph, batches)), (OWN_QDQ, own)):
        run = in_onnx_runtime(model)
        engines[peer] = lambda r=run: r(one)  # type: ignore[misc]
    return bench.interleaved(engines, rounds=rounds), compiling


def main() -> None:
    """Print a table for each network, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="engines whose name holds this, and int8")
    parser.add_argument("--rounds", type=int, default=100, help="measurements of each engine")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    wanted = [engine for engine in FORMATS if engine == "int8" or options.only.lower() in engine]
    found = {name: measured(name, wanted, options.rounds) for name in NETS if name.startswith("SwiGLU")}
    if options.json:
        print(json.dumps({"machine": machine(), "rounds": options.rounds, "networks": found}, indent=1))
        return
    console = Console(width=140)
    for name, (times, compiling) in found.items():
        table = Table(title=f"{name}: ms per call, one thread, engines taking turns")
        for heading in ("engine", "compile s", "median ms", "p10 ms", *(f"x {peer}" for peer in ("int8", *PEERS))):
            table.add_column(heading, justify="left" if heading == "engine" else "right", no_wrap=True)
        for engine, ms in times.items():
            ratios = (times[peer]["p10_ms"] / ms["p10_ms"] for peer in ("int8", *PEERS))
            own = str(compiling.get(engine, "")), f"{ms['median_ms']:.3f}", f"{ms['p10_ms']:.3f}"
            table.add_row(engine, *own, *(f"{r:.2f}" for r in ratios))
        console.print(table)
    console.print(machine(), highlight=False)


if __name__ == "__main__":
    main()
