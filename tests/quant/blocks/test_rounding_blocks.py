"""Weights in blocks rounded with error feedback, with scales of their own, and the biases beside them."""

import dataclasses

import numpy as np
import onnx_ir as ir
import pytest

from edgegate.quant import BlockStorage, Recipe, Scheme, execute, quantize
from edgegate.quant.block_weights import integer_blocks, stored_blocks
from edgegate.quant.error_feedback import in_basis, turned
from edgegate.quant.formats import FORMATS
from edgegate.quant.sites import matrix_of
from edgegate.quant.transform_storage import TransformStorage
from edgegate.quant.weights import layers
from tests.quant.blocks.nets import SwiGlu, feeds, floats, made

NET, DIMS = made(SwiGlu), (1, 64)
DATA = feeds(*DIMS, count=96, scale=NET.scale)


def run(model: ir.Model) -> np.ndarray:
    name = str(model.graph.outputs[0].name)
    return np.concatenate([values[name] for values in execute.run(model, DATA)])


def rounded(model: ir.Model, scheme: Scheme) -> ir.Model:
    """The model with the weights as they are stored; biases corrected."""
    for layer in layers(model):
        if (storage := scheme.blocks.get(str(layer.weight.name))) is None:
            continue
        stored = stored_blocks(storage, matrix_of(layer).T.astype(np.float64)).values().T
        model.graph.initializers[str(layer.weight.name)].const_value = ir.tensor(stored.astype(np.float32))
        bias = layer.bias
        assert bias is not None and bias.const_value is not None
        correction = np.array(scheme.biases.get(str(bias.name), 0.0))
        bias.const_value = ir.tensor((bias.const_value.numpy() + correction).astype(np.float32))
    return model


@pytest.mark.parametrize("form", ["bfp11", "int3_g32", "nvfp4"])
def test_error_feedback_lowers_the_error_of_the_network(form: str) -> None:
    wanted, errors = run(floats(NET, *DIMS)), {}
    for rounding in ("nearest", "gptq"):
        recipe = Recipe(formats=(f"{form}:none",), transform="hadamard", rounding=rounding)
        model, scheme, _ = quantize(floats(NET, *DIMS), recipe, DATA, integer=False)
        errors[rounding] = float(np.square(run(rounded(model, scheme)) - wanted).mean())
    assert errors["gptq"] < 0.9 * errors["nearest"]


def test_biases_make_up_for_the_mean() -> None:
    wanted, shifts = run(floats(NET, *DIMS)).mean(axis=0), {}
    for corrected in (True, False):
        recipe = Recipe(formats=("int8", "down=bfp11:none"), transform="none", bias_correction=corrected)
        model, scheme, _ = quantize(floats(NET, *DIMS), recipe, DATA, integer=False)
        assert bool(scheme.biases) == corrected
        shifts[corrected] = float(np.abs(run(rounded(model, scheme)).mean(axis=0) - wanted).max())
    assert shifts[True] < 1e-3 * shifts[False]


def test_the_model_holds_what_is_stored() -> None:
    """Quantizing the weights of GPTQ again changes nothing, with the scales where the format would choose others."""
    for form in ("bfp12", "int4_g32", "nvfp4", "mxint4_brevitas"):
        recipe = Recipe(formats=(f"{form}:bfp16",), rounding="gptq", transform="none")
        model, scheme, _ = quantize(floats(NET, *DIMS), recipe, DATA, integer=False)
        for layer in layers(model):
            storage = scheme.blocks[str(layer.weight.name)]
            assert bool(storage.scales) == (form != "bfp12")
            weights = matrix_of(layer).T.astype(np.float64)
            np.testing.assert_allclose(stored_blocks(storage, weights).values(), weights, rtol=1e-6)


def test_feedback_needs_data() -> None:
    with pytest.raises(ValueError, match="give calibration data"):
        quantize(floats(NET, *DIMS), Recipe(formats=("bfp12",), rounding="gptq"))


def test_moments_follow_the_transform() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 6))
    transform = TransformStorage(
        source="x", readers=("w",), kind="matrix", block=4, diagonal=tuple(rng.uniform(0.5, 2, 6).tolist()),
        matrices=tuple(rng.integers(-31, 32, 32).tolist()),
    )  # fmt: skip
    padded = np.concatenate([x * np.array(transform.diagonal), np.zeros((40, 2))], axis=1).reshape(40, 2, 4)
    seen = np.einsum("nij,rnj->rni", transform.blocks(), padded).reshape(40, 8)
    np.testing.assert_allclose(turned(x.T, transform).T, seen, rtol=1e-12)
    np.testing.assert_allclose(in_basis(x.T @ x, transform), seen.T @ seen, rtol=1e-10, atol=1e-9)
    assert in_basis(x.T @ x, None).shape == (6, 6)


@pytest.mark.parametrize("form", ["bfp12", "mxfp4", "int4_g32", "nvfp4"])
def test_integer_scales_are_the_stored_ones(form: str) -> None:
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((5, 70)) * np.exp(rng.standard_normal((5, 70)))
    plain = stored_blocks(BlockStorage(weights=form), rows)
    scales = tuple((plain.scales * 1.5).reshape(-1).tolist())
    for storage in (
        BlockStorage(weights=form), BlockStorage(weights=form, scales=scales, tensor_scale=1.5 * plain.tensor_scale),
    ):  # fmt: skip
        exact = stored_blocks(storage, rows)
        blocks, integers = integer_blocks(storage, rows, 31)
        np.testing.assert_array_equal(blocks.values(), exact.values())
        live = blocks.significands.any(axis=-1)
        np.testing.assert_array_equal((integers.multipliers * integers.unit[:, None])[live], blocks.scales[live])
    coarse, few = integer_blocks(storage, rows, 4)
    assert few.multipliers.max() < 16
    assert few.raised.any() == (few.multipliers * few.unit[:, None] != exact.scales).any()
    step = np.repeat(coarse.scales, FORMATS[form].block, axis=1)[:, :70]
    largest = np.abs(rows) <= step * FORMATS[form].element.high
    assert (np.abs(coarse.values() - rows)[largest] <= (2.0001 * step)[largest]).all()


def test_scales_of_another_shape_are_refused() -> None:
    storage = BlockStorage(weights="int4_g32", scales=(1.0, 2.0))
    with pytest.raises(ValueError, match="2 scales are not those of 3 rows of 2 blocks"):
        stored_blocks(storage, np.ones((3, 64)))
    for wrong in ((0.0,), (float("nan"),), (1,), (True,)):
        with pytest.raises(ValueError, match="positive and finite"):
            BlockStorage(weights="int4_g32", scales=wrong)
    with pytest.raises(ValueError, match="positive and finite"):
        dataclasses.replace(storage, tensor_scale=-1.0)
