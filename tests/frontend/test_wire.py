"""Nodes are counted as onnx counts them, and bytes that are no protobuf are told apart."""

from __future__ import annotations

import onnx
import pytest

from edgegate.frontend._wire import count_nodes

MODEL = onnx.parser.parse_model("""
    <ir_version: 10, opset_import: ["": 21], producer_name: "p">
    g (float[N] x) => (float[N] y) <float[2] w = {1, 2}> { a = Relu(x) b = Add(a, w) y = Neg(b) }
""").SerializeToString()


def test_counts_nodes() -> None:
    assert count_nodes(MODEL, 10) == len(onnx.ModelProto.FromString(MODEL).graph.node) == 3


def test_stops_above_the_limit() -> None:
    assert count_nodes(MODEL, 1) == 2
    node = b"\x0a\x02\x22\x00"
    cut = b"\x3a\x08" + node * 2 + b"\xff\xff"  # never read: the limit comes first
    assert count_nodes(cut, 0) == 1


@pytest.mark.parametrize("data", [b"\x0b", b"\x00\x00", b"\x08" + b"\xff" * 11, b"\x3a\x7f", b"\x3d\0\0\0"])
def test_no_protobuf(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no protobuf|cut off"):
        count_nodes(data, 10)
