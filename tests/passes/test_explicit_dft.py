# mypy: disable-error-code="misc, override"
"""Fourier transforms are products with constant matrices, whatever they ask for."""

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgegate import compiler, interpreter
from edgegate.options import CompileOptions
from edgegate.passes import run
from edgegate.passes.explicit_dft import explicit_dft, matrix
from edgegate.stages import floating
from tests.passes.text import outputs, parse, unchanged


def op_types(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("dims", ["3,5,1", "3,5,2", "2,6,3,2"])
@pytest.mark.parametrize(
    ("attributes", "more"),
    [
        ("", ""), ("", ",,first"), ("<inverse = 1>", ""), ("<onesided = 1>", ""), ("", ",shorter"),
        ("", ",longer,first"), ("<inverse = 1>", ",longer"),
    ],
)  # fmt: skip
def test_every_transform_is_a_product(dims: str, attributes: str, more: str) -> None:
    if "onesided" in attributes and dims[-1] == "2":
        pytest.skip("half of a spectrum is of real signals")
    constants = "<int64 first = {1}, int64 shorter = {4}, int64 longer = {8}>"
    model = parse(f"g (float[{dims}] x) => (y) {constants} {{ y = DFT {attributes} (x{more}) }}")
    wanted = outputs(model)
    run(model, [explicit_dft], floating)
    assert op_types(model) == ["Transpose", "Reshape", "MatMul", "Reshape", "Transpose"]
    for got, want in zip(outputs(model), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_imaginary_parts_of_zeros_are_not_multiplied() -> None:
    zeros = "<float[2,3,1] zeros = {0, 0, 0, 0, 0, 0}>"
    model = parse(f"g (float[2,3,1] x) => (y) {zeros} {{ c = Concat <axis = -1> (x, zeros) \n y = DFT (c) }}")
    wanted = outputs(model)
    run(model, [explicit_dft], floating)
    (product,) = (node for node in model.graph if node.op_type == "MatMul")
    assert product.inputs[1] is not None and product.inputs[1].shape == ir.Shape([3, 6])
    np.testing.assert_allclose(outputs(model)[0], wanted[0], rtol=1e-5, atol=1e-5)


def test_there_and_back_is_the_identity() -> None:
    there, back = (matrix(6, 6, 6, pairs=True, backwards=way) for way in (False, True))
    np.testing.assert_allclose(there @ back, np.eye(12), atol=1e-6)


def test_a_length_that_is_computed_is_left_alone() -> None:
    unchanged(explicit_dft, "g (float[1,4,1] x, int64 n) => (float[1,4,2] y) { y = DFT (x, n) }")


class Mixed(nn.Module):
    """Tokens mixed by a transform over places and channels, as in FNet."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.last = nn.LayerNorm(16), nn.Linear(16, 8)

    def forward(self, x):
        return self.last(self.norm(x + torch.fft.fftn(x, dim=(1, 2)).real))


def test_a_net_with_transforms_is_near_float() -> None:
    torch.manual_seed(0)
    net, rng = Mixed().eval(), np.random.default_rng(0)
    calib, fresh = (rng.standard_normal((16, 8, 16)).astype(np.float32) for _ in range(2))
    model, _, _ = compiler.integer_model(net, (torch.randn(1, 8, 16),), CompileOptions(calib={"": calib}))
    name = str(model.graph.inputs[0].name)
    got = np.concatenate([next(iter(interpreter.run(model, {name: x[None]}).values())) for x in fresh])
    with torch.no_grad():
        want = net(torch.from_numpy(fresh)).numpy()
    assert 10 * np.log10((want**2).sum() / ((got - want) ** 2).sum()) > 28
