"""16-bit values: asked for, or needed; one answer from the interpreter, ONNX Runtime and the compiled program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import edgegate
from edgegate import compiler, frontend, interpreter, runtime
from edgegate.errors import CompileError
from edgegate.options import CompileOptions
from edgegate.quant import Scheme
from edgegate.stages import Proof


class Net(nn.Module):
    """``function(self, *inputs)`` with ``parts`` as submodules."""

    def __init__(self, function: Callable[..., Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *x: Tensor) -> Tensor:
        return self.function(self, *x)


IMAGE, LINE, ROW = (1, 8, 6, 6), (1, 8, 10), (1, 16)
NETS: dict[str, tuple[Callable[[], nn.Module], list[tuple[int, ...]]]] = {
    "conv": (lambda: nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1, groups=2), nn.Conv2d(8, 4, 1)), [IMAGE]),
    "depthwise": (lambda: nn.Conv2d(8, 16, 3, padding=1, groups=8), [IMAGE]),
    "conv1d": (
        lambda: Net(lambda s, x: s.b(s.a(functional.pad(x, (4, 0)))),
                    a=nn.Conv1d(8, 8, 3, dilation=2), b=nn.Conv1d(8, 8, 3, 2, groups=8)),
        [LINE],
    ),
    "linear": (lambda: nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 5)), [ROW]),
    "glu": (lambda: Net(lambda s, x: functional.glu(s.a(x)), a=nn.Linear(16, 12)), [ROW]),
    "bilinear": (lambda: Net(lambda s, x: s.a(x) * s.b(x), a=nn.Linear(16, 12), b=nn.Linear(16, 12)), [ROW]),
    "squeeze": (
        lambda: Net(lambda s, x: x * torch.sigmoid(s.b(functional.silu(s.a(x.mean((2, 3), keepdim=True))))),
                    a=nn.Conv2d(8, 4, 1), b=nn.Conv2d(4, 8, 1)),
        [IMAGE],
    ),
    "sums": (lambda: Net(lambda s, x, y: functional.gelu(x + y) - x), [IMAGE, (1, 8, 1, 1)]),
    "affine": (lambda: nn.BatchNorm2d(8), [IMAGE]),
    "extremes": (lambda: Net(lambda s, x, y: torch.maximum(x, y) - torch.minimum(0.5 * x, y)), [IMAGE, IMAGE]),
    "averages": (lambda: nn.Sequential(nn.AvgPool2d(3, 2, 1), nn.Hardswish(), nn.AdaptiveAvgPool2d(1)), [IMAGE]),
    "border": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), [IMAGE]),
    "resize": (
        lambda: nn.Sequential(nn.Upsample(scale_factor=2.0), nn.Upsample(size=(9, 7), mode="bilinear")), [IMAGE]
    ),
    "maxima": (
        lambda: Net(lambda s, x: functional.max_pool2d(x, 3, 2, 1) - x.amin((1, 2, 3), True) + x.amax((2, 3), True)),
        [IMAGE],
    ),
    "root": (lambda: Net(lambda s, x: x * torch.rsqrt((x * x).mean(1, keepdim=True) + 0.1)), [IMAGE]),
    "product": (lambda: Net(lambda s, x, y: x @ y), [LINE, (1, 10, 6)]),
    "concat": (lambda: Net(lambda s, x, y: torch.cat([torch.sigmoid(x), 5 * y], 1)), [IMAGE, IMAGE]),
    "chunk": (lambda: Net(lambda s, x: torch.tanh(x[:, :4]) * torch.sigmoid(x[:, 4:])), [IMAGE]),
}  # fmt: skip
"""Name -> factory and shapes of the inputs."""


def data(shapes: list[tuple[int, ...]], count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((count, *dims[1:])).astype(np.float32) for dims in shapes]


def compiled(net: nn.Module, given: list[np.ndarray], **options: Any) -> tuple[ir.Model, Scheme, Proof]:
    example = tuple(torch.from_numpy(x[:1]) for x in given)
    names = [str(v.name) for v in frontend.load(net, example=example).graph.inputs]
    calib = dict(zip(names, given, strict=True))
    return compiler.integer_model(net, example, CompileOptions(calib=calib, **options))


def runtime_outputs(model: ir.Model, feeds: dict[str, np.ndarray]) -> list[Any]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    proto = ir.to_proto(model).SerializeToString()
    return list(ort.InferenceSession(proto, options, providers=["CPUExecutionProvider"]).run(None, feeds))


@pytest.mark.parametrize("name", NETS)
def test_every_op_takes_16_bits(name: str) -> None:
    """All values in int16: two engines agree on inputs up to three times what calibration saw, and float is near."""
    factory, shapes = NETS[name]
    torch.manual_seed(0)
    net, given = factory().eval(), data(shapes, 4)
    model, scheme, _ = compiled(net, given, int16=("*",))
    assert {s.dtype for s in scheme.values.values()} == {"int16"}
    inputs, error, power = [str(v.name) for v in model.graph.inputs], 0.0, 0.0
    for i, factor in enumerate((1, 1, 1, 3)):
        feeds = {key: x[i : i + 1] * np.float32(factor) for key, x in zip(inputs, given, strict=True)}
        (got,) = interpreter.run(model, feeds).values()
        np.testing.assert_array_equal(got, runtime_outputs(model, feeds)[0])
        if factor == 1:
            with torch.inference_mode():
                want = net(*map(torch.from_numpy, feeds.values())).numpy()
            error, power = error + float(((got - want) ** 2).sum()), power + float((want**2).sum())
    assert 10 * np.log10(power / error) > 42  # 8-bit weights allow no more


def test_the_program_agrees() -> None:
    """A gated convolution, a line, a residual, pools and a GLU in int16, compiled for this machine."""

    def forward(self: Any, x: Tensor) -> Tensor:
        x = functional.elu(self.value(x)) * torch.sigmoid(self.gate(x)) + x
        x = torch.maximum(functional.avg_pool2d(self.depth(x), 2), functional.interpolate(x[:, :, :3, :3], size=(3, 3)))
        return functional.glu(self.head(self.line(x.flatten(2)).mean(-1)))

    torch.manual_seed(0)
    parts = {
        "value": nn.Conv2d(8, 8, 3, padding=1), "gate": nn.Conv2d(8, 8, 3, padding=1),
        "depth": nn.Conv2d(8, 8, 3, padding=1, groups=8), "line": nn.Conv1d(8, 8, 3), "head": nn.Linear(8, 6),
    }  # fmt: skip
    net, (given,) = Net(forward, **parts).eval(), data([IMAGE], 6)
    options: dict[str, Any] = {"int16": ("*",), "calib": {"": given}}
    artifact = edgegate.compile(net, (torch.from_numpy(given[:1]),), target="llvm", **options)
    model, _, _ = compiled(net, [given], int16=("*",))
    session, name = runtime.Session(artifact), str(model.graph.inputs[0].name)
    for x in data([IMAGE], 8, seed=1)[0]:
        (want,) = interpreter.run(model, {name: 2 * x[None]}).values()
        np.testing.assert_array_equal(np.asarray(session(2 * x[None])), want)


DEEP = 100_000


def deep(bias: float = 0.0) -> nn.Module:
    """A row of equal weights: each stored as 127, so 100,000 of them times 255 pass int32."""
    net = nn.Sequential(nn.Linear(DEEP, 2))
    with torch.no_grad():
        net[0].weight.fill_(1e-4)
        net[0].bias.fill_(bias)
    return net.eval()


def test_a_sum_that_could_overflow_int32_is_widened() -> None:
    """The worst input, all at the top of the range, gives the right sum: int32 would have wrapped."""
    given = np.random.default_rng(0).uniform(0, 1, (2, DEEP)).astype(np.float32)
    model, scheme, proof = compiled(deep(), [given], calib_method="minmax")
    assert [s.dtype for s in scheme.values.values()] == ["int16", "int8"]
    (_, _, high, bits) = proof.accumulators[0]
    assert (bits, high) == (48, 127 * 32767 * DEEP)
    worst = np.ones((1, DEEP), np.float32)
    (got,) = interpreter.run(model, {str(model.graph.inputs[0].name): worst}).values()
    assert got == pytest.approx(scheme.values[str(model.graph.outputs[0].name)].real_high)


def test_a_sum_that_could_overflow_is_refused_by_name() -> None:
    """A scheme may say what it likes of the input: nothing is compiled that was not proved."""
    given = np.random.default_rng(0).uniform(0, 1, (2, DEEP)).astype(np.float32)
    net = Net(lambda s, x: s.head(x), head=deep())
    model, scheme, _ = compiler.quantized_model(
        net, (torch.from_numpy(given[:1]),), CompileOptions(calib={"": given}, calib_method="minmax")
    )
    narrow = {name: replace(s, dtype="int8", zero_point=-128, scale=s.scale * 128) for name, s in scheme.values.items()}
    with pytest.raises(CompileError, match=r"^head.*accumulator reaches .* int32 cannot hold") as caught:
        compiler.integer(model, replace(scheme, values=narrow))
    assert "\n" not in str(caught.value)
