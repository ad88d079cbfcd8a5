"""Bytes of blocks: the layouts byte by byte, back again, and data from anywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.quant.formats import FORMATS, _pack, format_named

EVERY_SIZE = [
    *(f"bfp{bits + 8}_b8" for bits in range(2, 9)),
    "mxfp6_e2m3",
    "mxfp6_e3m2",
    "mxfp4",
    "mxfp8_e4m3",
    "mxint8",
]
KINDS = ["nvfp4", "int4_g32", "int8_g16", "int3_g64", "msfp12", "msfp16", "bfp16_bump", "bfp16_aie_trunc", "mxfp8_e5m2"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("shape", [(2, 3, 70), (5,), (0, 40), (1, 256)])
def test_there_and_back(name, shape):
    block = FORMATS[name]
    x = np.random.default_rng(0).normal(size=shape) * 2.0 ** np.random.default_rng(1).integers(-20, 20, shape)
    blocks = block.quantize(x)
    data = block.pack(blocks)
    assert block.unpack(data, shape) == blocks
    bits = block.bits_per_value * blocks.significands.size
    assert len(data) == bits / 8 + 4 * (name == "nvfp4")


@pytest.mark.parametrize("name", [*EVERY_SIZE, *KINDS])
@settings(max_examples=20)
@given(data=st.data())
def test_every_block_goes_there_and_back(name, data):
    block = format_named(name)
    values = st.integers(0, (1 << block.element.bits) - 1).filter(
        lambda code: block.element.low <= block.element.table[code] <= block.element.high
    )
    codes = data.draw(st.lists(values, min_size=block.block, max_size=block.block))
    blocks = block.quantize(np.ones(block.block))
    significands = block.element.decode(np.array(codes)).astype(blocks.significands.dtype).reshape(1, -1)
    blocks = replace(blocks, significands=significands)
    assert block.unpack(block.pack(blocks), (block.block,)) == blocks


def test_many_blocks_are_packed_in_pieces(monkeypatch):
    x = np.random.default_rng(2).normal(size=(9, 64))
    for name in ("mxfp6_e2m3", "mxfp4", "mxint8"):
        whole = FORMATS[name].pack(FORMATS[name].quantize(x))
        with monkeypatch.context() as patch:
            patch.setattr(_pack, "ROWS", 4)
            assert FORMATS[name].pack(FORMATS[name].quantize(x)) == whole
            assert FORMATS[name].unpack(whole, x.shape) == FORMATS[name].quantize(x)


def packed(name, values):
    return format_named(name).pack(format_named(name).quantize(np.array(values)))


def test_layout_of_4_bits():
    assert packed("mxfp4", [0.5, -6.0, 4.0]) == bytes([127, 0xF1, 0x06, *[0] * 14])  # the first one low
    assert packed("int4_g32", [1.0, -7.0, 3.0]) == bytes([0x00, 0x3C, 0x91, 0x03, *[0] * 14])  # float16 1.0
    assert packed("bfp12_b8", [1.75, -0.25, 0.5]) == bytes([127, 0xF7, 0x02, 0, 0])
    assert packed("msfp12", [1.75, -0.25, 0.5]) == bytes([127, 0x97, 0x02, *[0] * 6])
    # 2688 / 2688 is a tensor scale of 1; 448 is 0x7e and 2688 / 448 is 6, code 7.
    assert packed("nvfp4", [2688.0, -448.0]) == bytes([0, 0, 0x80, 0x3F, 0x7E, 0xA7, *[0] * 7])


def test_layout_of_6_bits():
    """Four in three bytes, from the lowest bit on: aaaaaa bbbbbb cccccc dddddd."""
    data = packed("mxfp6_e2m3", [7.5, -0.125, 1.0, -7.5])
    together = 0b011111 | 0b100001 << 6 | 0b001000 << 12 | 0b111111 << 18
    assert data == bytes([127, *together.to_bytes(3, "little"), *[0] * 21])


def test_layout_of_3_and_8_bits():
    together = 0b011 | 0b101 << 3 | 0b001 << 6
    assert packed("bfp11_b8", [1.5, -1.5, 0.5]) == bytes([127, *together.to_bytes(3, "little")])
    assert packed("mxint8", [1.0, -1 / 64]) == bytes([127, 64, 0xFF, *[0] * 30])
    assert packed("mxfp8_e4m3", [448.0, -(2.0**-9)]) == bytes([127, 0x7E, 0x81, *[0] * 30])
    assert packed("mxfp8_e5m2", [57344.0, -(2.0**-16)]) == bytes([127, 0x7B, 0x81, *[0] * 30])
    assert packed("mxfp8_e4m3", [449.0 * 2.0**-20]) == bytes([107, 0x7E, *[0] * 31])


def test_layout_of_msfp16():
    assert packed("msfp16", [127 / 64, -1 / 64]) == bytes([127, 0x7F, 0x81, *[0] * 14])


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "int4_g32", "mxfp6_e3m2", "bfp16_quark"])
def test_other_lengths_are_refused(name):
    data = packed(name, [1.0] * 40)
    for wrong in (data[:-1], data + b"\0", b"", data * 2):
        with pytest.raises(ValueError, match=rf"take {len(data)} bytes, got {len(wrong)} bytes"):
            FORMATS[name].unpack(wrong, (40,))
    with pytest.raises(ValueError, match="got list"):
        FORMATS[name].unpack([1, 2], (40,))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (-1, 40), (True, 40), (2.0, 40), (-40,)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="shape must be integers"):
        FORMATS["mxfp4"].unpack(packed("mxfp4", [1.0] * 40), shape)


def test_a_shape_of_huge_size_takes_no_memory():
    with pytest.raises(ValueError, match="take 17" + "0" * 40):
        FORMATS["mxfp4"].unpack(b"", (10**41, 32))


@pytest.mark.parametrize(
    ("name", "at", "code", "why"),
    [
        ("mxfp4", 0, 0xFF, "scale code 0xff is NaN"),
        ("bfp16_quark", 0, 0xFF, "scale code 0xff is NaN"),
        ("mxfp8_e4m3", 1, 0x7F, "e4m3 reserves the code 0x7f"),
        ("mxfp8_e4m3", 1, 0xFF, "e4m3 reserves the code 0xff"),
        ("mxfp8_e5m2", 2, 0x7C, "e5m2 reserves the code 0x7c"),
        ("mxfp8_e5m2", 2, 0xFD, "e5m2 reserves the code 0xfd"),
        ("mxint8", 3, 0x80, "int8 reserves the code 0x80"),
        ("bfp16_quark", 3, 0x80, "int8 reserves the code 0x80"),
        ("bfp12", 1, 0x80, "int4 reserves the code 0x8"),
        ("int4_g32", 2, 0x08, "int4 reserves the code 0x8"),
        ("int4_g32", 1, 0x7C, "float16 reserves the code 0x7c"),
        ("int4_g32", 1, 0xBC, "zero or negative"),
        ("nvfp4", 4, 0x00, "zero or negative"),
        ("nvfp4", 4, 0x81, "zero or negative"),
        ("nvfp4", 4, 0x7F, "e4m3 reserves the code 0x7f"),
        ("nvfp4", 3, 0xFF, "tensor scale"),
        ("nvfp4", 3, 0x7F, "tensor scale"),
        ("nvfp4", 3, 0x00, "tensor scale"),
    ],
)
def test_reserved_codes_are_refused(name, at, code, why):
    data = bytearray(packed(name, [0.0] * FORMATS[name].block if name != "nvfp4" else [2688.0, *[0.0] * 15]))
    if (name, at) == ("nvfp4", 3):
        data[2] = 0x80 if code else 0x00  # infinities, or a subnormal
    data[at] = code
    with pytest.raises(ValueError, match=why):
        FORMATS[name].unpack(bytes(data), (FORMATS[name].block,))


def test_a_negative_zero_is_read_as_zero():
    for name in ("mxfp4", "mxfp8_e4m3", "msfp12"):
        data = bytearray(packed(name, [1.0]))
        data[-1] = 0x80
        assert FORMATS[name].unpack(bytes(data), (FORMATS[name].block,)).significands[0, -1] == 0


def test_values_in_the_padding_are_refused():
    data = packed("mxint8", [1.0] * 32)
    with pytest.raises(ValueError, match="padding"):
        FORMATS["mxint8"].unpack(data, (31,))


@settings(max_examples=60)
@given(data=st.binary(min_size=13, max_size=34))
def test_noise_is_unpacked_or_refused(data):
    for name, shape in (
        ("nvfp4", (16,)),
        ("mxfp4", (32,)),
        ("bfp11_b8", (64,)),
        ("bfp16_quark", (16,)),
        ("mxint8", (32,)),
    ):
        block = format_named(name)
        size = len(block.pack(block.quantize(np.zeros(shape))))
        noise = data[:size].ljust(size, b"\x55")
        try:
            blocks = block.unpack(noise, shape)
        except ValueError:
            continue
        assert np.isfinite(blocks.values()).all() and block.unpack(block.pack(blocks), shape) == blocks


def test_blocks_of_another_format_are_refused():
    blocks = FORMATS["mxint8"].quantize(np.linspace(-1, 1, 32))
    with pytest.raises(ValueError, match="e2m1 has no significand -64"):
        FORMATS["mxfp4"].pack(blocks)
    with pytest.raises(ValueError, match="blocks of 16 values, got 32"):
        FORMATS["nvfp4"].pack(blocks)
    with pytest.raises(ValueError, match="no tensor scale"):
        FORMATS["msfp16"].pack(FORMATS["nvfp4"].quantize(np.ones(16)))
    with pytest.raises(ValueError, match="no power of two"):
        FORMATS["mxint8"].pack(FORMATS["int8_g32"].quantize(np.linspace(-1, 1, 32)))
    with pytest.raises(ValueError, match="no positive float16"):
        FORMATS["int8_g32"].pack(replace(blocks, scales=blocks.scales * 2.0**-30))
    with pytest.raises(ValueError, match="no positive e4m3"):
        FORMATS["nvfp4"].pack(replace(FORMATS["nvfp4"].quantize(np.ones(16)), scales=np.array([0.3])))
