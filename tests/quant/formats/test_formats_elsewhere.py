"""The same formats in brevitas and torchao: equal, or different in the way that is written down here.

What was found, with brevitas 0.13.4 and torchao 0.18.0:

| where                      | what it does                                         | here                             |
|----------------------------|------------------------------------------------------|----------------------------------|
| brevitas, MX               | floor(log2(x)) in float32: just below a power of two | the exponent's bits: never       |
|                            | the scale is twice too large                         |                                  |
| brevitas, MX               | a block's scale is never below that of 1e-10: of     | scales go down to 2**-127        |
|                            | what is below 2**-33, little or nothing is left      |                                  |
| brevitas, MXInt8Weight     | a step of X * 2**-7 in [-128, 127]: what is above    | ``mxint8_brevitas``; ``mxint8``  |
| and MXInt8Act              | the power of two is cut off, up to half of it        | has X * 2**-6, as OCP MX has     |
| torchao, scale code 0      | it divides by 2**-126, but stores 2**-127            | divides by what is stored        |
| torchao, mode CEIL         | rounds the logarithm of the magnitude up             | its RCEIL is the rule ``ceil``   |
| torchao, NVFP4 block scale | at least 2**-6; a tensor of zeros has NaN            | at least 2**-9; zeros as zeros   |
| torchao, NVFP4 elements    | times a float32 reciprocal: ties go either way       | one division, ties to even       |
| ml_dtypes, from float64    | by way of float32: rounds twice                      | once                             |
| microxcaling (not run)     | half away from zero by default; log2 in float32      | half even; bits                  |
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgegate.quant.formats import FORMATS, format_named

SHAPE = (64, 128)


def samples(kind):
    rng = np.random.default_rng(11)
    x = rng.standard_normal(SHAPE)
    if kind == "wide":
        x *= 2.0 ** rng.integers(-20, 20, SHAPE)
    if kind == "ties":
        x = rng.integers(-64, 64, SHAPE) / 8
    if kind == "zeros":
        x *= rng.integers(0, 2, (64, 1))
    if kind == "below powers":
        powers = 2.0 ** rng.integers(2, 100, (64, 4))
        x[:, ::32] = np.nextafter(powers.astype(np.float32), np.float32(0))
    if kind == "far":
        x *= 2.0 ** rng.integers(-100, 120, (64, 1))
    if kind == "subnormal":
        x *= 2.0**-134
    return x.astype(np.float32)


def brevitas_values(x, name):
    qnn = pytest.importorskip("brevitas.nn")
    from brevitas.quant import mx_quant_ocp as ocp

    widths = {"mxfp8_e4m3": (8, 4, 3), "mxfp8_e5m2": (8, 5, 2), "mxfp6_e2m3": (6, 2, 3), "mxfp4": (4, 2, 1)}
    widths["mxfp6_e3m2"] = (6, 3, 2)
    bits, exponent, mantissa = widths[name]
    sizes = {"bit_width": bits, "exponent_bit_width": exponent, "mantissa_bit_width": mantissa}
    quantizer = type(name, (ocp.MXFloat8e4m3Weight,), sizes)
    layer = qnn.QuantLinear(SHAPE[1], SHAPE[0], bias=False, weight_quant=quantizer)
    layer.weight.data = torch.from_numpy(x)
    return layer.quant_weight().value.detach().numpy().reshape(SHAPE).astype(np.float64)


FLOATS = ["mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4"]


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("kind", ["normal", "wide", "ties", "zeros"])
def test_brevitas_stores_the_same_floats(name, kind):
    x = samples(kind)
    np.testing.assert_array_equal(FORMATS[name].quantize(x).values(), brevitas_values(x, name))


def test_brevitas_takes_the_wrong_exponent_below_powers_of_two():
    x = samples("below powers")
    blocks = FORMATS["mxfp4"].quantize(x)
    theirs = brevitas_values(x, "mxfp4")
    twice = 2 * blocks.scales
    doubled = FORMATS["mxfp4"].significands(x.reshape(64, 4, 32).astype(np.float64), twice[..., None])
    doubled = (doubled * twice[..., None]).reshape(SHAPE)
    assert (theirs != blocks.values()).any()
    assert ((theirs == blocks.values()) | (theirs == doubled)).all()


def brevitas_integers(x, bits, size, act):
    """Values and scales of brevitas' MXInt8Weight, or MXInt8Act, with so many bits in such groups."""
    qnn = pytest.importorskip("brevitas.nn")
    from brevitas.quant import mx_quant_ocp as ocp

    kind = type("Kind", (ocp.MXInt8Act if act else ocp.MXInt8Weight,), {"bit_width": bits, "group_size": size})
    if act:
        made = qnn.QuantIdentity(act_quant=kind, group_dim=-1, return_quant_tensor=True).eval()(torch.from_numpy(x))
    else:
        layer = qnn.QuantLinear(SHAPE[1], SHAPE[0], bias=False, weight_quant=kind)
        layer.weight.data = torch.from_numpy(x)
        made = layer.quant_weight()
    return [v.detach().numpy().astype(np.float64) for v in (made.value.reshape(SHAPE), made.scale_.reshape(64, -1))]


@pytest.mark.parametrize("act", [False, True])
@pytest.mark.parametrize("kind", ["normal", "wide", "ties", "zeros"])
def test_brevitas_stores_the_same_integers(kind, act):
    """Of every width; groups of zeros have another scale, which means nothing."""
    for bits, size in [(8, 32), (8, 16), (6, 128), (5, 32), (4, 32), (3, 64), (2, 16)]:
        x = samples(kind)
        blocks = format_named(f"mxint{bits}_brevitas_b{size}").quantize(x)
        values, scales = brevitas_integers(x, bits, size, act)
        np.testing.assert_array_equal(blocks.values(), values)
        live = blocks.significands.any(-1)
        np.testing.assert_array_equal(blocks.scales[live], scales[live])
        assert kind == "zeros" or blocks.significands.min() == -(1 << (bits - 1)) < -blocks.significands.max()


def test_brevitas_integers_differ_where_logarithms_do_and_below_1e_10():
    form = FORMATS["mxint8_brevitas"]
    x = samples("below powers")
    blocks, (values, scales) = form.quantize(x), brevitas_integers(x, 8, 32, True)
    assert set(np.unique(scales / blocks.scales)) == {1.0, 2.0}
    as_there = form.significands(x.reshape(64, 4, 32).astype(np.float64), scales[..., None]) * scales[..., None]
    np.testing.assert_array_equal(as_there.reshape(SHAPE), values)
    small = samples("subnormal")
    assert form.quantize(small).values().any()
    values, scales = brevitas_integers(small, 8, 32, True)
    assert not values.any()
    assert np.allclose(scales, 1e-10 / 128)


def torchao():
    pytest.importorskip("torchao")
    return pytest.importorskip("torchao.prototype.mx_formats.mx_tensor")


def without_negative_zero(codes, bits):
    """torchao keeps the sign of what rounds to zero."""
    if bits == 4:
        low, high = codes & 15, codes >> 4
        return np.where(low == 8, 0, low) | np.where(high == 8, 0, high) << 4
    return np.where(codes == 1 << (bits - 1), 0, codes)


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("rule", ["floor", "even", "ceil"])
def test_torchao_packs_the_same_bytes(name, rule):
    mx = torchao()
    constants = pytest.importorskip("torchao.prototype.mx_formats.constants")
    types = {"mxfp8_e4m3": torch.float8_e4m3fn, "mxfp8_e5m2": torch.float8_e5m2, "mxfp4": torch.float4_e2m1fn_x2}
    types |= {"mxfp6_e2m3": constants.DTYPE_FP6_E2M3, "mxfp6_e3m2": constants.DTYPE_FP6_E3M2}
    mode = {"floor": "FLOOR", "even": "EVEN", "ceil": "RCEIL"}[rule]
    block = format_named(f"{name}-{rule}")
    kinds = ("normal", "wide", "ties", "zeros", "below powers", "far")
    x = np.concatenate([samples(kind) for kind in kinds])
    scales, elements = mx.to_mx(torch.from_numpy(x), types[name], 32, mx.ScaleCalculationMode[mode])
    blocks = block.quantize(x)
    ours = block.scale.encode(blocks.scales, 1.0)
    np.testing.assert_array_equal(ours, scales.view(torch.uint8).numpy().reshape(ours.shape))
    codes = block.element.encode(blocks.significands).reshape(x.shape)
    if name == "mxfp4":
        codes = codes[:, ::2] | codes[:, 1::2] << 4
    theirs = without_negative_zero(elements.view(torch.uint8).numpy().reshape(codes.shape), block.element.bits)
    np.testing.assert_array_equal(codes, theirs)


def test_torchao_divides_by_more_than_it_stores_at_code_0():
    mx = torchao()
    x = samples("subnormal")
    scales, elements = mx.to_mx(torch.from_numpy(x), torch.float8_e4m3fn, 32, mx.ScaleCalculationMode.FLOOR)
    assert not scales.view(torch.uint8).any()
    blocks = FORMATS["mxfp8_e4m3"].quantize(x)
    assert (blocks.scales == 2.0**-136).all()
    theirs = elements.to(torch.float64).numpy().reshape(SHAPE) * 2.0**-127
    assert np.abs(theirs - x).sum() > 4 * np.abs(blocks.values() - x).sum()


@pytest.mark.parametrize("kind", ["normal", "wide"])
def test_torchao_packs_the_same_nvfp4_above_its_least_scale(kind):
    torchao()
    nvfp4 = pytest.importorskip("torchao.prototype.mx_formats.nvfp4_tensor")
    x = samples(kind)
    tensor = nvfp4.per_tensor_amax_to_scale(torch.tensor(np.abs(x).max()))
    scales, elements = nvfp4.nvfp4_quantize(torch.from_numpy(x), 16, tensor)
    blocks = FORMATS["nvfp4"].quantize(x)
    assert blocks.tensor_scale == float(tensor)
    codes = np.frombuffer(FORMATS["nvfp4"].pack(blocks), np.uint8)[4:].reshape(64, 8, 9)
    theirs = scales.view(torch.uint8).numpy().reshape(64, 8)
    np.testing.assert_array_equal(np.maximum(codes[..., 0], 8), theirs)  # 8 is 2**-6
    same = codes[..., 0] == theirs
    packed = without_negative_zero(elements.view(torch.uint8).numpy().reshape(64, 8, 8), 4)
    np.testing.assert_array_equal(codes[..., 1:][same], packed[same])
