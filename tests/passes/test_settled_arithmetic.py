# mypy: disable-error-code="misc, override"
"""What changes nothing is left out; what is known is computed; a first step from nothing is none."""

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgegate import compiler, interpreter
from edgegate.options import CompileOptions
from edgegate.passes import run
from edgegate.passes.settled_arithmetic import settled_arithmetic
from edgegate.stages import floating
from tests.passes.text import outputs, parse, unchanged

CONSTANTS = "<float[3] o = {0, 0, 0}, float[3] i = {1, 1, 1}, float[3] far = {-1e38, -1e38, -1e38}, float big = {2e30}>"


def net(text: str) -> ir.Model:
    return parse(f"g (float[2,3] x, float[2,3] y) => (float[2,3] z) {CONSTANTS} {{ {text} \n z = Add (r, y) }}")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("r = Add (x, o)", ["Add"]),
        ("r = Add (o, x)", ["Add"]),
        ("r = Sub (x, o)", ["Add"]),
        ("r = Mul (i, x)", ["Add"]),
        ("r = Div (x, i)", ["Add"]),
        ("r = Max (x, far)", ["Add"]),
        ("r = Min (big, x)", ["Add"]),
        ("r = Mul (x, o)", ["Add"]),
        ("s = Sub (x, x) \n r = Exp (s)", ["Add"]),
        ("s = Sub (far, x) \n t = Exp (s) \n u = Mul (t, x) \n r = Sub (u, x)", ["Sub", "Add"]),
        ("s = Add (x, far) \n r = Exp (s)", ["Add"]),
        ("s = Sub (x, big) \n r = Exp (s)", ["Add"]),
        ("s = Sub (big, x) \n t = Neg (s) \n r = Exp (t)", ["Add"]),
    ],
)
def test_what_is_known_is_left_out(text: str, left: list[str]) -> None:
    model = net(text)
    wanted = outputs(model)
    run(model, [settled_arithmetic], floating)
    assert [node.op_type for node in model.graph] == left
    np.testing.assert_allclose(outputs(model)[0], wanted[0], rtol=1e-6)


@pytest.mark.parametrize("op", ["Sub (o, x)", "Div (i, x)", "Max (x, o)", "Min (x, far)", "Max (big, x)", "Sub (x, y)"])
def test_what_is_not_known_is_left_alone(op: str) -> None:
    unchanged(
        settled_arithmetic,
        f"g (float[2,3] x, float[2,3] y) => (float[2,3] z) {CONSTANTS} {{ r = {op} \n z = Sub (r, y) }}",
    )


def test_what_makes_a_value_larger_stays() -> None:
    unchanged(
        settled_arithmetic,
        "g (float[1,3] x) => (float[2,3] z) <float[2,3] o = {0, 0, 0, 0, 0, 0}> { r = Add (x, o) \n z = Add (r, o) }",
    )


class Averages(nn.Module):
    """The stable sum of RWKV (Peng et al., 2023, appendix D), from nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.key, self.value, self.out = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 8)

    def forward(self, x):
        keys, values = self.key(x), self.value(x)
        top, above, below = torch.zeros_like(x[:, 0]) - 1e38, torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0])
        made = []
        for k, v in zip(keys.unbind(1), values.unbind(1), strict=True):
            peak = torch.maximum(top, k)
            old, new = torch.exp(top - peak), torch.exp(k - peak)
            above, below, top = old * above + new * v, old * below + new, peak - 0.5
            made.append(above / below)
        return self.out(torch.stack(made, 1))


def test_a_maximum_that_starts_out_of_reach() -> None:
    torch.manual_seed(0)
    module, rng = Averages().eval(), np.random.default_rng(0)
    calib, fresh = (rng.standard_normal((16, 5, 16)).astype(np.float32) for _ in range(2))
    model, _, _ = compiler.integer_model(module, (torch.randn(1, 5, 16),), CompileOptions(calib={"": calib}))
    name = str(model.graph.inputs[0].name)
    got = np.concatenate([next(iter(interpreter.run(model, {name: x[None]}).values())) for x in fresh])
    with torch.no_grad():
        want = module(torch.from_numpy(fresh)).numpy()
    assert 10 * np.log10((want**2).sum() / ((got - want) ** 2).sum()) > 21
