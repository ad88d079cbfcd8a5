"""Latency of the compiled examples beside ONNX Runtime, one thread: ``python -m examples.bench``."""

from __future__ import annotations

from itertools import product

import torch
from rich.console import Console
from rich.table import Table

import edgegate
from edgegate import runtime
from examples import digits
from examples.digits import Array
from examples.engines import Engine, float_onnx, in_onnx_runtime, latencies
from examples.train import RECIPES, trained

BATCHES = (1, 32)


def engines(name: str, images: Array) -> dict[str, Engine]:
    """The engines to time for the network ``name``, for calls of the shape of ``images``."""
    net = trained(name)
    calib = {"": digits.calibration()}
    artifact = edgegate.compile(net, (torch.from_numpy(images),), target="llvm", calib=calib, batch=len(images))
    return {
        "artifact": runtime.Session(artifact, threads=1),
        "ONNX Runtime float32": in_onnx_runtime(float_onnx(net, images)),
        "ONNX Runtime integers": in_onnx_runtime(artifact.files["model.onnx"]),
    }


def main() -> None:
    """Compile every example for every batch size, time, and print."""
    _, test = digits.load()
    times: dict[tuple[str, int], dict[str, float]] = {}
    with Console(stderr=True).status("compiling and timing"):
        for name, batch in product(RECIPES, BATCHES):
            images = test.images[:batch]
            times[name, batch] = latencies(engines(name, images), images)
    table = Table(title="median µs per call, one thread, engines taking turns")
    for heading in ("network", "batch", *next(iter(times.values()))):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for (name, batch), row in times.items():
        table.add_row(name, str(batch), *(f"{time:,.0f}" for time in row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
