"""Blocks as bytes: per block its scale's code, little-endian, then its elements' codes, each from its lowest bit on.

The first bit of an element is the lowest free bit of its byte, so 4-bit elements lie two to a byte with the first in
the low nibble, and four 6-bit ones take three bytes. Blocks follow each other in C order; a format with a tensor
scale begins with it, as a little-endian float32.
"""

from __future__ import annotations

import math

import numpy as np

from edgegate.graph import Array
from edgegate.quant.formats._blocks import Blocks
from edgegate.quant.formats._element import Element
from edgegate.quant.formats._scale import FloatScale, PowerOfTwo

HEADER = np.dtype("<f4")
ROWS = 1 << 14
"""Blocks that are packed at once: bits take a byte each meanwhile."""


def pack(element: Element, scale: PowerOfTwo | FloatScale, block: int, blocks: Blocks) -> bytes:
    """The bytes of blocks; ValueError where they hold what the element or scale cannot."""
    if blocks.significands.shape[-1] != block:
        raise ValueError(f"the format has blocks of {block} values, got {blocks.significands.shape[-1]}")
    if not scale.tensor and blocks.tensor_scale != 1:
        raise ValueError(f"the format has no tensor scale, got {blocks.tensor_scale}")
    significands = blocks.significands.reshape(-1, block)
    codes = scale.encode(blocks.scales.reshape(-1), blocks.tensor_scale)
    packed = np.empty((len(codes), (scale.bits + element.bits * block) // 8), np.uint8)
    packed[:, : scale.bits // 8] = (
        codes.astype(codes.dtype.newbyteorder("<")).view(np.uint8).reshape(-1, scale.bits // 8)
    )
    for at in range(0, len(codes), ROWS):
        rows = element.encode(significands[at : at + ROWS])
        packed[at : at + ROWS, scale.bits // 8 :] = _to_bytes(rows, element.bits)
    header = np.array(blocks.tensor_scale, HEADER).tobytes() if scale.tensor else b""
    return header + packed.tobytes()


def unpack(element: Element, scale: PowerOfTwo | FloatScale, block: int, data: bytes, shape: tuple[int, ...]) -> Blocks:
    """The blocks in bytes from anywhere; ValueError where they are none of the shape."""
    leading, length, n = _checked(shape, block)
    header = HEADER.itemsize if scale.tensor else 0
    width = (scale.bits + element.bits * block) // 8
    expected = header + width * n * math.prod(leading)
    if not isinstance(data, bytes) or len(data) != expected:
        got = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
        raise ValueError(f"values of shape {shape} take {expected} bytes, got {got}")
    tensor = _tensor_scale(data[:header]) if header else 1.0
    rows = np.frombuffer(data, np.uint8, offset=header).reshape(-1, width)
    codes = np.ascontiguousarray(rows[:, : scale.bits // 8]).view(f"<u{scale.bits // 8}").reshape(-1)
    significands = np.empty((len(rows), block), element.dtype)
    for at in range(0, len(rows), ROWS):
        elements = _to_codes(rows[at : at + ROWS, scale.bits // 8 :], element.bits, block)
        significands[at : at + ROWS] = element.decode(elements)
    significands = significands.reshape(*leading, n, block)
    if significands.reshape(*leading, n * block)[..., length:].any():
        raise ValueError("the padding of the last block is not zero; the data is damaged or foreign")
    scales = scale.decode(codes, tensor).reshape(*leading, n)
    return Blocks(significands=significands, scales=scales, length=length, tensor_scale=tensor)


def _checked(shape: tuple[int, ...], block: int) -> tuple[tuple[int, ...], int, int]:
    """Leading axes, K and the number of blocks of a row."""
    if not shape or any(isinstance(d, bool) or not isinstance(d, int) or d < 0 for d in shape) or shape[-1] == 0:
        raise ValueError(f"shape must be integers, the last one positive, got {shape}")
    return shape[:-1], shape[-1], -(-shape[-1] // block)


def _tensor_scale(data: bytes) -> float:
    tensor = float(np.frombuffer(data, HEADER)[0])
    if not (math.isfinite(tensor) and tensor >= float(np.finfo(np.float32).tiny)):
        raise ValueError(f"the tensor scale {tensor} is not a positive normal number; the data is damaged or foreign")
    return tensor


def _to_bytes(codes: Array, bits: int) -> Array:
    """Codes [rows, block] as bytes [rows, bits * block / 8], each code from its lowest bit on."""
    if bits == 8:
        return codes
    if bits == 4:
        return np.asarray(codes[:, ::2] | codes[:, 1::2] << 4)
    spread = np.unpackbits(codes[..., None], axis=-1, count=bits, bitorder="little")
    return np.packbits(spread.reshape(len(codes), codes.shape[1] * bits), axis=-1, bitorder="little")


def _to_codes(data: Array, bits: int, block: int) -> Array:
    """The inverse of :func:`_to_bytes`."""
    if bits == 8:
        return data
    if bits == 4:
        return np.stack((data & 15, data >> 4), axis=-1).reshape(len(data), block)
    spread = np.unpackbits(data, axis=-1, bitorder="little").reshape(len(data), block, bits)
    return np.packbits(spread, axis=-1, bitorder="little")[..., 0]
