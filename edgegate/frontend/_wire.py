"""Just enough of protobuf's wire format to count before parsing.

A parsed message takes far more memory than its bytes (an empty node: two bytes, some hundred
parsed), so the number of nodes is known before the parser sees the file.
"""

from __future__ import annotations

from collections.abc import Iterator

GRAPH, NODE = 7, 1
"""Field numbers of ``ModelProto.graph`` and ``GraphProto.node``."""


def count_nodes(data: bytes, limit: int) -> int:
    """Nodes in the main graph of the serialized ONNX model ``data``; stops counting above ``limit``.

    Raises:
        ValueError: ``data`` is cut off or is not protobuf.
    """
    count = 0
    for field, start, stop in _fields(data, 0, len(data)):
        if field == GRAPH:
            for inner, _, _ in _fields(data, start, stop):
                count += inner == NODE
                if count > limit:
                    return count
    return count


def _fields(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Field number, begin and end of the content of each field between ``start`` and ``stop``."""
    while start < stop:
        tag, start = _varint(data, start, stop)
        wire = tag & 7
        if wire == 0:
            _, end = _varint(data, start, stop)
        elif wire == 2:
            length, start = _varint(data, start, stop)
            end = start + length
        elif wire in (1, 5):
            end = start + (8 if wire == 1 else 4)
        else:
            raise ValueError("no protobuf")
        if end > stop or tag >> 3 == 0:
            raise ValueError("cut off" if end > stop else "no protobuf")
        yield tag >> 3, start, end
        start = end


def _varint(data: bytes, start: int, stop: int) -> tuple[int, int]:
    value = 0
    for n in range(10):
        if start + n >= stop:
            raise ValueError("cut off")
        value |= (data[start + n] & 0x7F) << 7 * n
        if data[start + n] < 0x80:
            return value, start + n + 1
    raise ValueError("no protobuf")
