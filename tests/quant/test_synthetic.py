"""Calibration without data: inputs, restored moments, ranges."""

import json

import numpy as np
import pytest

from edgegate.errors import CompileError
from edgegate.quant import Recipe
from edgegate.quant.execute import run as run_whole
from edgegate.quant.synthetic import Moments, covers, moments, restore, run, samples
from tests.quant.gated_nets import gated, model


def collected(net, recipe):  # type: ignore[no-untyped-def]
    """Every value over all samples, stacked."""
    result: dict[str, list[np.ndarray]] = {}
    for values in run(net, samples(net, recipe)):
        for name, array in values.items():
            result.setdefault(name, []).append(array)
    return {name: np.concatenate(arrays).astype(np.float64) for name, arrays in result.items()}


def test_the_run_reproduces_the_moments() -> None:
    net = gated()
    values = collected(net, Recipe(samples=16))
    for node in net.graph:
        target = moments(node)
        if target is not None:
            seen = values[str(node.outputs[0].name)]
            np.testing.assert_allclose(seen.mean(axis=(0, 2, 3)), target.mean, atol=1e-6)
            np.testing.assert_allclose(seen.std(axis=(0, 2, 3)), target.std, rtol=1e-6)
    assert all(len(v) == 16 for v in values.values())
    # What follows sees the restored values.
    np.testing.assert_array_equal(values["kept"], np.maximum(values["mixed"], 0))
    np.testing.assert_allclose(values["opened"], 1 / (1 + np.exp(-values["gate"])), rtol=1e-5)


def test_without_norms_it_is_the_plain_run() -> None:
    net = gated(norms=False)
    feeds = samples(net, Recipe(samples=3))
    plain = list(run_whole(net, feeds))
    values = collected(net, Recipe(samples=3))
    for name in values:
        np.testing.assert_array_equal(values[name], np.concatenate([v[name] for v in plain]))


def test_restoring_hits_the_moments_and_leaves_constants_at_their_mean() -> None:
    rng = np.random.default_rng(0)
    arrays = [(rng.standard_normal((2, 3, 5)) * [[1], [9], [0]] + [[4], [0], [7]]).astype(np.float32) for _ in range(4)]
    target = Moments(axis=1, mean=np.array([1.0, -2, 3]), std=np.array([0.5, 0, 2]))
    restored = np.concatenate(restore(arrays, target)).astype(np.float64)
    np.testing.assert_allclose(restored.mean(axis=(0, 2)), [1, -2, 3], atol=1e-6)
    np.testing.assert_allclose(restored.std(axis=(0, 2)), [0.5, 0, 0], atol=1e-6)


def test_inputs_are_the_same_for_the_same_seed() -> None:
    net = gated()
    first, again, other = (samples(net, Recipe(samples=2, seed=s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first[1]["x"], again[1]["x"])
    assert (first[1]["x"] != other[1]["x"]).any()
    assert (first[0]["x"] != first[1]["x"]).any()


def test_inputs_have_the_declared_distribution() -> None:
    net = gated()
    normal = np.stack([s["x"] for s in samples(net, Recipe(samples=800))])
    assert normal.mean() == pytest.approx(0, abs=0.05)
    assert normal.std() == pytest.approx(1, abs=0.05)
    uniform = np.stack([s["x"] for s in samples(net, Recipe(samples=800, input_range=(2.0, 6.0)))])
    assert uniform.min() >= 2
    assert uniform.max() <= 6
    assert np.quantile(uniform, [0.25, 0.5, 0.75]) == pytest.approx([3, 4, 5], abs=0.1)
    # Neighbours agree, and a sample's mean is its own: pooling does not level the samples.
    assert np.corrcoef(normal[..., 0].ravel(), normal[..., 1].ravel())[0, 1] > 0.5
    assert normal.mean(axis=(3, 4)).std() > 0.3


def test_covers_reach_four_deviations() -> None:
    net = gated()
    found = covers(net, Recipe())
    assert found["x"] == (-4.0, 4.0)
    target = moments(net.graph[0])
    assert target is not None
    low, high = (target.mean - 4 * target.std).min(), (target.mean + 4 * target.std).max()
    assert found["value"] == pytest.approx((low, high))
    assert covers(net, Recipe(input_range=(0.0, 1.0)))["x"] == (0.0, 1.0)


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"mean": [0], "std": [1]}', json.dumps({"mean": [0] * 8, "std": [-1] * 8}),
    json.dumps({"mean": [float("nan")] * 8, "std": [1] * 8}), json.dumps({"mean": ["a"] * 8, "std": [1] * 8}),
])  # fmt: skip
def test_impossible_moments_are_refused(text: str) -> None:
    net = gated()
    net.graph[0].metadata_props["edgegate.norm"] = text
    with pytest.raises(CompileError, match=r"block\.value.*edgegate\.norm"):
        moments(net.graph[0])


def test_integer_inputs_are_refused() -> None:
    net = model("g (int64[1,4] x) => (float[1,4] y) { y = Cast <to: int = 1> (x) }", {})
    with pytest.raises(CompileError, match="input x: is an integer that picks from nothing"):
        samples(net, Recipe(samples=2))


def test_linear_layers_are_restored_along_their_last_axis() -> None:
    text = "g (float[1,5,4] x) => (float[1,5,3] y) { y = edgegate.Linear (x, w, b) }"
    rng = np.random.default_rng(1)
    net = model(text, {"w": rng.standard_normal((4, 3)).astype(np.float32), "b": np.zeros(3, np.float32)})
    net.graph[0].metadata_props["edgegate.norm"] = json.dumps({"mean": [1, 2, 3], "std": [1, 0.5, 4]})
    y = collected(net, Recipe(samples=20))["y"]
    np.testing.assert_allclose(y.mean(axis=(0, 1)), [1, 2, 3], atol=1e-6)
    np.testing.assert_allclose(y.std(axis=(0, 1)), [1, 0.5, 4], rtol=1e-6)


@pytest.mark.parametrize(("axis", "dims"), [(1, "1,3,5"), (2, "1,5,3")])
def test_affine_is_restored_along_its_axis(axis: int, dims: str) -> None:
    text = f"g (float[{dims}] x) => (float[{dims}] y) {{ y = edgegate.Affine <axis = {axis}> (x, s, b) }}"
    shape = (3,) + (1,) * (2 - axis)
    net = model(text, {"s": np.ones(shape, np.float32), "b": np.zeros(shape, np.float32)})
    net.graph[0].metadata_props["edgegate.norm"] = json.dumps({"mean": [1, 2, 3], "std": [1, 0.5, 4]})
    y = collected(net, Recipe(samples=20))["y"]
    np.testing.assert_allclose(y.mean(axis=(0, 3 - axis)), [1, 2, 3], atol=1e-6)
    np.testing.assert_allclose(y.std(axis=(0, 3 - axis)), [1, 0.5, 4], rtol=1e-6)
