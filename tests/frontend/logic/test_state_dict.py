"""state_dict files: what holds its wiring is read, what does not is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from edgegate.errors import CompileError
from edgegate.frontend import _torch, load, logic, save
from tests.frontend.logic import factories
from tests.frontend.logic.layers import bits, gates, of_gates, sums, tables
from tests.frontend.logic.standins import case

HERE = "tests.frontend.logic.factories"


def trained(name: str) -> nn.Module:
    """The network that was trained: of the factory's kind, with weights and wiring of its own."""
    net = getattr(factories, name)()
    made = torch.Generator().manual_seed(9)
    for key, value in net.state_dict().items():
        shuffled = value.flatten()[torch.randperm(value.numel(), generator=made)].reshape(value.shape)
        value.copy_(torch.randn(value.shape, generator=made) if "weight" in key or "luts" in key else shuffled)
    return net


@pytest.fixture(params=["pt", "safetensors"])
def write(request, tmp_path) -> Callable[[nn.Module], Any]:
    """Saves a module's state_dict; gives the path."""

    def to_file(net):
        path = tmp_path / f"net.{request.param}"
        weights = {name: value.detach().contiguous() for name, value in net.state_dict().items()}
        (torch.save if request.param == "pt" else safetensors.torch.save_file)(weights, path)
        return path

    return to_file


@pytest.mark.parametrize("name", ["torchlogix_dense", "torchlogix_network", "torchlogix_learnable"])
def test_torchlogix_as_it_was_trained(name, write):
    """Buffers hold the wiring since 0.2."""
    label = getattr(factories, name)
    fixture = {"dense": "dense warp 4 0", "network": "network", "learnable": "learnable light 2 2"}[name[11:]]
    net, x, y = case("torchlogix-0.2.2", fixture)
    path = write(net)
    made = _torch.with_weights(f"{HERE}:{name}", dict(net.state_dict()), "net")
    logic.check_wiring(made, "net")
    assert torch.equal(logic.plain(made)(x), y) and not torch.equal(logic.plain(label())(x), y)
    ops = [n.op_type for n in load(path, example=(x[:1],), model=f"{HERE}:{name}").graph]
    assert "Lut" in ops and not {"Einsum", "ReduceSum", "Gather"} & set(ops)


REFUSED = {
    "difflogic": ["0 (difflogic LogicLayer)", "1 (difflogic LogicLayer)"],
    "difflogic_light": ["0 (difflogic LogicLayerIWP)"],
    "old_dense": ["0 (torchlogix LogicDense)", "1 (torchlogix LogicDense)"],
    "old_convolution": ["torchlogix LogicConv2d"],
    "old_candidates": ["0 (torchlogix LogicDense)"],
    "dwn_shuffled": ["1 (torch_dwn GroupSum)"],
}


@pytest.mark.parametrize("name", REFUSED)
def test_wiring_that_stayed_behind(name, write):
    with pytest.raises(
        CompileError, match=r"wiring is drawn at random and not in net.*edgegate.save.*buffer"
    ) as caught:
        load(write(trained(name)), example=(bits(1, 6),), model=f"{HERE}:{name}")
    assert [p.where for p in caught.value.problems] == REFUSED[name]


@pytest.mark.parametrize(
    "name", ["difflogic_registered", "difflogic_registered_apart", "dwn", "old_every_candidate", "torchlogix_learnable"]
)
def test_wiring_that_came_along(name, write):
    net = trained(name)
    width = 12 if "candidate" in name or "learnable" in name else 6
    graph = load(write(net), example=(bits(1, width),), model=f"{HERE}:{name}").graph
    lut: Any = next(n for n in graph if n.op_type == "Lut")
    plain = logic.plain(net)
    expected = next(m for m in plain.modules() if hasattr(m, "tables"))
    indices, tables_ = (value.const_value.numpy() for value in lut.inputs[1:])
    assert (indices == expected.indices.numpy()).all() and (tables_ == expected.tables.numpy()).all()


def test_wiring_in_a_file_that_reads_past_the_end(write):
    net = trained("difflogic_registered")
    net[0].indices[1, 3] = 6
    with pytest.raises(CompileError, match="inputs 0 to 6, where there are 6"):
        load(write(net), example=(bits(1, 6),), model=f"{HERE}:difflogic_registered")


def test_the_way_out(tmp_path):
    """edgegate.save keeps the wiring of what it is given."""
    net, x = nn.Sequential(gates(6, 8), gates(8, 8, seed=1), sums()), bits(5, 6)
    save(net, (x,), tmp_path / "net.pt2")
    graph = load(tmp_path / "net.pt2", example=(x,)).graph
    assert [n.op_type for n in graph] == ["Lut", "Lut", "GroupSum"]
    expected = of_gates(net[1], of_gates(net[0], x)).reshape(5, 2, 4).sum(-1)
    assert torch.equal(logic.plain(net)(x), expected)


def test_what_a_module_itself_holds_is_no_question():
    """Given as a module, a shuffled sum and a difflogic layer have the wiring that they were trained with."""
    order = torch.tensor([3, 0, 2, 1, 7, 6, 4, 5])
    net = nn.Sequential(tables(), sums("torch_dwn.utils", randperm=order))
    x = bits(9, 6)
    expected = logic.plain(net[0])(x)[:, order].reshape(9, 2, 4).sum(-1)
    assert torch.equal(logic.plain(net)(x), expected)
