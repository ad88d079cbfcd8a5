# ruff: noqa: E501 -- one line per file reads as a table
"""ONNX graphs that grow, recurse or lie about sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgegate.errors import CompileError, FileError, UnsafeError
from tests.frontend.corpus._models import adding, model, tensor, written
from tests.frontend.corpus._table import (
    Table,
    add,
    put,
)


def shaped(op: str, shape: tuple[int, ...], *before: str) -> Callable[[], onnx.ModelProto]:
    """``op`` on constants makes a tensor of ``shape``, which is added to x."""
    return lambda: model(
        [helper.make_node(op, [*before, "s"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])],
        [
            helper.make_tensor("s", TensorProto.INT64, [len(shape)], list(shape)),
            helper.make_tensor("one", TensorProto.FLOAT, [1, 1], [1.0]),
        ],
    )


def ranged() -> onnx.ModelProto:
    numbers = [helper.make_tensor(n, TensorProto.FLOAT, [], [v]) for n, v in (("a", 0.0), ("b", 1e12), ("d", 1.0))]
    return model(
        [helper.make_node("Range", ["a", "b", "d"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])],
        numbers,
    )


def lying() -> onnx.ModelProto:
    """As ``shaped``, but the file says that the tensor is small."""
    proto = shaped("ConstantOfShape", (1 << 20, 1 << 20))()
    proto.graph.value_info.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, (1, 4)))
    return proto


def computed() -> onnx.ModelProto:
    """The shape itself is the result of constant arithmetic."""
    nodes = [
        helper.make_node("Mul", ["s", "s"], ["t"]),
        helper.make_node("ConstantOfShape", ["t"], ["c"]),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    return model(nodes, [helper.make_tensor("s", TensorProto.INT64, [2], [1 << 10, 1 << 10])])


def doubling(length: int) -> onnx.ModelProto:
    """Constants that double at each node."""
    nodes = [helper.make_node("Concat", [f"v{n}", f"v{n}"], [f"v{n + 1}"], axis=0) for n in range(length)]
    return model([*nodes, helper.make_node("Add", ["x", f"v{length}"], ["y"])], [helper.make_tensor("v0", 1, [1024, 1], [1.0] * 1024)])  # fmt: skip


def million_nodes(folder: Path) -> Path:
    """Serialized by hand: as a message it would take a gigabyte."""
    node = helper.make_node("Relu", ["x"], ["x"]).SerializeToString()
    body = (b"\x0a" + bytes([len(node)]) + node) * 1_000_000
    return put(folder, b"\x08\x0a" + b"\x3a" + _varint(len(body)) + body)


def _varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def nested_ifs(folder: Path) -> Path:
    """Ten thousand If in each other, serialized by hand: onnx's own builder would recurse."""
    wrap = lambda tag, content: bytes([tag]) + _varint(len(content)) + content  # noqa: E731
    body = b""
    for _ in range(10_000):
        attribute = wrap(0x0A, b"then_branch") + wrap(0x32, body) + b"\xa0\x01\x05"
        body = wrap(0x0A, wrap(0x22, b"If") + wrap(0x2A, attribute))
    return put(folder, b"\x08\x0a" + wrap(0x3A, body))


def function(name: str, *calls: str) -> onnx.FunctionProto:
    steps = [f"v{n}" for n in range(len(calls))]
    nodes = [
        helper.make_node(c, [a], [b], domain="f" if c[0] == "F" else "")
        for c, a, b in zip(calls, steps, [*steps[1:], "out"], strict=True)
    ]
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("f", 1)]
    return helper.make_function("f", name, ["v0"], ["out"], nodes, opsets)


def calling(*functions: onnx.FunctionProto) -> Callable[[], onnx.ModelProto]:
    return lambda: model([helper.make_node("F0", ["x"], ["y"], domain="f")], [], list(functions))


LAUGHS = [function(f"F{n}", *[f"F{n + 1}"] * 2) for n in range(40)]
RELU = helper.make_node("Relu", ["x"], ["y"])
BAD = np.array([1, np.nan, np.inf, -np.inf], np.float32)

FILES: Table = [
    ("shape_of_2_62", UnsafeError, written(lambda: adding(tensor((1 << 31, 1 << 31), bytes(16))))),
    ("negative_shape", UnsafeError, written(lambda: adding(tensor((-1, -4), bytes(16))))),
    ("short_weights", UnsafeError, written(lambda: adding(tensor((8,), bytes(16))))),
    ("long_weights", FileError, written(lambda: adding(tensor((2,), bytes(16))))),
    ("unknown_dtype", CompileError, written(lambda: adding(tensor((2,), bytes(16), 99)))),
    ("constant_of_a_tib", UnsafeError, written(shaped("ConstantOfShape", (1 << 20, 1 << 20)))),
    ("expand_to_a_tib", UnsafeError, written(shaped("Expand", (1 << 20, 1 << 20), "one"))),
    ("tile_to_a_tib", UnsafeError, written(shaped("Tile", (1 << 20, 1 << 20), "one"))),
    ("range_of_a_tib", UnsafeError, written(ranged)),
    ("hidden_size", UnsafeError, written(lying)),
    ("computed_size", UnsafeError, written(computed)),
    ("expand_input_to_a_tib", UnsafeError, written(shaped("Expand", (1 << 20, 1 << 18, 1, 1), "x"))),
    ("doubling_constants", UnsafeError, written(lambda: doubling(30))),
    ("huge_input", UnsafeError, written(lambda: model([RELU], dims=(1 << 20, 1 << 20)))),
    ("many_pieces", UnsafeError, written(lambda: model([helper.make_node("SplitToSequence", ["x"], ["y"], axis=1, keepdims=1)], dims=(1, 1 << 24)))),
    ("million_nodes", UnsafeError, million_nodes),
    ("nested_ifs", FileError, nested_ifs),
    ("function_calls_itself", UnsafeError, written(calling(function("F0", "F0")))),
    ("function_cycle", UnsafeError, written(calling(function("F0", "F1"), function("F1", "F2"), function("F2", "F0")))),
    ("function_growth", UnsafeError, written(calling(*LAUGHS, function("F40", "Relu", "Relu")))),
    ("function_twice", UnsafeError, written(calling(function("F0", "Relu"), function("F0", "Neg")))),
    ("nan_weights", CompileError, written(lambda: adding(tensor((4,), BAD.tobytes())))),
    ("unknown_domain", CompileError, written(lambda: model([helper.make_node("Evil", ["x"], ["y"], domain="f")]))),
    ("unknown_op", CompileError, written(lambda: model([helper.make_node("Evil", ["x"], ["y"])]))),
    ("cyclic_graph", FileError, written(lambda: model([helper.make_node("Add", ["x", "y"], ["z"]), helper.make_node("Neg", ["z"], ["y"])]))),
    ("truncated", FileError, lambda f: put(f, adding(tensor((4,), bytes(16))).SerializeToString()[:-20])),
    ("without_graph", FileError, lambda f: put(f, b"\x08\x0a")),
    ("garbage", FileError, lambda f: put(f, b"\x08" + bytes(range(200)))),
    ("text", FileError, lambda f: put(f, b"hello, this is no model\n")),
    ("empty", FileError, lambda f: put(f, b"")),
]  # fmt: skip
for _name, _expected, _maker in FILES:
    add(f"onnx_{_name}", _expected, _maker)
