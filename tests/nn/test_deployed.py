"""What is deployed: tables, sums and thermometers, against the definition in edgegate.logic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.logic import GroupSum as Sums
from edgegate.logic import Netlist, counts, evaluate
from edgegate.nn import GroupSum, Lut, Thermometer, Threshold


@settings(max_examples=40, deadline=None)
@given(k=st.integers(1, 6), inputs=st.integers(1, 9), count=st.integers(1, 20), seed=st.integers(0, 2**32 - 1))
def test_a_lut_is_a_level_of_a_netlist(k, inputs, count, seed):
    rng = np.random.default_rng(seed)
    indices, tables = rng.integers(0, inputs, (count, k)), rng.integers(0, 2, (count, 1 << k))
    packed = (tables.astype(np.uint64) << np.arange(1 << k, dtype=np.uint64)).sum(1, dtype=np.uint64)
    outputs = 2 * np.arange(inputs + 1, inputs + 1 + count, dtype=np.int32)
    netlist = Netlist(inputs=inputs, fanins=(indices + 1).astype(np.int32), tables=packed, outputs=outputs)
    bits = rng.integers(0, 2, (13, inputs))
    found = Lut(torch.from_numpy(indices), torch.from_numpy(tables))(torch.from_numpy(bits))
    assert found.dtype == torch.float32
    assert np.array_equal(found.numpy(), evaluate(netlist, bits))


def test_whatever_is_not_zero_is_true():
    same = Lut(torch.tensor([[0]]), torch.tensor([[False, True]]))
    x = torch.tensor([[0.0], [-0.0], [0.5], [-3.0], [float("nan")], [float("inf")]])
    assert same(x).flatten().tolist() == [0, 0, 1, 1, 1, 1]
    assert same(x.double()).dtype == torch.float64
    assert same(torch.tensor([[[True]], [[False]]])).tolist() == [[[1.0]], [[0.0]]]


@pytest.mark.parametrize(
    ("indices", "tables", "message"),
    [
        (torch.zeros(2, 2), torch.zeros(2, 4), "int64"),
        (torch.zeros(2, 7, dtype=torch.int64), torch.zeros(2, 128), "k in 1..6"),
        (torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, 1), "k in 1..6"),
        (torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2, 8), "of shape"),
        (torch.zeros(2, 2, dtype=torch.int64), torch.full((2, 4), 2), "0 and 1"),
        (torch.full((2, 2), -1), torch.zeros(2, 4), "numbered from 0"),
    ],
)
def test_impossible_tables_are_refused(indices, tables, message):
    with pytest.raises(ValueError, match=message):
        Lut(indices, tables)


@pytest.mark.parametrize(("bits", "groups"), [(12, 3), (10, 3), (10, 4), (3, 7), (1, 1), (5, 5)])
def test_sums_are_those_of_the_definition(bits, groups):
    x = torch.randint(0, 2, (9, bits))
    expected = counts(Sums.contiguous(bits, groups), x.numpy())
    assert np.array_equal(GroupSum(groups)(x).numpy(), expected)
    scaled = GroupSum(groups, 0.3, 0.1)(x).numpy()
    assert np.array_equal(scaled, (expected.astype(np.float32) + np.float32(0.1)) / np.float32(0.3))


def test_sums_pass_gradients_back():
    x = torch.rand(2, 3, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(GroupSum(3, 2.5, 1.0), (x,))


@pytest.mark.parametrize("wrong", [{"groups": 0}, {"tau": 0.0}, {"tau": float("nan")}, {"beta": float("inf")}], ids=str)
def test_impossible_sums_are_refused(wrong):
    with pytest.raises(ValueError, match="impossible sums"):
        GroupSum(**{"groups": 2, **wrong})


def test_thresholds_are_strict():
    x = torch.tensor([[0.25, 0.5], [0.75, float("nan")]])
    found = Threshold(torch.tensor([[0.25, 0.5], [0.25, 0.5]]))(x)
    assert found.tolist() == [[[0, 0], [1, 0]], [[1, 1], [0, 0]]]


@pytest.mark.parametrize("thresholds", [torch.zeros(3), torch.full((1, 2), float("nan"))])
def test_impossible_thresholds_are_refused(thresholds):
    with pytest.raises(ValueError, match="thresholds must be finite"):
        Threshold(thresholds)


def test_both_layouts_hold_the_same_bits():
    x = torch.rand(5, 4)
    features, bits = (Thermometer(3, 4, layout=layout)(x) for layout in ("feature-major", "bit-major"))
    assert torch.equal(features.reshape(5, 4, 3).transpose(1, 2).flatten(1), bits)
    assert torch.equal(features.reshape(5, 4, 3)[:, :, 0], (x > 0.25).float())


def test_fitted_thresholds_are_those_of_the_papers():
    data = torch.tensor([[0.0, 5.0], [1.0, 5.0], [2.0, 6.0], [7.0, 9.0]])
    assert Thermometer(3, 2).fit(data).thresholds.tolist() == [[1.75, 3.5, 5.25], [6.0, 7.0, 8.0]]
    assert Thermometer(3, 2, spacing="distributive").fit(data).thresholds.tolist() == [[1, 2, 7], [5, 6, 9]]
    gaussian = Thermometer(3, spacing="gaussian").fit(torch.tensor([-1.0, 1.0])).thresholds
    assert torch.allclose(gaussian, torch.tensor([[-0.67449, 0.0, 0.67449]]), atol=1e-5)


def test_distributive_bits_are_true_equally_often():
    data = torch.randn(4000, 3) ** 3
    shares = Thermometer(4, 3, spacing="distributive").fit(data)(data).reshape(-1, 3, 4).mean(0)
    assert torch.allclose(shares, torch.tensor([0.8, 0.6, 0.4, 0.2]), atol=1e-3)


def test_thresholds_are_in_the_state_dict():
    first, second = Thermometer(4, 2).fit(torch.rand(9, 2)), Thermometer(4, 2)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.thresholds, second.thresholds)


@pytest.mark.parametrize("data", [torch.zeros(0, 2), torch.zeros(4, 3), torch.full((4, 2), float("inf"))])
def test_data_without_thresholds_is_refused(data):
    with pytest.raises(ValueError, match="data"):
        Thermometer(3, 2).fit(data)


@pytest.mark.parametrize("wrong", [{"bits": 0}, {"features": 0}, {"spacing": "log"}, {"layout": "rows"}], ids=str)
def test_impossible_thermometers_are_refused(wrong):
    with pytest.raises(ValueError, match="impossible thermometer"):
        Thermometer(**{"bits": 3, **wrong})


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("lut", (torch.ones(3, 4), torch.tensor([[0, 3]]), torch.tensor([[True, False, False, True]]))),
        ("group_sum", (torch.ones(3, 4), 3, 2.0, 0.5)),
        ("threshold", (torch.rand(3, 4), torch.rand(4, 2))),
    ],
)
def test_operators_are_what_torch_expects(op, arguments):
    torch.library.opcheck(getattr(torch.ops.edgegate, op).default, arguments)
