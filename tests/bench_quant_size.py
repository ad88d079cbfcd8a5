"""100 M parameters quantized in one process: seconds and peak memory. ``python -m tests.bench_quant_size`` is it.

A stack of square linears in float32, each after a norm with gains: WUSH from the gains and the weights alone, weights
rounded, packed to the format's bytes.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

from edgegate.quant.formats import format_named
from edgegate.quant.moments import gamma_moments, weight_moments
from edgegate.quant.transforms import build, rounded, tuned
from tests.bench_quant_layers import Figure

LAYERS, CHANNELS, FORM = 24, 2048, "bfp12"


def quantized(weights: np.ndarray, gamma: np.ndarray) -> bytes:
    """One layer, [K, N]: transformed by a 6-bit WUSH with tuned gains, rounded, packed."""
    form = format_named(FORM)
    m_x = gamma_moments(gamma, None, form.block)
    exact = tuned(build("wush", m_x, weight_moments([weights], form.block)), m_x, [weights], form)
    transform = rounded(exact, 6)
    assert transform is not None
    turned = np.ascontiguousarray(transform.apply_w(weights).T)
    return form.pack(form.quantize(turned))


def main() -> None:
    """Print seconds, the model's bytes, the bytes it becomes, and the process' peak memory."""
    generator = np.random.default_rng(0)
    shape = (CHANNELS, CHANNELS)
    model = [generator.standard_normal(shape, np.float32) / np.float32(CHANNELS**0.5) for _ in range(LAYERS)]
    gains = [np.exp(0.4 * generator.standard_normal(CHANNELS)) for _ in range(LAYERS)]
    start = time.perf_counter()
    packed = [quantized(weights, gamma) for weights, gamma in zip(model, gains, strict=True)]
    found = {
        "seconds": time.perf_counter() - start,
        "parameters": sum(w.size for w in model),
        "model": sum(w.nbytes for w in model),
        "packed": sum(map(len, packed)),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(found))


def size_figures() -> Iterator[Figure]:
    """Of a fresh process, so that nothing else counts in its memory."""
    alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # threads would wait for each other
    command = [sys.executable, "-m", "tests.bench_quant_size"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=alone)
    found = json.loads(done.stdout)
    millions, bits = found["parameters"] / 1e6, 8 * found["packed"] / found["parameters"]
    what = f"{millions:.0f} M parameters, WUSH without data, {FORM} ({bits:.2f} bits)"
    yield Figure(name=f"{what}: seconds", value=found["seconds"], most=120)
    yield Figure(name=f"{what}: peak memory / model", value=found["peak"] / found["model"], most=3)


if __name__ == "__main__":
    main()
