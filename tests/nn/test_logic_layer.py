"""Trainable gates: what they compute, that they learn, and that eval mode is the network to deploy."""

from __future__ import annotations

import itertools

import pytest
import torch

from edgegate.nn import LogicLayer, Lut, _gates, hardened, relaxed

KINDS = [
    {"parametrization": p, "estimator": e, "activation": a}
    for p, e, a in itertools.product(("raw", "input-wise"), ("softmax", "gumbel"), ("sigmoid", "sine"))
    if p != "raw" or a == "sigmoid"
]
CORNERS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def all_gates() -> LogicLayer:
    """A layer of the 16 gates, in order, on the same two inputs."""
    layer = LogicLayer(2, 16, connections=torch.tensor([[0, 1]] * 16))
    with torch.no_grad():
        layer.weight.copy_(200 * torch.eye(16))
    return layer


def test_gates_have_the_numbers_of_difflogic():
    outputs = all_gates().eval()(CORNERS)
    for (a, b), row in zip(CORNERS.int().tolist(), outputs, strict=True):
        assert row.tolist() == [g >> (3 - (2 * a + b)) & 1 for g in range(16)]
    assert all_gates().gates().tolist() == list(range(16))


def test_gates_by_number_are_the_layer_that_has_them():
    layer = all_gates().eval()
    assert torch.equal(Lut.of_gates(layer.gates(), layer.indices)(CORNERS), layer(CORNERS))
    with pytest.raises(ValueError, match="numbered 0 to 15"):
        Lut.of_gates(torch.tensor([16]), torch.tensor([[0, 1]]))


def test_mixtures_of_one_gate_are_that_gate_on_bits():
    layer = all_gates()
    assert torch.equal(layer.train()(CORNERS), layer.eval()(CORNERS))


def test_real_gates_are_those_of_the_paper():
    a, b = torch.rand(2, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).unbind(0)
    one = torch.ones_like(a)
    expected = [
        0 * a, a * b, a - a * b, a, b - a * b, b, a + b - 2 * a * b, a + b - a * b,
        one - (a + b - a * b), one - (a + b - 2 * a * b), one - b, one - b + a * b, one - a, one - a + a * b,
        one - a * b, one,
    ]  # fmt: skip
    found = all_gates().double().train()(torch.stack([a, b], 1))
    assert torch.allclose(found, torch.stack(expected, 1), atol=1e-12, rtol=0)


def test_gradients_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(5, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    coefficients = torch.randn(4, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    indices = torch.tensor([[0, 1], [4, 4], [2, 0], [0, 3]])
    assert torch.autograd.gradcheck(lambda x, c: _gates.mixed(x, indices, c), (x, coefficients))


@pytest.mark.parametrize("kind", [k for k in KINDS if k["estimator"] == "softmax"], ids=str)
def test_gradients_of_a_whole_layer(kind):
    layer = LogicLayer(4, 3, **kind, temperature=0.7, initialization="random").double()
    x = torch.rand(2, 5, 4, dtype=torch.float64, requires_grad=True)

    def run(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"weight": weight}, (x,))

    assert torch.autograd.gradcheck(run, (x, layer.weight))


def test_the_gradient_factor_scales_what_goes_back_and_nothing_else():
    given = {}
    for factor in (1.0, 2.5):
        layer = LogicLayer(4, 6, grad_factor=factor, generator=torch.Generator().manual_seed(3))
        x = torch.full((2, 4), 0.25, requires_grad=True)
        layer(x).sum().backward()
        given[factor] = (x.grad, layer.weight.grad)
    assert torch.allclose(2.5 * given[1.0][0], given[2.5][0])
    assert torch.equal(given[1.0][1], given[2.5][1])


def test_gumbel_takes_one_gate_forward_and_learns_from_the_mixture():
    layer = LogicLayer(2, 500, connections=torch.tensor([[0, 1]] * 500), estimator="gumbel", initialization="random")
    outputs = layer(CORNERS)
    assert torch.equal(outputs, outputs.round())
    assert not torch.equal(outputs, layer(CORNERS))
    outputs.sum().backward()
    assert int((layer.weight.grad.abs().sum(1) > 0).sum()) == 500


def test_gumbel_takes_gates_as_often_as_the_softmax_says():
    layer = LogicLayer(2, 1, connections=torch.tensor([[0, 1]]), estimator="gumbel")
    with torch.no_grad():
        layer.weight.zero_()[0, 7] = 2.5  # beside 15 others: noise of the wrong sign would let it win twice as often
    torch.manual_seed(0)
    with torch.no_grad():
        share = torch.stack([layer(torch.tensor([[1.0, 0.0]])) for _ in range(2000)]).mean()
    with torch.no_grad(), relaxed(layer):
        expected = layer(torch.tensor([[1.0, 0.0]]))
    assert abs(float(share) - float(expected)) < 0.04


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("initialization", ["residual", "random"])
def test_eval_is_the_hardened_layer(kind, initialization):
    layer = LogicLayer(20, 64, **kind, initialization=initialization).eval()
    bits = torch.randint(0, 2, (33, 20)).float()
    assert torch.equal(layer(bits), layer.lut()(bits))
    assert torch.equal(layer(bits), hardened(torch.nn.Sequential(layer))(bits))
    if initialization == "residual":
        assert layer.gates().tolist() == [_gates.A] * 64
        assert torch.equal(layer(bits), bits[:, layer.indices[:, 0]])


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_layer_learns_xor(kind):
    torch.manual_seed(0)
    layer = LogicLayer(2, 1, connections=torch.tensor([[0, 1]]), initialization="random", **kind)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.1)
    wanted = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    for _ in range(200):
        optimiser.zero_grad()
        (layer(CORNERS) - wanted).pow(2).mean().backward()
        optimiser.step()
    assert layer.gates().tolist() == [6]
    assert torch.equal(layer.eval()(CORNERS), wanted)


def test_relaxed_ends_where_it_ends():
    layer = LogicLayer(4, 8, initialization="random").eval()
    bits = torch.randint(0, 2, (4, 4)).float()
    discrete = layer(bits)
    with relaxed(layer):
        assert not torch.equal(layer(bits), discrete)
    assert torch.equal(layer(bits), discrete)


def test_a_state_dict_is_the_whole_layer():
    first = LogicLayer(9, 30, initialization="random").eval()
    second = LogicLayer(9, 30).eval()
    second.load_state_dict(first.state_dict())
    bits = torch.randint(0, 2, (16, 9)).float()
    assert torch.equal(first(bits), second(bits))
    assert set(first.state_dict()) == {"weight", "indices"}


def test_the_same_generator_makes_the_same_layer():
    one, two = (LogicLayer(9, 30, initialization="random", generator=torch.Generator().manual_seed(5)) for _ in "12")
    assert torch.equal(one.weight, two.weight) and torch.equal(one.indices, two.indices)


def test_random_wiring_reads_every_input_equally_often():
    counts = torch.bincount(LogicLayer(7, 40).indices.flatten(), minlength=7)
    assert int(counts.max() - counts.min()) <= 1


@pytest.mark.parametrize(("inputs", "gates"), [(5, 10), (5, 1), (40, 300), (40, 780), (101, 1000)])
def test_unique_wiring_has_no_pair_twice(inputs, gates):
    pairs = LogicLayer(inputs, gates, connections="unique").indices
    assert len({tuple(sorted(p)) for p in pairs.tolist()}) == gates
    assert bool((pairs[:, 0] != pairs[:, 1]).all())


@pytest.mark.parametrize(
    "change",
    [
        {"parametrization": "warp"}, {"estimator": "hard"}, {"temperature": 0.0}, {"temperature": float("nan")},
        {"initialization": "zero"}, {"activation": "tanh"}, {"connections": "learnable"}, {"out_dim": 0},
        {"in_dim": 1}, {"in_dim": 3, "connections": "unique"}, {"connections": torch.zeros(4, 2)},
        {"connections": torch.full((4, 2), 9)}, {"connections": torch.full((4, 2), -1)},
    ],
    ids=str,
)  # fmt: skip
def test_impossible_layers_are_refused(change):
    with pytest.raises(ValueError, match=r".+"):
        LogicLayer(**{"in_dim": 9, "out_dim": 4, **change})


def test_another_width_is_refused():
    with pytest.raises(ValueError, match="expected 9 inputs in the last axis"):
        LogicLayer(9, 4)(torch.zeros(2, 8))


def test_hardened_leaves_the_network_as_it_is():
    net = torch.nn.ModuleDict({"a": LogicLayer(4, 4), "b": torch.nn.Sequential(LogicLayer(4, 2))})
    twin = hardened(net)
    assert isinstance(twin["a"], Lut) and isinstance(twin["b"][0], Lut) and not twin.training
    assert isinstance(net["a"], LogicLayer) and net.training
    assert isinstance(hardened(net["a"]), Lut)
