"""Convolutions on tensor cores: what they are made of, and their kernels for every architecture; without a GPU."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgegate import interpreter
from edgegate.compiler import integer_model
from edgegate.graph import array, attribute
from edgegate.ops import gated_product, rescale
from edgegate.ops.conv2d import convolve
from edgegate.options import CompileOptions
from edgegate.targets._nvcc import FLAGS, compiled, nvcc
from edgegate.targets.cuda_network.conv import Geometry, choose, depthwise
from edgegate.targets.cuda_network.convolutions import Branch, Convolution, convolution_at
from edgegate.targets.cuda_network.network import network_of
from edgegate.targets.cuda_network.program import architecture
from tests.bench_nets import GatedConv
from tests.targets.cuda.test_cuda import needs_nvcc

RNG = np.random.default_rng(0)


class Layers(nn.Module):
    """A gated pair, and convolutions alone: with a table, without one, of each channel, of channels that do not fit."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.pair, self.strided = GatedConv(32), nn.Conv2d(32, 48, 3, 2, (1, 2), dilation=(1, 2))
        self.plain, self.odd = nn.Conv2d(48, 16, (2, 3)), nn.Conv2d(16, 5, 3)
        self.each, self.far = nn.Conv2d(48, 48, 3, 1, 1, groups=48), nn.Conv2d(48, 48, 5, 2, (3, 2), groups=48)

    def forward(self, x):
        y = torch.nn.functional.silu(self.strided(self.pair(x)))
        y = torch.relu(self.far(torch.nn.functional.silu(self.each(y))))
        return self.odd(torch.nn.functional.pad(self.plain(y), (1, 2, 1, 2)))


@pytest.fixture(scope="module")
def model() -> ir.Model:
    data = np.random.default_rng(0).standard_normal((16, 32, 14, 15), np.float32)
    options = CompileOptions(target="cuda", calib={"": data}, activation_bits=8)
    found, _, _ = integer_model(Layers().eval(), (torch.zeros(1, 32, 14, 15),), options)
    return found


def convolutions(model: ir.Model) -> list[Convolution]:
    made: list[Convolution] = []
    done: set[ir.Node] = set()
    for node in model.graph:
        found = None if node in done else convolution_at(node)
        if found is not None:
            made.append(found)
            done.update(found.nodes)
    return made


def branch(b: Branch, x: np.ndarray) -> np.ndarray:
    """What the kernels compute of it: padding holds the zero point, which the bias makes up for."""
    bias, multiplier, shift = b.columns()
    (top, left, bottom, right), strides, dilations = (attribute(b.conv, n) for n in ("pads", "strides", "dilations"))
    zero = attribute(b.conv, "input_zero_point")
    padded = np.pad(x.astype(np.int64), ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=zero)
    groups = len(bias) if b.is_depthwise else 1
    sums = convolve(padded, b.weights(), bias, np.int64, (0, 0, 0, 0), strides, dilations, groups, 0)
    zero, low, high = b.ends()
    y = np.clip(rescale.scale(sums, multiplier, shift) + zero, low, high)
    entries = b.entries()
    return y if entries is None else entries[y + 128].astype(np.int64)


def computed(c: Convolution, x: np.ndarray) -> np.ndarray:
    parts = [branch(b, x) for b in c.branches]
    if c.product is None:
        return parts[0]
    factors = [f for v in c.product.inputs[2:4] if (f := array(v)) is not None]
    how = {name: attribute(c.product, name) for name in c.product.attributes}
    return gated_product.reference(*parts, *factors, **how)


def test_convolutions_are_what_their_nodes_compute(model: ir.Model) -> None:
    found = convolutions(model)
    assert [(len(c.branches), len(c.nodes)) for c in found] == [(2, 7), (1, 3), (1, 3), (1, 2), (1, 2)]
    key = str(model.graph.inputs[0].name)
    for scale in (1, 30):
        values = interpreter.run(model, {key: scale * RNG.standard_normal((1, 32, 14, 15), np.float32)}, keep=True)
        for c in found:
            source = c.branches[0].conv.inputs[0]
            assert source is not None
            np.testing.assert_array_equal(computed(c, values[str(source.name)]), values[str(c.output.name)])


@pytest.mark.parametrize("capability", [75, 86, 90])
def test_a_network_starts_them_once_and_their_nodes_never(model: ir.Model, capability: int) -> None:
    network, plain = network_of(model, capability), network_of(model, None)
    assert [n.kernel for n in network.launches if n.kernel in ("conv", "depthwise")] == [
        "conv", "conv", "depthwise", "depthwise", "conv",
    ]  # fmt: skip
    assert len(network.launches) < len(plain.launches)


@pytest.mark.parametrize(("tile", "pair"), [(64, True), (128, True), (32, False), (128, False)])
def test_columns_are_put_in_order_once_each(tile: int, pair: bool) -> None:
    geometry = Geometry(
        images=1, size=(8, 8), channels=32, kernel=(3, 3), strides=(1, 1), dilations=(1, 1), before=(1, 1), made=(8, 8),
        columns=2 * tile,
    )  # fmt: skip
    found = choose(geometry, 90, table=True, pair=pair)
    assert found is not None and found.kind == "conv_sm90"
    assert sorted(found.order()) == list(range(2 * tile))
    assert sorted(found.order()[: found.given["TILE_N"]]) == list(range(found.given["TILE_N"]))


def geometry(images: int, size: int, channels: int, kernel: int, stride: int, columns: int) -> Geometry:
    made = (size - 1) // stride + 1
    return Geometry(
        images=images, size=(size, size), channels=channels, kernel=(kernel, kernel), strides=(stride, stride),
        dilations=(1, 1), before=(kernel // 2, kernel // 2), made=(made, made), columns=columns,
    )  # fmt: skip


CASES = [
    (geometry(1, 128, 64, 3, 1, 128), True), (geometry(8, 32, 32, 3, 2, 64), False),
    (geometry(1, 7, 16, 5, 1, 48), False), (geometry(2, 9, 48, 1, 2, 32), False),
]  # fmt: skip
"""A geometry, and whether it is a pair."""
FEW = [(75, 1), (86, 0), (90, 0), (90, 1)]
ALL = [(capability, case) for capability in (75, 80, 86, 87, 89, 90) for case in range(len(CASES))]


@needs_nvcc
@pytest.mark.parametrize("capability", [75, 86, 90])
@pytest.mark.parametrize(("size", "stride", "kernel"), [(56, 1, 3), (14, 2, 5)])
def test_kernels_of_each_channel_are_built_without_spills(capability, size, stride, kernel, tmp_path):
    instance = depthwise(geometry(1, size, 96, kernel, stride, 96), table=True)
    assert "dp4a" in built(f"#define GATE_SIGNED 0\n{instance.text()}", capability, tmp_path)


def built(text: str, capability: int, folder: Path) -> str:
    """Compile without spills; the PTX."""
    (folder / "k.cu").write_text(text)
    word = architecture(capability, text)
    command = [nvcc(), "-cubin", f"-arch=sm_{word}", *FLAGS, "-Xptxas=-v", "-o", "k.cubin", "k.cu"]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stderr
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in told
    return compiled(text, word, ptx=True).decode()


@needs_nvcc
@pytest.mark.parametrize(
    ("capability", "case"), [c if c in FEW else pytest.param(*c, marks=pytest.mark.slow) for c in ALL]
)
def test_kernels_are_built_without_spills_and_use_tensor_cores(capability, case, tmp_path):
    shape, pair = CASES[case]
    instance = choose(shape, capability, table=True, pair=pair)
    assert instance is not None
    wanted = {"conv_sm90": "wgmma.mma_async", "conv_mma": "mma.sync"}
    assert wanted[instance.kind] in built(f"#define GATE_SIGNED 0\n{instance.text()}", capability, tmp_path)
