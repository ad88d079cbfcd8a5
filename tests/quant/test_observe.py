"""What is observed, against numpy; and what calibration data must be."""

import numpy as np
import pytest

from edgegate.errors import CompileError, InputError
from edgegate.quant.execute import Program, run
from edgegate.quant.histogram import Histogram
from edgegate.quant.observe import halves, observe
from tests.quant.gated_nets import batches, gated, model


def known(data: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    """The head of the gated net in numpy, from the values before it."""
    net = gated()
    return list(run(net, data))


def test_run_gives_every_value() -> None:
    values = known(batches(1))[0]
    assert set(values) == {"x", "value", "gate", "opened", "product", "mixed", "kept", "pooled", "logits"}
    np.testing.assert_allclose(values["opened"], 1 / (1 + np.exp(-values["gate"])), rtol=1e-5)
    np.testing.assert_array_equal(values["product"], values["value"] * values["opened"])
    np.testing.assert_array_equal(values["kept"], np.maximum(values["mixed"], 0))


def test_ranges_and_means_are_numpys() -> None:
    net, data = gated(), batches(5)
    seen = observe(net, run(net, iter(data)), histograms=["x", "gate", "kept"], means={"x": 1, "pooled": -1})
    every = known(data)
    for name in ("x", "gate", "kept"):
        whole = np.concatenate([v[name] for v in every])
        assert (seen.histograms[name].low, seen.histograms[name].high) == (whole.min(), whole.max())
        assert seen.histograms[name].zeros == (whole == 0).sum()
        assert seen.histograms[name].counts.sum() + seen.histograms[name].zeros == whole.size
    x = np.concatenate([v["x"] for v in every]).astype(np.float64)
    np.testing.assert_allclose(seen.means["x"], x.mean(axis=(0, 2, 3)), rtol=1e-12)
    pooled = np.concatenate([v["pooled"] for v in every]).astype(np.float64)
    np.testing.assert_allclose(seen.means["pooled"], pooled.mean(axis=0), rtol=1e-12)
    assert seen.runs == 5


def test_calibration_data_is_streamed() -> None:
    net = gated()
    taken = []

    def source() -> object:
        for i, batch in enumerate(batches(3)):
            taken.append(i)
            yield batch

    stream = run(net, source())  # type: ignore[arg-type]
    next(stream)
    assert taken == [0]


def test_the_model_is_not_touched() -> None:
    net = gated()
    before = [o.name for o in net.graph.outputs], len(net.graph), sorted(net.graph.initializers)
    list(run(net, batches(1)))
    assert ([o.name for o in net.graph.outputs], len(net.graph), sorted(net.graph.initializers)) == before


@pytest.mark.parametrize(("batch", "said"), [
    ({}, "has inputs"), ({"x": np.zeros((1, 3, 8, 8)), "y": np.zeros(1)}, "has inputs"),
    ({"x": np.zeros((1, 3, 8, 9))}, "shape"), ({"x": np.full((1, 3, 8, 8), "a")}, "dtype"),
    ({"x": np.full((1, 3, 8, 8), np.nan)}, "NaN"), ({"x": np.full((1, 3, 8, 8), 1e39)}, "NaN or inf"),
])  # fmt: skip
def test_bad_batches_are_refused(batch: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(InputError, match=f"batch 1.*{said}"):
        list(run(gated(), [batches(1)[0], batch]))


def test_no_data_is_refused() -> None:
    net = gated()
    with pytest.raises(ValueError, match="no calibration data"):
        observe(net, run(net, []), histograms=["x"], means={})


def test_a_model_that_computes_nan_is_named() -> None:
    text = "g (float[1,4] x) => (float[1,4] y) { y = edgegate.unary.Log (x) }"
    net = model(text, {}, {"y": "head.log"})
    with pytest.raises(CompileError, match=r"head\.log.*NaN or infinity in 'y'"):
        observe(net, run(net, [{"x": -np.ones((1, 4))}]), histograms=["y"], means={})


def test_a_program_of_no_nodes() -> None:
    assert Program(gated(), [])({}) == {}


@pytest.mark.parametrize("batch", [1, 2, 3, 6])
def test_halves_are_of_the_same_samples_whatever_their_batches(batch: int) -> None:
    x = np.random.default_rng(0).standard_normal((12, 4, 3))
    merged = x.reshape(48, 3)  # as where samples and places are one axis
    net = model("g (float[1,4,3] x) => (float[1,4,3] y) { y = Relu (x) }", {})
    seen = [{"x": x[i : i + batch], "y": merged[4 * i : 4 * (i + batch)]} for i in range(0, 12, batch)]
    found = observe(net, seen, histograms=["x", "y"], means={}, batch=batch).histograms
    for name in ("x", "y"):
        for half, wanted in zip(found[name].halves or (), (x[::2], x[1::2]), strict=True):
            histogram = Histogram()
            histogram.add(wanted)
            np.testing.assert_array_equal(half.counts, histogram.counts)
    assert observe(net, seen, histograms=["x"], means={}).histograms["x"].halves is None


def test_what_is_not_of_samples_is_the_first_ones() -> None:
    x = np.arange(15).reshape(5, 3)
    for first in range(3):
        even, odd = halves(x, first, 2)
        assert (len(even), len(odd)) == ((5, 0) if first % 2 == 0 else (0, 5))
