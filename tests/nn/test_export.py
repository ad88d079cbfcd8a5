"""From torch to ONNX: ONNX Runtime and torch agree bit for bit, from a module and from a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn

from edgegate import frontend
from edgegate.errors import CompileError
from edgegate.graph import DOMAIN
from edgegate.nn import GroupSum, LogicConv2d, LogicLayer, Lut, Thermometer, Threshold
from edgegate.stages.floating import floating


def lut(inputs: int, count: int, k: int) -> Lut:
    return Lut(torch.randint(0, inputs, (count, k)), torch.randint(0, 2, (count, 1 << k)))


def nets() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    random: Any = {"initialization": "random"}
    conv = [LogicConv2d(2, 5, 3, 2, padding=1, **random), nn.MaxPool2d(2), LogicConv2d(5, 7, 3, 3, **random)]
    return {
        "widths": nn.Sequential(nn.Flatten(), *(lut(72 if k == 1 else 40, 40, k) for k in range(1, 7)), GroupSum(7)),
        "thresholds": nn.Sequential(Threshold(torch.rand(6, 3)), nn.Flatten(), lut(216, 50, 2), GroupSum(3, 2.7, -0.3)),
        "layers": nn.Sequential(
            nn.Flatten(),
            Thermometer(3, 72, spacing="distributive", layout="bit-major").fit(torch.rand(50, 72)),
            LogicLayer(216, 60, **random),
            LogicLayer(60, 30, parametrization="input-wise", activation="sine", estimator="gumbel", **random),
            GroupSum(4, 0.1, 1 / 3),
        ),
        "images": nn.Sequential(Threshold(torch.tensor([[0.5]])), nn.Flatten(-2), *conv, nn.Flatten(), GroupSum(3)),
    }


NETS = nets()


def in_onnx_runtime(model: ir.Model, x: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]


@pytest.mark.parametrize("name", NETS)
def test_onnx_runtime_gives_what_torch_gives(name, tmp_path):
    net, x = NETS[name].eval(), torch.rand(9, 2, 6, 6)
    x = x.round() if name == "widths" else x
    frontend.save(net, (x,), tmp_path / "net.pt2")
    for model in (frontend.load(net, example=(x,)), frontend.load(tmp_path / "net.pt2", batch=9)):
        floating(model)
        assert np.array_equal(in_onnx_runtime(model, x), net(x).numpy())
        assert {n.op_type for n in model.graph if n.domain == DOMAIN} <= {"Lut", "GroupSum", "Threshold"}


def test_the_nodes_are_those_agreed_on():
    net = nn.Sequential(lut(5, 8, 3), LogicLayer(8, 6), GroupSum(2, 0.5, 0.25))
    first, second, head = frontend.load(net, example=(torch.zeros(2, 5),)).graph
    for node, module in ((first, net[0]), (second, net[1].lut())):
        assert (node.op_type, node.domain, node.overload) == ("Lut", DOMAIN, "")
        indices, tables = (
            v.const_value.numpy() for v in node.inputs[1:] if v is not None and v.const_value is not None
        )
        assert indices.dtype == np.int64 and np.array_equal(indices, module.indices.numpy())
        assert tables.dtype == np.uint8 and np.array_equal(tables, module.tables.numpy())
    assert {name: a.value for name, a in head.attributes.items()} == {"groups": 2, "tau": 0.5, "beta": 0.25}


def test_a_node_names_the_users_line_and_module():
    net = nn.ModuleDict({"gates": lut(4, 3, 2)})

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = net

        def forward(self, x):
            return self.parts["gates"](x)

    (node,) = frontend.load(Net(), example=(torch.zeros(1, 4),)).graph
    assert node.metadata_props["edgegate.layer"] == "parts.gates"
    assert node.metadata_props["edgegate.source"].endswith('return self.parts["gates"](x)')


class Own(nn.Module):
    """Calls the operator itself, past the checks of Lut."""

    def __init__(self, indices: torch.Tensor, tables: torch.Tensor):
        super().__init__()
        self.register_buffer("indices", indices)
        self.register_buffer("tables", tables)

    def forward(self, x):
        return torch.ops.edgegate.lut(x, self.indices, self.tables)


@pytest.mark.parametrize(
    ("indices", "tables", "what"),
    [
        (torch.tensor([[0, 4]]), torch.zeros(1, 4), "reads bit 4, where there are 4"),
        (torch.tensor([[0, -1]]), torch.zeros(1, 4), "reads bit -1"),
        (torch.tensor([[0, 1]]), torch.full((1, 4), 2), "entries other than 0 and 1"),
    ],
)
def test_tables_that_mean_nothing_are_refused(indices, tables, what):
    with pytest.raises(CompileError, match=what):
        frontend.load(Own(indices, tables), example=(torch.zeros(2, 4),))


@pytest.mark.parametrize(("x", "thresholds"), [((2, 3), (2, 4)), ((2, 3), (4,)), ((), (1, 1))])
def test_thresholds_of_other_features_are_refused(x, thresholds):
    with pytest.raises(ValueError, match="no thresholds of shape"):
        torch.ops.edgegate.threshold(torch.zeros(x), torch.zeros(thresholds))
