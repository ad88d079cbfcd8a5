# ruff: noqa: E501 -- one line per file reads as a table
"""ONNX models whose weights reach out of their folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from edgegate.errors import FileError, UnsafeError
from tests.frontend.corpus._models import adding, model
from tests.frontend.corpus._table import (
    Maker,
    Table,
    add,
    put,
)


def external(prepare: Callable[[Path], object] | None = None, dims: Any = (4,), **entries: Any) -> Maker:
    """A model whose weights are in another file; 16 good bytes lie at ``weights``."""

    def maker(folder: Path) -> Path:
        inside = folder / "model"
        inside.mkdir()
        (inside / "weights").write_bytes(bytes(16))
        (folder / "secret").write_bytes(bytes(16))
        if prepare is not None:
            prepare(inside)
        proto = TensorProto(name="w", dims=dims, data_type=TensorProto.FLOAT)  # type: ignore[call-arg]
        proto.data_location = TensorProto.EXTERNAL
        for key, value in {"location": "weights", **entries}.items():
            proto.external_data.add(key=key, value=str(value).replace("FOLDER", str(folder)))
        return put(inside, adding(proto).SerializeToString())

    return maker


def _link_folder(inside: Path) -> None:
    (inside / "link").symlink_to(inside.parent)


def _nested_external(folder: Path) -> Path:
    """External data described by a tensor in an attribute of a node inside a function."""
    path = external(location="../secret")(folder)
    proto = onnx.ModelProto.FromString(path.read_bytes())
    hidden = helper.make_node("Constant", [], ["b"], value=proto.graph.initializer[0])
    body = helper.make_function("f", "F", ["a"], ["c"], [hidden, helper.make_node("Add", ["a", "b"], ["c"])], [helper.make_opsetid("", 21)])  # fmt: skip
    return put(path.parent, model([helper.make_node("F", ["x"], ["y"], domain="f")], [], [body]).SerializeToString())


FILES: Table = [
    ("good", None, external(offset=0, length=16)),
    ("parent", UnsafeError, external(location="../secret")),
    ("nested_parent", UnsafeError, external(lambda d: (d / "a").mkdir(), location="a/../../secret")),
    ("absolute", UnsafeError, external(location="FOLDER/secret")),
    ("windows", UnsafeError, external(location="C:\\secret")),
    ("no_location", UnsafeError, external(location="")),
    ("symlink", UnsafeError, external(lambda d: (d / "link").symlink_to(d.parent / "secret"), location="link")),
    ("symlinked_folder", UnsafeError, external(_link_folder, location="link/secret")),
    ("hardlink", UnsafeError, external(lambda d: os.link(d.parent / "secret", d / "hard"), location="hard")),
    ("device", UnsafeError, external(location="/dev/zero")),
    ("linked_device", UnsafeError, external(lambda d: (d / "zero").symlink_to("/dev/zero"), location="zero")),
    ("fifo", UnsafeError, external(lambda d: os.mkfifo(d / "fifo"), location="fifo")),
    ("folder", UnsafeError, external(lambda d: (d / "sub").mkdir(), location="sub")),
    ("missing", FileError, external(location="nothing")),
    ("negative_offset", UnsafeError, external(offset=-16, length=16)),
    ("huge_offset", UnsafeError, external(offset=1 << 60, length=16)),
    ("huge_length", UnsafeError, external(offset=0, length=1 << 60)),
    ("short", UnsafeError, external(dims=(8,))),
    ("huge_shape", UnsafeError, external(dims=(1 << 31, 1 << 31), length=16)),
    ("unknown_key", UnsafeError, external(basepath="/")),
    ("in_function", UnsafeError, _nested_external),
]  # fmt: skip
for _name, _expected, _maker in FILES:
    add(f"onnx_external_{_name}", _expected, _maker)
