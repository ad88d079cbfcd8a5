"""100 M parameters from one file to another: seconds and peak memory. ``python -m tests.bench_quant_size`` is it.

A stack of gated perceptrons behind RMS norms, as ONNX: read, checked, normalised, quantized in blocks with WUSH and no
data, and made the ONNX file that ONNX Runtime runs, all in a fresh process, whose memory is that of everything.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.bench_quant_layers import Figure

LAYERS, CHANNELS, HIDDEN, TOKENS, FORM = 12, 1024, 2816, 16, "bfp12"


def write(path: str) -> None:
    """The model: ``x + down(silu(gate(norm(x))) * up(norm(x)))`` twelve times."""
    rng = np.random.default_rng(0)
    nodes, weights, x = [], [], "x"

    def held(name: str, data: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(data, name))
        return name

    def node(op: str, inputs: list[str], name: str, **attributes: int) -> str:
        nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def linear(source: str, inputs: int, outputs: int, name: str) -> str:
        matrix = rng.standard_normal((inputs, outputs), np.float32) / np.float32(inputs**0.5)
        return node("MatMul", [source, held(f"{name}.weight", matrix)], name)

    for i in range(LAYERS):
        gains = np.exp(0.4 * rng.standard_normal(CHANNELS)).astype(np.float32)
        bias = np.zeros(CHANNELS, np.float32)
        normed = node("LayerNormalization", [x, held(f"{i}.gain", gains), held(f"{i}.bias", bias)], f"{i}.norm")
        gate, up = (linear(normed, CHANNELS, HIDDEN, f"{i}.{part}") for part in ("gate", "up"))
        opened = node("Mul", [gate, node("Sigmoid", [gate], f"{i}.sigmoid")], f"{i}.silu")
        hidden = node("Mul", [opened, up], f"{i}.hidden")
        x = node("Add", [x, linear(hidden, HIDDEN, CHANNELS, f"{i}.down")], f"{i}.out")
    dims = (1, TOKENS, CHANNELS)
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims) for name in ("x", x)]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)


def main(path: str) -> None:
    """Print seconds, the bytes of the file, of the one it becomes and of its stored weights, and peak memory."""
    import edgegate

    start = time.perf_counter()
    data, _, found = edgegate.quantize(path, formats=(FORM,), transform="wush", form="qdq")
    totals = found["totals"]
    measured = {
        "seconds": time.perf_counter() - start,
        "parameters": totals["float_bytes"] // 4,
        "model": os.path.getsize(path),
        "stored": totals["weight_bytes"],
        "file": len(data),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(measured))


def size_figures() -> Iterator[Figure]:
    """Of a fresh process, so that nothing else counts in its memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        command = [sys.executable, "-m", "tests.bench_quant_size"]
        subprocess.run([*command, "write", path], check=True)  # a child starts with its parent's peak
        alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # beside others, threads only wait
        done = subprocess.run([*command, "quantize", path], capture_output=True, text=True, check=True, env=alone)
        found = json.loads(done.stdout)
    millions, bits = found["parameters"] / 1e6, 8 * found["stored"] / found["parameters"]
    what = f"{millions:.0f} M parameters, WUSH without data, {FORM} ({bits:.2f} bits), file to file"
    yield Figure(name=f"{what}: seconds", value=found["seconds"], most=120)
    yield Figure(name=f"{what}: peak memory / model", value=found["peak"] / found["model"], most=3)


if __name__ == "__main__":
    {"write": write, "quantize": main}[sys.argv[1]](sys.argv[2])
