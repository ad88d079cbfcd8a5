# ruff: noqa: E501 -- one line per file reads as a table
"""torch.export archives that torch.export.load would run, unpickle or blow up on."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgegate.errors import FileError, UnsafeError
from edgegate.frontend import save
from tests.frontend.corpus._table import (
    EVIL,
    RUN,
    Maker,
    Table,
    add,
    entries_of,
    put,
    saved,
    zip_of,
)

_ARCHIVE: dict[str, bytes] = {}


def exported(folder: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A good archive of a linear layer with a dynamic batch, after ``change`` to its entries."""
    if not _ARCHIVE:
        save(nn.Linear(4, 2), (torch.ones(2, 4),), folder / "good")
        for name, content in entries_of((folder / "good").read_bytes()).items():
            _ARCHIVE[name.split("/", 1)[1]] = content
    entries = dict(_ARCHIVE)
    change(entries)
    return put(folder, zip_of({f"archive/{n}": c for n, c in entries.items()}))


def edited(name: str, change: Callable[[Any], None]) -> Maker:
    def maker(folder: Path) -> Path:
        def edit(entries: dict[str, bytes]) -> None:
            document = json.loads(entries[name])
            change(document)
            entries[name] = json.dumps(document).encode()

        return exported(folder, edit)

    return maker


def without(name: str) -> Maker:
    def drop(entries: dict[str, bytes]) -> None:
        del entries[name]

    return lambda folder: exported(folder, drop)


def replaced(name: str, content: bytes) -> Maker:
    return lambda folder: exported(folder, lambda entries: entries.update({name: content}))


PROGRAM, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"
CONSTANTS, SAMPLES = "data/constants/model_constants_config.json", "data/sample_inputs/model.pt"


def graph(document: Any) -> Any:
    return document["graph_module"]["graph"]


def linear(document: Any) -> Any:
    return next(n for n in graph(document)["nodes"] if "linear" in n["target"])


def size_of(document: Any) -> Any:
    return graph(document)["tensor_values"]["input"]["sizes"][0]["as_expr"]


def tree(spec: str, entry: str = "out_spec") -> Callable[[Any], None]:
    return lambda d: d["graph_module"]["module_call_graph"][0]["signature"].update({entry: spec})


def weight(**changes: Any) -> Callable[[Any], None]:
    return lambda d: d["config"]["weight"].update(changes)


def meta(**changes: Any) -> Callable[[Any], None]:
    return lambda d: d["config"]["weight"]["tensor_meta"].update(changes)


def ints(*values: int) -> list[dict[str, int]]:
    return [{"as_int": v} for v in values]


def constant(path: str, pickled: bool) -> Callable[[Any], None]:
    return lambda d: d["config"].update({"c": {"path_name": path, "is_param": False, "use_pickle": pickled, "tensor_meta": None}})  # fmt: skip


DEFAULT_DICT = json.dumps([1, {"type": "collections.defaultdict", "context": json.dumps(
    {"default_factory_module": "antigravity", "default_factory_name": "webbrowser", "dict_context": []}), "children_spec": []}])  # fmt: skip
ENUM = json.dumps([1, {"type": "builtins.dict", "context": json.dumps(
    {"__enum__": True, "fqn": "os:system", "name": "x"}), "children_spec": []}])  # fmt: skip
LAZY = "_operator.attrgetter"

FILES: Table = [
    ("samples_reduce", None, replaced(SAMPLES, saved(((EVIL,), {})))),
    ("samples_module", None, replaced(SAMPLES, saved(((nn.Linear(2, 2),), {})))),
    ("samples_bare_pickle", None, replaced(SAMPLES, pickle.dumps(EVIL))),
    ("weights_use_pickle", UnsafeError, edited(WEIGHTS, weight(use_pickle=True))),
    ("weights_use_pickle_as_number", UnsafeError, edited(WEIGHTS, weight(use_pickle=1))),
    ("constants_use_pickle", UnsafeError, edited(CONSTANTS, constant("tensor_0", True))),
    ("custom_object", UnsafeError, edited(CONSTANTS, constant("custom_obj_0", False))),
    ("opaque_object", UnsafeError, edited(CONSTANTS, constant("opaque_obj_0", False))),
    ("custom_object_entry", UnsafeError, replaced("data/constants/custom_obj_0", pickle.dumps(EVIL))),
    ("opaque_object_entry", UnsafeError, replaced("data/constants/opaque_obj_0", pickle.dumps(EVIL))),
    ("custom_object_argument", UnsafeError, edited(PROGRAM, lambda d: graph(d)["custom_obj_values"].update(a={}))),
    ("inductor_library", UnsafeError, replaced("data/aotinductor/model/model.so", b"\x7fELF")),
    ("library", UnsafeError, replaced("extra.so", b"\x7fELF")),
    ("pickled_weights", UnsafeError, replaced("data/weights/model.pt", saved({"weight": EVIL}))),
    ("pickled_constants", UnsafeError, replaced("data/constants/model.pt", saved({"weight": EVIL}))),
    ("unknown_entry", UnsafeError, replaced("data/other", b"x")),
    ("path_traversal", UnsafeError, edited(WEIGHTS, weight(path_name="../../etc/passwd"))),
    ("expression", UnsafeError, edited(PROGRAM, lambda d: size_of(d).update(expr_str=RUN))),
    ("expression_lambda", UnsafeError, edited(PROGRAM, lambda d: size_of(d).update(expr_str=f"(lambda: {RUN})()"))),
    ("expression_in_symbol", UnsafeError, edited(PROGRAM, lambda d: size_of(d).update(expr_str=f'Symbol("{RUN}")'))),
    ("expression_attribute", UnsafeError, edited(PROGRAM, lambda d: size_of(d).update(expr_str="Mod.__class__"))),
    ("expression_tower", UnsafeError, edited(PROGRAM, lambda d: size_of(d).update(expr_str="Pow(Integer(9), Pow(Integer(9), Integer(999)))"))),
    ("target_hub", UnsafeError, edited(PROGRAM, lambda d: linear(d).update(target="torch.hub.load"))),
    ("target_os", UnsafeError, edited(PROGRAM, lambda d: linear(d).update(target="torch.os.system"))),
    ("target_load", UnsafeError, edited(PROGRAM, lambda d: linear(d).update(target="torch.load"))),
    ("target_from_file", UnsafeError, edited(PROGRAM, lambda d: linear(d).update(target="torch.ops.aten.from_file.default"))),
    ("target_getter", UnsafeError, edited(PROGRAM, lambda d: linear(d).update(target=LAZY))),
    ("target_extension", UnsafeError, edited(PROGRAM, lambda d: linear(d).update(target="#x:y"))),
    ("operator_argument", UnsafeError, edited(PROGRAM, lambda d: linear(d)["inputs"][0].update(arg={"as_operator": "torch.load"}))),
    ("name_with_code", UnsafeError, edited(PROGRAM, lambda d: graph(d)["inputs"][-1]["as_tensor"].update(name=f"x={RUN}"))),
    ("name_with_annotation", UnsafeError, edited(PROGRAM, lambda d: graph(d)["inputs"][-1]["as_tensor"].update(name="x:a"))),
    ("name_with_newline", UnsafeError, edited(PROGRAM, lambda d: linear(d).update(name=f"x\n{RUN}\n"))),
    ("argument_name_with_code", UnsafeError, edited(PROGRAM, lambda d: d["graph_module"]["module_call_graph"][0]["signature"].update(forward_arg_names=[f"x={RUN}"]))),
    ("guards", None, edited(PROGRAM, lambda d: d.update(guards_code=[RUN]))),
    ("stack_trace_with_code", None, edited(PROGRAM, lambda d: linear(d)["metadata"].update(stack_trace=f'File "a.py", line 1, in f\n    x\n{RUN}'))),
    ("module_stack_with_code", None, edited(PROGRAM, lambda d: linear(d)["metadata"].update(nn_module_stack=f"a,b,{RUN}\n"))),
    ("tree_of_default_dict", UnsafeError, edited(PROGRAM, tree(DEFAULT_DICT))),
    ("tree_with_enum", UnsafeError, edited(PROGRAM, tree(ENUM, "in_spec"))),
    ("deep_json", UnsafeError, replaced(PROGRAM, b"[" * 100_000)),
    ("not_json", FileError, replaced(PROGRAM, b"{")),
    ("other_json", FileError, replaced(PROGRAM, b"[]")),
    ("expanded", UnsafeError, edited(WEIGHTS, meta(sizes=ints(1 << 20, 1 << 20), strides=ints(0, 0)))),
    ("aliased_rows", UnsafeError, edited(WEIGHTS, meta(sizes=ints(5, 4), strides=ints(1, 1)))),
    ("beyond_record", UnsafeError, edited(WEIGHTS, meta(storage_offset={"as_int": 1}))),
    ("negative_stride", UnsafeError, edited(WEIGHTS, meta(strides=ints(-4, 1)))),
    ("empty_record", UnsafeError, replaced("data/weights/weight_0", b"")),
    ("missing_config", FileError, without(WEIGHTS)),
    ("missing_record", FileError, without("data/weights/weight_0")),
    ("two_programs", FileError, lambda f: exported(f, lambda e: e.update({"models/b.json": e[PROGRAM]}))),
    ("two_roots", UnsafeError, lambda f: put(f, zip_of({"a/archive_format": b"pt2", "b/models/m.json": b"{}"}))),
    ("old_format", UnsafeError, lambda f: put(f, zip_of({"serialized_exported_program.json": b"{}", "version": b"5.1"}))),
]  # fmt: skip
for _name, _expected, _maker in FILES:
    add(f"pt2_{_name}", _expected, _maker)
