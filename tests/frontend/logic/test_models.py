"""Logic layers inside larger models: containers, forwards of the user's own, cells that run in a loop."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn

import edgegate.nn
from edgegate.frontend import load, logic, save
from tests.frontend.logic.layers import bits, dense, gates, light, of_gates, sums, tables
from tests.frontend.logic.standins import case


class Mixed(nn.Module):
    """A convolution, logic twice by one layer, a linear head; the forward reads attributes of the layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.parts = nn.ModuleDict({"first": gates(12, 12), "last": gates(12, 10, seed=1)})
        self.spare = [gates(10, 10, seed=2)]
        self.again = self.parts["first"]
        self.head = nn.Linear(10, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (self.conv(x) > 0).float().reshape(-1, self.again.in_dim)
        x = self.parts["last"](self.again(self.parts["first"](x)))
        return self.head(self.spare[0](x))

    def expected(self, x: torch.Tensor) -> torch.Tensor:
        x = (self.conv(x) > 0).float().reshape(-1, 12)
        for layer in (self.again, self.again, self.parts["last"], self.spare[0]):
            x = of_gates(layer, x)
        return self.head(x)


class Cell(nn.Module):
    """State of four bits, two inputs a step."""

    def __init__(self) -> None:
        super().__init__()
        self.step, self.out = nn.Sequential(gates(6, 8), gates(8, 4, seed=1)), sums()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.zeros_like(x[:, 0, :1]).repeat(1, 4)
        for t in range(x.shape[1]):
            state = self.step(torch.cat([x[:, t], state], -1))
        return self.out(state)


def session(model):
    made = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    return lambda x: made.run(None, {made.get_inputs()[0].name: x.numpy()})[0]


def test_layers_anywhere_in_a_model():
    net = Mixed().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x = torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    made = logic.plain(net)
    assert torch.equal(made(x), net.expected(x))
    assert made.again is made.parts["first"] and isinstance(made.again, edgegate.nn.Lut)
    assert type(net.again).__name__ == "LogicLayer" and net.training, "the user's module is as it was"
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert made.conv.weight is not net.conv.weight


def test_a_cell_in_a_loop():
    net, x = Cell(), bits(7, 3, 2)
    state = torch.zeros(7, 4)
    for t in range(3):
        state = of_gates(net.step[1], of_gates(net.step[0], torch.cat([x[:, t], state], -1)))
    assert torch.equal(logic.plain(net)(x), state.reshape(7, 2, 2).sum(-1))


def test_a_model_of_one_layer():
    layer, x = gates(6, 9), bits(16, 6)
    assert torch.equal(logic.plain(layer)(x), of_gates(layer, x))


def test_models_without_such_layers_stay_the_same_object():
    net = nn.Sequential(nn.Linear(2, 2), type("GroupSum", (nn.Module,), {"__module__": "mine.difflogic"})())
    assert logic.plain(net) is net and not logic.is_foreign(net)
    assert logic.is_foreign(nn.Sequential(sums()))


def test_subclasses_and_leading_axes():
    layer = gates(6, 9)
    layer.__class__ = type("Named", (type(layer),), {"__module__": "mine"})
    x = bits(2, 3, 6)
    assert torch.equal(logic.plain(layer)(x), of_gates(layer, x))


def test_the_first_of_equal_gates():
    layer = gates(6, 3, weights=nn.Parameter(torch.zeros(3, 16)))
    layer.weights.data[1, [6, 9]] = 2.0
    layer.weights.data[2, [15, 14]] = torch.inf
    a, b = bits(8, 6)[:, layer.indices[0]], bits(8, 6)[:, layer.indices[1]]
    expected = torch.stack([0 * a[:, 0], (a != b)[:, 1].float(), 1 - (a * b)[:, 2]], -1)
    assert torch.equal(logic.plain(layer)(bits(8, 6)), expected)


@pytest.mark.parametrize("implementation", ["python", "cuda"])
def test_light_gates_on_the_edge(implementation):
    """At 0.5 the gate is 1, and 0 by the kernels for CUDA, which round to even."""
    weight = torch.tensor([[0.0, -0.0, 1e-3, -1e-3]]).repeat(8, 1)
    made = logic.plain(light(implementation=implementation, weights=nn.Parameter(weight)))
    edge = implementation == "python"
    assert made.tables.tolist() == [[edge, edge, True, False]] * 8


def test_light_gates_by_the_sine():
    """A negative weight may be a 1."""
    weight = torch.tensor([[-4.0, -1.0, 1.0, 4.0]]).repeat(8, 1)
    for changed in ({"act_fn": lambda w: torch.sin(w) / 2 + 0.5}, {"act_fn": None, "act_fn_str": "SIN01"}):
        made = logic.plain(light(weights=nn.Parameter(weight), **changed))
        assert made.tables.tolist() == [[True, False, True, False]] * 8


def test_light_layers_with_sixteen_gates():
    layer = light(run_op_on_iwp=True, weights=gates(6, 8).weights)
    assert torch.equal(logic.plain(layer)(bits(9, 6)), of_gates(layer, bits(9, 6)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_types(dtype):
    for layer in (gates(6, 8), light(), dense(), dense(kind="Warp"), tables()):
        made, low = logic.plain(layer), logic.plain(layer.to(dtype))
        assert low(bits(16, 6)).shape == (16, 8)
        assert dtype is torch.bfloat16 or (made.tables == low.tables).float().mean() > 0.9


def test_a_thermometer_that_is_no_module():
    thresholds = torch.tensor([[0.0, 0.5], [0.25, 1.0]])
    plain = type("Thermometer", (), {"__module__": "torch_dwn.binarization"})
    fitted = type("GaussianThermometer", (plain,), {"__module__": "torch_dwn.binarization"})()
    fitted.thresholds, fitted.num_bits = thresholds, 2

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encode, self.layer = fitted, tables(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(self.encode.binarize(x).flatten(1))

    x = torch.tensor([[0.25, 0.25], [0.5, 2.0], [-1.0, 0.0]])
    net = Net()
    expected = logic.plain(net.layer)((x[..., None] > thresholds).float().flatten(1))
    assert torch.equal(logic.plain(net)(x), expected)
    assert [n.op_type for n in load(net, example=(x,)).graph] == ["Threshold", "Reshape", "Lut"]


@pytest.mark.parametrize("way", ["module", "archive"])
def test_the_graph_computes_the_same(way, tmp_path):
    net, x, y = case("torchlogix-0.2.2", "network")
    source = net
    if way == "archive":
        source = tmp_path / "net.pt2"
        save(net, (x[:1],), source)
    model = load(source, example=(x,))
    own = [n.op_type for n in model.graph if n.domain == "edgegate"]
    assert own == ["Threshold", "Lut", "Lut", "Lut", "GroupSum"]
    assert np.array_equal(session(model)(x), y.numpy())


def test_lines_are_the_users():
    net, x, _ = case("torchlogix-0.2.2", "network")
    sources = {n.metadata_props["edgegate.source"] for n in load(net, example=(x,)).graph}
    assert not any(".py:" in source for source in sources), sources


def test_a_number_that_a_tensor_holds():
    layer = sums("torchlogix.layers.groupsum", tau=nn.Parameter(torch.tensor(2.0)), beta=torch.tensor([3.0]))
    assert logic.plain(layer)(bits(1, 8)).tolist() == ((bits(1, 8).reshape(1, 2, 4).sum(-1) + 3) / 2).tolist()


def test_layers_stay_on_the_models_device():
    """Also those that hold no tensor of their own."""
    net = nn.Sequential(tables(), sums("torch_dwn.utils", randperm=torch.arange(8))).to("meta")
    net[0] = nn.Linear(8, 8, device="meta")
    assert {value.device.type for value in logic.plain(net).state_dict().values()} == {"meta"}
