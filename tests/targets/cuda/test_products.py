"""Products on tensor cores: what they are made of, and their kernels for every architecture; without a GPU."""

from __future__ import annotations

import subprocess

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgegate import interpreter
from edgegate.compiler import integer_model
from edgegate.graph import array, attribute
from edgegate.ops import rescale
from edgegate.options import CompileOptions
from edgegate.targets._nvcc import FLAGS, compiled, nvcc
from edgegate.targets.cuda_network.gemm.choose import choose
from edgegate.targets.cuda_network.network import network_of
from edgegate.targets.cuda_network.products import Product, product_at
from edgegate.targets.cuda_network.program import architecture
from tests.targets.cuda.test_cuda import needs_nvcc

RNG = np.random.default_rng(0)


class Layers(nn.Module):
    """A product with a rescale and a table, one of single pixels, and one whose sums go out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.point, self.wide, self.last = nn.Conv2d(16, 32, 1), nn.Linear(32, 48), nn.Linear(48, 5)

    def forward(self, x):
        y = torch.relu(self.point(x)).permute(0, 2, 3, 1)
        return self.last(torch.nn.functional.silu(self.wide(y)))


@pytest.fixture(scope="module")
def model() -> ir.Model:
    data = np.random.default_rng(0).standard_normal((16, 16, 4, 5), np.float32)
    options = CompileOptions(target="cuda", calib={"": data}, activation_bits=8)
    found, _, _ = integer_model(Layers().eval(), (torch.zeros(1, 16, 4, 5),), options)
    return found


def products(model: ir.Model) -> list[Product]:
    return [p for node in model.graph if (p := product_at(node)) is not None]


def computed(p: Product, x: np.ndarray) -> np.ndarray:
    """What the kernels compute, in numpy."""
    sums = x.reshape(p.rows, -1).astype(np.int64) @ p.weights.astype(np.int64).T + p.bias
    y: np.ndarray = sums.astype(np.int32)
    if p.rescale is not None:
        factors = [f for v in p.rescale.inputs[1:3] if (f := array(v)) is not None]
        y = rescale.reference(y, *factors, **{name: attribute(p.rescale, name) for name in p.rescale.attributes})
    return y if p.table is None else p.table[y.astype(np.int64) + 128]


def test_products_are_what_their_nodes_compute(model: ir.Model) -> None:
    found = products(model)
    assert [len(p.nodes) for p in found][:2] == [2, 3] and found[0].weights.shape == (32, 16)
    assert any(
        int(attribute(p.nodes[0], "input_zero_point" if p.nodes[0].op_type == "Conv2d" else "a_zero_point"))
        for p in found
    )
    key = str(model.graph.inputs[0].name)
    for scale in (1, 30):
        values = interpreter.run(model, {key: scale * RNG.standard_normal((1, 16, 4, 5), np.float32)}, keep=True)
        for p in found:
            want = values[str(p.output.name)]
            np.testing.assert_array_equal(computed(p, values[str(p.source.name)]).reshape(want.shape), want)


def test_a_network_starts_them_once_and_their_nodes_never(model: ir.Model) -> None:
    network, plain = network_of(model, 90), network_of(model, None)
    started = [n for n in network.launches if n.module != "ops"]
    assert len(started) == len(products(model)) and len(network.launches) < len(plain.launches)


SHAPES = [(1, 64, 128), (3, 40, 4096), (8, 33, 48), (32, 128, 2048), (50, 96, 16), (300, 200, 144), (4096, 4096, 512)]
"""Rows, columns, depth."""
FEW = [(75, SHAPES[-2]), (86, SHAPES[-1]), (90, SHAPES[3]), (90, SHAPES[-1])]
ALL = [(capability, shape) for capability in (75, 80, 86, 87, 89, 90) for shape in SHAPES]
INSTRUCTIONS = {
    "gemm_sm90": "wgmma.mma_async", "small_sm90": "wgmma.mma_async", "gemm_mma": "mma.sync", "thin": "mma.sync",
    "gemv": "dp4a",
}  # fmt: skip


@needs_nvcc
@pytest.mark.parametrize(
    ("capability", "shape"), [c if c in FEW else pytest.param(*c, marks=pytest.mark.slow) for c in ALL]
)
def test_kernels_are_built_without_spills_and_use_tensor_cores(capability, shape, tmp_path):
    m, n, k = shape
    instance = choose(m, n, k, capability, {"OUT_INT8": 1, "BIAS": 1, "PER_COLUMN": 1, "TABLE": 1})
    text = instance.text()
    (tmp_path / "k.cu").write_text(text)
    word = architecture(capability, text)
    command = [nvcc(), "-cubin", f"-arch=sm_{word}", *FLAGS, "-Xptxas=-v", "-o", "k.cubin", "k.cu"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stderr
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in told
    assert INSTRUCTIONS[instance.kind] in compiled(text, word, ptx=True).decode()
