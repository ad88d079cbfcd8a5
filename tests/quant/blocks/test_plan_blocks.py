"""Formats and transforms of whole models: what is chosen, and that transforms change nothing but the storage."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgegate import stages
from edgegate.errors import CompileError
from edgegate.quant import Recipe, Report, Scheme, TransformStorage, execute, quantize
from edgegate.quant.apply import apply_transforms
from edgegate.quant.report import LayerReport
from tests.quant.blocks.nets import GatedConvs, Shared, SwiGlu, Transformer, feeds, floats, made

TRANSFORMER, DIMS = made(Transformer), (1, 6, 64)


def quantized(calibration: Any = None, **options: Any) -> tuple[ir.Model, Scheme, Report]:
    model = floats(TRANSFORMER, *DIMS)
    recipe = Recipe(**{"formats": ("bfp12",), "samples": 24, **options})
    return quantize(model, recipe, calibration, integer=False)


def outputs(model: ir.Model, batches: list[dict[str, np.ndarray]]) -> np.ndarray:
    name = str(model.graph.outputs[0].name)
    return np.stack([values[name] for values in execute.run(model, batches)])


def by_layer(report: Report) -> dict[str, LayerReport]:
    return {entry.layer: entry for entry in report.layers}


def gain(entry: LayerReport) -> float:
    """What the transform brings, in dB."""
    if entry.sqnr_after is None or entry.sqnr_before is None:
        return 0.0
    return entry.sqnr_after - entry.sqnr_before


@pytest.mark.parametrize("transform", ["auto", "none", "hadamard", "wush-diag", "wush"])
@pytest.mark.parametrize("blind", [True, False])
def test_a_transformed_model_computes_what_it_did(transform: str, blind: bool) -> None:
    wanted = outputs(floats(TRANSFORMER, *DIMS), feeds(*DIMS))
    model, scheme, report = quantized(None if blind else feeds(*DIMS), transform=transform)
    stages.floating(model)
    np.testing.assert_allclose(outputs(model, feeds(*DIMS)), wanted, rtol=1e-4, atol=2e-5)
    assert len(scheme.transforms) == (0 if transform == "none" else len({t.source for t in scheme.transforms.values()}))
    assert len(report.layers) == len(scheme.blocks) + 2  # the gains of norms are no layers for blocks


def test_without_data_the_gains_of_norms_decide() -> None:
    _, scheme, report = quantized()
    found = by_layer(report)
    for name in ("q", "gate"):
        assert (found[name].transform, found[name].folded) == ("wush_diag", "diagonal"), name
        assert gain(found[name]) > 3
    assert report.moments[scheme.transforms[next(iter(scheme.transforms))].source] == "gamma"
    assert "synthetic" in report.moments.values()
    assert all(entry.sqnr is None or "wush" not in entry.sqnr for entry in report.layers)


def test_the_value_projection_takes_the_whole_transform() -> None:
    found = by_layer(quantized(feeds(*DIMS), transform="wush")[2])
    assert (found["o"].transform, found["o"].folded, found["o"].operations) == ("wush", "all", 0)
    assert (found["q"].transform, found["q"].folded) == ("wush", "")
    assert found["q"].operations == 6 * 64 * 32 and found["q"].transform_bytes == 2 * 32 * 32
    assert found["k"].operations == found["k"].transform_bytes == 0  # q, k and v share one


def test_no_layer_is_worse_than_without_a_transform() -> None:
    for fmt in ("mxfp4", "nvfp4", "int4_g32", "bfp11"):
        for entry in quantized(feeds(*DIMS), formats=(fmt,))[2].layers:
            assert gain(entry) >= 0, (fmt, entry.name)


def test_the_budget_keeps_costly_transforms_out() -> None:
    assert {e.transform for e in quantized(feeds(*DIMS), transform_budget=0.0)[2].layers} == {"identity", "wush"}
    found = by_layer(quantized(feeds(*DIMS), transform_budget=0.0)[2])
    assert found["o"].folded == "all" and "budget" in found["q"].reason


def test_formats_by_layer() -> None:
    _, scheme, report = quantized(formats=("mxfp4:mxint8", "q=int8", "*down*=bfp16"))
    found = by_layer(report)
    assert (found["q"].format, found["k"].format, found["down"].format) == ("int8", "mxfp4", "bfp16")
    assert (found["k"].activations, found["down"].activations) == ("mxint8", "bfp16")
    assert found["q"].weight not in scheme.blocks
    with pytest.raises(ValueError, match="matches no layer; did you mean 'down'"):
        quantized(formats=("bfp12", "dwn=int8"))
    for wrong in (("bfp99",), ("=bfp12",), ("bfp12:what",), ()):
        with pytest.raises(ValueError, match="format"):
            quantized(formats=wrong)


def test_layers_that_fit_no_block_say_why() -> None:
    _, _, report = quantize(floats(made(GatedConvs), 1, 3, 8, 8), Recipe(formats=("bfp12",)), integer=False)
    found = by_layer(report)
    assert found["first"].format == "int8" and "half of a block" in found["first"].reason
    assert found["value"].format == found["mix"].format == "bfp12"
    assert (found["last"].padding, found["mix"].padding) == (24, 0)
    assert found["last"].weight_bytes == 10 * 64 * 4.25 / 8


def test_weights_of_two_inputs_stay_as_they_are() -> None:
    """No transform could suit both, and all of it is undone in the weights."""
    model = floats(made(Shared), 1, 64, 2, 2)
    _, scheme, report = quantize(model, Recipe(formats=("bfp12",), transform="hadamard"), integer=False)
    assert {entry.format for entry in report.layers if entry.layer == "twice"} == {"int8"}
    assert all("something else" in entry.reason for entry in report.layers if entry.layer == "twice")
    assert len(scheme.blocks) == len(scheme.transforms) == 1


def test_a_calibration_that_is_gone_after_one_reading_is_refused() -> None:
    with pytest.raises(ValueError, match="read more than once"):
        quantized(iter(feeds(*DIMS)))
    with pytest.raises(ValueError, match="no calibration data"):
        quantized([])


def test_values_that_are_not_finite_are_named() -> None:
    with pytest.raises(CompileError, match="NaN or infinity"):
        quantize(floats(made(SwiGlu), 1, 64), Recipe(formats=("bfp12",)), feeds(1, 64, scale=1e30), integer=False)


def test_a_scheme_brings_its_transforms_to_the_model_again() -> None:
    model, scheme, _ = quantized(feeds(*DIMS))
    again = floats(TRANSFORMER, *DIMS)
    read = Scheme.from_json(scheme.to_json())
    assert read == scheme
    apply_transforms(again, read.transforms)
    np.testing.assert_array_equal(outputs(again, feeds(*DIMS)), outputs(model, feeds(*DIMS)))


@pytest.mark.parametrize(("changes", "words"), [
    ({"readers": ("nowhere",)}, "nowhere"), ({"source": "x"}, "reads"), ({"diagonal": (1.0,)}, "1 channels"),
    ({"online": False}, "does not take its matrices"), ({"block": 128}, ""),
])  # fmt: skip
def test_a_transform_of_another_model_is_refused(changes: dict[str, Any], words: str) -> None:
    _, scheme, _ = quantized(transform="hadamard")
    given = next(iter(scheme.transforms.values()))
    fields = {k: getattr(given, k) for k in ("source", "readers", "kind", "block", "online", "diagonal", "matrices")}
    other = TransformStorage(**{**fields, **changes})
    if words:
        with pytest.raises(CompileError, match=words):
            apply_transforms(floats(TRANSFORMER, *DIMS), {"t": other})
    else:  # another block size is another transform, and as exact
        again = floats(TRANSFORMER, *DIMS)
        apply_transforms(again, {"t": other})
        wanted = outputs(floats(TRANSFORMER, *DIMS), feeds(*DIMS))
        np.testing.assert_allclose(outputs(again, feeds(*DIMS)), wanted, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("fields", [
    {"kind": "what"}, {"block": 24}, {"block": True}, {"readers": ()}, {"diagonal": (0.0,)},
    {"diagonal": (float("inf"),)}, {"kind": "matrix"}, {"matrices": (1, 2, 3, 4)}, {"online": 1},
    {"kind": "matrix", "matrices": (1 << 15, 0, 0, 1)}, {"kind": "matrix", "matrices": (1, 0, 0)},
])  # fmt: skip
def test_impossible_transforms_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        TransformStorage(**{"source": "x", "readers": ("w",), "kind": "hadamard", "block": 2, **fields})


def test_a_singular_transform_is_refused() -> None:
    singular = TransformStorage(source="x", readers=("w",), kind="matrix", block=2, matrices=(1, 1, 1, 1))
    with pytest.raises(ValueError, match="singular"):
        singular.inverse()


def test_the_report_is_plain_and_adds_up() -> None:
    import json

    document = quantized(feeds(*DIMS))[2].document()
    assert json.loads(json.dumps(document, allow_nan=False)) == json.loads(json.dumps(document))
    assert document["totals"]["weight_bytes"] == sum(entry["weight_bytes"] for entry in document["layers"])
    assert document["totals"]["float_bytes"] > 6 * document["totals"]["weight_bytes"]
