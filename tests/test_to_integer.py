"""From a torch module to an integer model: the interpreter and ONNX Runtime agree bit for bit, float is near."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import nn
from torch.nn import functional

from edgegate import frontend, interpreter
from edgegate.errors import CompileError
from edgegate.passes import FLOAT, run
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Recipe, Scheme, Storage, quantize_scheme
from edgegate.stages import floating, integer


class Gated(nn.Module):
    """A gated convolution, squeeze-and-excite, a residual, pools and a GLU head."""

    def __init__(self) -> None:
        super().__init__()
        self.both = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.head = nn.Linear(8 * 9, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value, gate = self.norm(self.both(x)).chunk(2, dim=1)
        x = functional.elu(value) * torch.sigmoid(gate)
        y = functional.silu(self.depth(x))
        y = y * torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        x = functional.interpolate(functional.max_pool2d(x + y, 2), scale_factor=2.0, mode="bilinear")
        return functional.glu(self.head(functional.avg_pool2d(x, 2).flatten(1)), dim=-1)


@pytest.fixture(scope="module")
def floats() -> tuple[nn.Module, bytes]:
    torch.manual_seed(0)
    net = Gated().eval()
    model = frontend.load(net, example=(torch.zeros(1, 3, 6, 6),))
    run(model, FLOAT, floating)
    return net, ir.to_proto(model).SerializeToString()


@pytest.mark.parametrize("calibrated", [True, False])
def test_one_answer(floats, calibrated: bool) -> None:
    net, data = floats
    model = ir.serde.deserialize_model(onnx.load_from_string(data))
    name = str(model.graph.inputs[0].name)
    rng = np.random.default_rng(0)
    batches = [{name: rng.standard_normal((1, 3, 6, 6), np.float32)} for _ in range(16)]
    to_integer(quantize_scheme(model, batches if calibrated else None, Recipe()))(model)
    integer(model)
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString())
    error, power = 0.0, 0.0
    for _ in range(20):
        x = rng.standard_normal((1, 3, 6, 6), np.float32)
        (got,) = interpreter.run(model, {name: x}).values()
        np.testing.assert_array_equal(got, session.run(None, {name: x})[0])
        want = net(torch.from_numpy(x)).detach().numpy()
        error, power = error + float(((got - want) ** 2).sum()), power + float((want**2).sum())
    assert 10 * np.log10(power / error) > 20


def test_every_unsupported_node_is_listed() -> None:
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 21]>
        g (float[1, 4] x) => (float[1, 4] z)
        { y = EyeLike (x)  t = Transpose (x)  u = Hardmax (x)  z = Add (y, u) }"""
    )
    values = {str(v.name): Storage(dtype="int8", scale=0.1) for n in model.graph for v in n.outputs}
    with pytest.raises(CompileError) as caught:
        to_integer(Scheme(values=values | {"x": Storage(dtype="int8", scale=0.1)}))(model)
    assert [p.what.split()[0] for p in caught.value.problems] == ["EyeLike", "Hardmax"]
