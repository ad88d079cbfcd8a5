# ruff: noqa: E501 -- one line per file reads as a table
"""safetensors files that contradict themselves."""

from __future__ import annotations

import struct

from edgegate.errors import FileError, UnsafeError
from tests.frontend.corpus._table import (
    Maker,
    Table,
    add,
    put,
)


def safetensors(header: str, data: bytes = bytes(8)) -> Maker:
    return lambda folder: put(folder, struct.pack("<Q", len(header)) + header.encode() + data)


def entry(start: int, stop: int, shape: str = "[1]") -> str:
    return f'{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{stop}]}}'


FILES: Table = [
    ("double_key", UnsafeError, safetensors(f'{{"a":{entry(0, 4)},"a":{entry(4, 8)}}}')),
    ("double_inner_key", UnsafeError, safetensors('{"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}')),
    ("hole", FileError, safetensors(f'{{"a":{entry(0, 4)},"b":{entry(8, 12)}}}', bytes(12))),
    ("overlap", FileError, safetensors(f'{{"a":{entry(0, 4)},"b":{entry(0, 4)}}}')),
    ("trailing_bytes", FileError, safetensors(f'{{"a":{entry(0, 4)}}}')),
    ("truncated", FileError, safetensors(f'{{"a":{entry(0, 8, "[2]")}}}', bytes(4))),
    ("shape_overflow", FileError, safetensors(f'{{"a":{entry(0, 8, "[4294967296,4294967296]")}}}')),
    ("huge_header", UnsafeError, lambda f: put(f, struct.pack("<Q", 1 << 62) + b"{}")),
    ("header_beyond_file", FileError, lambda f: put(f, struct.pack("<Q", 5000) + b"{}")),
    ("deep_header", UnsafeError, safetensors('{"a":' * 100_000 + "1" + "}" * 100_000)),
    ("not_json", FileError, safetensors("{'a'}")),
]  # fmt: skip
for _name, _expected, _maker in FILES:
    add(f"safetensors_{_name}", _expected, _maker)
