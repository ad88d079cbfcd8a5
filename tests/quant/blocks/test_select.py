"""The choice of one site's transform, and the parts it is made of."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgegate.quant import BlockStorage, Recipe
from edgegate.quant.moments import MomentsSum, weight_moments
from edgegate.quant.norm_gains import norm_gains
from edgegate.quant.selection import Candidate, Choice, Foldable, alike, cheapest, joint, select
from edgegate.quant.site_statistics import HELD, SiteStatistics
from edgegate.quant.sites import Site, matrix_of, sites, with_matrix
from edgegate.quant.transforms import fixed
from edgegate.quant.weights import layers
from tests.quant.blocks.nets import GatedConvs, SwiGlu, Transformer, floats, made


def site(form: str = "bfp12", activations: str | None = "bfp12") -> Site:
    """The one that gate and up of a SwiGLU share."""
    found = layers(floats(made(SwiGlu), 1, 64))
    storage = BlockStorage(weights=form, activations=activations)
    return sites(found, {layer.output: storage for layer in found})[0][0]


def chosen(at: Site, x: np.ndarray, foldable: Foldable | None = None, **options: Any) -> Choice:
    sums = MomentsSum(at.channels, at.block)
    sums.add(x[::2])
    return select(at, sums.result(), x[1::2], Recipe(**options), foldable or Foldable())


def vectors(count: int = 400, spread: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 64)) * np.exp(spread * rng.standard_normal(64))


def test_layers_that_read_one_value_share_a_site() -> None:
    at = site()
    assert [layer.output for layer in at.layers] == ["linear", "linear_1"]
    assert (at.channels, at.outputs, at.block, at.axis) == (64, 192, 32, 1)
    assert np.concatenate(list(at.matrices()), axis=1).shape == (64, 192)


def test_weights_go_there_and_back() -> None:
    for layer in layers(floats(made(GatedConvs), 1, 3, 8, 8)):
        matrix = matrix_of(layer)
        assert matrix.shape[0] == layer.data().shape[1 if layer.node.op_type == "Conv" else 0]
        np.testing.assert_array_equal(with_matrix(layer, matrix), layer.data())


def test_loud_channels_want_a_transform_and_white_ones_none() -> None:
    loud = chosen(site("bfp12", "bfp12"), vectors(spread=1.5))
    assert loud.candidate.transform.kind in ("wush", "wush_diag")
    assert loud.candidate.loss < 0.5 * loud.losses["identity"]
    assert loud.candidate.loss == min(loud.losses.values())
    assert 0 < loud.rho < 1


def test_a_cheaper_transform_wins_among_equals() -> None:
    plain = Candidate(transform=fixed("identity", 64, 32), folded="", multiplications=0, loss=1.0)
    cheap = Candidate(transform=fixed("hadamard", 64, 32), folded="", multiplications=10, loss=0.505)
    dear = Candidate(transform=fixed("hadamard", 64, 32), folded="", multiplications=100, loss=0.5)
    assert cheapest([plain, dear, cheap]) is cheap
    assert cheapest([plain, dear]) is dear
    worse = Candidate(transform=fixed("hadamard", 64, 32), folded="", multiplications=0, loss=1.001)
    assert cheapest([plain, worse]) is plain


def test_what_is_asked_for_is_taken_whatever_it_costs() -> None:
    x = vectors()
    asked = chosen(site(), x, transform="wush", transform_budget=0.0)
    assert asked.candidate.transform.kind == "wush" and asked.candidate.multiplications == 2 * 32 * 32
    assert asked.candidate.transform.dtype == np.int8
    free = chosen(site(), x, transform="auto", transform_budget=0.0)
    assert free.candidate.transform.kind == "identity" and "budget" in free.reason


@pytest.mark.parametrize("bits", [0, 4, 8])
def test_transforms_are_of_as_many_bits_as_asked(bits: int) -> None:
    matrices = chosen(site(), vectors(), transform="wush", transform_bits=bits).candidate.transform.matrices
    if bits:
        assert np.abs(matrices).max() < 1 << 15
    else:
        live = np.abs(matrices[matrices != 0])
        np.testing.assert_array_equal(np.log2(live), np.rint(np.log2(live)))


def test_factors_are_chosen_where_scales_are_free() -> None:
    at, x = site("bfp16", "bfp12"), vectors(spread=0.0) * 1.02
    sums = MomentsSum(64, 32)
    sums.add(x)
    losses = {}
    for free in (True, False):
        found = select(at, sums.result(), x, Recipe(transform="none"), Foldable(), free_scale=free)
        losses[free] = found.candidate.loss
        assert 1 <= found.candidate.factor < 2 and (free or found.candidate.factor == 1)
    assert losses[True] <= losses[False]


def test_ties_are_kept() -> None:
    at, x = site(), vectors(spread=1.0)
    groups = [[i, i + 32] for i in range(32)]
    choice = chosen(at, x, Foldable(diagonal=groups), transform="wush-diag")
    diagonal = choice.candidate.transform.diagonal
    assert choice.candidate.folded == "diagonal" and diagonal is not None
    ratio = diagonal[0] / diagonal[1]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)  # each block has a factor of its own besides
    whole = chosen(at, x, Foldable(blocks=[[0, 1]]), transform="wush").candidate
    assert (whole.folded, whole.multiplications) == ("all", 0)
    np.testing.assert_array_equal(whole.transform.matrices[0], whole.transform.matrices[1])


def test_moments_of_groups() -> None:
    m_w = weight_moments(list(site().matrices()), 32)
    shared = joint(m_w, [[0, 1]])
    np.testing.assert_allclose(shared.blocks[0], m_w.blocks.mean(axis=0))
    same = alike(m_w, [list(range(64))])
    np.testing.assert_allclose(same.diagonal, m_w.diagonal.mean())
    assert (same.blocks[:, 0, 1] == 0).all()


def test_vectors_are_held_out_of_the_moments() -> None:
    at = site()
    seen = SiteStatistics(at, "calibration", hessian=True)
    x = vectors(4000).astype(np.float32)
    for part in np.split(x, 40):
        seen.add(part)
    held, moments = seen.held_out(), seen.moments()
    assert held.shape == (HELD, 64) and 2800 < moments.count < 3200
    hessian = seen.hessian()
    assert hessian is not None
    np.testing.assert_allclose(hessian, x.T.astype(np.float64) @ x / 4000, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(seen.mean(), x.mean(axis=0), atol=1e-5)
    again = SiteStatistics(at, "calibration")
    again.add(x)
    assert len({row.tobytes() for row in held.astype(np.float32)} & {row.tobytes() for row in x}) == HELD


def test_few_or_empty_vectors_still_give_something_to_measure_on() -> None:
    at = site()
    one = SiteStatistics(at, "calibration")
    one.add(np.ones((1, 64), np.float32))
    assert one.held_out().shape == (HELD, 64) and one.moments().count == 1
    dead = SiteStatistics(at, "calibration")
    dead.add(np.zeros((64, 64), np.float32))
    choice = select(at, dead.moments(), dead.held_out(), Recipe(), Foldable())
    assert choice.candidate.loss == 0 and choice.candidate.transform.kind == "identity"


def test_gains_of_norms_are_found() -> None:
    model = floats(made(Transformer), 1, 6, 64)
    by_layer = {str(n.metadata_props.get("edgegate.layer")): n for n in model.graph if n.op_type == "Linear"}

    def source(name: str) -> ir.Value:
        value = by_layer[name].inputs[0]
        assert value is not None
        return value

    for name in ("q", "gate"):
        found = norm_gains(source(name), 2)
        assert found is not None and found[0][5] == 20 and found[0].argmax() == 5 and not found[1].any()
    assert norm_gains(source("o"), 2) is None and norm_gains(source("down"), 2) is None
    assert norm_gains(source("q"), 1) is None
    convs = floats(made(GatedConvs), 1, 3, 8, 8)
    folded = next(n for n in convs.graph if "edgegate.norm" in n.metadata_props)
    assert norm_gains(folded.outputs[0], 1) is not None
