"""``torch.save`` files that are more than a state_dict."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgegate.errors import FileError, UnsafeError
from tests.frontend.corpus._table import (
    EVIL,
    Built,
    Call,
    add,
    entries_of,
    kind,
    put,
    saved,
    zip_of,
)


def with_pickle(data: bytes) -> bytes:
    entries = entries_of(saved({"w": torch.ones(2)}))
    return zip_of({n: data if n.endswith("data.pkl") else c for n, c in entries.items()})


class Tensor:
    """A tensor over four stored floats, with any claim about them."""

    def __init__(self, size: Any, stride: Any, offset: int = 0, numel: int = 4) -> None:
        self.claim, self.numel = (offset, size, stride), numel

    def __reduce__(self) -> tuple[Any, Any]:
        offset, size, stride = self.claim
        return torch._utils._rebuild_tensor_v2, (Storage(self.numel), offset, size, stride, False, {})


class Storage:
    def __init__(self, numel: int) -> None:
        self.numel = numel


class _Pickler(pickle._Pickler):  # type: ignore[name-defined]
    def persistent_id(self, thing: object) -> object:
        return ("storage", torch.FloatStorage, "0", "cpu", thing.numel) if isinstance(thing, Storage) else None


def claiming(*args: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, 2).dump({"w": Tensor(*args, **options)})
    entries = entries_of(saved({"w": torch.ones(4)}))
    return zip_of({n: buffer.getvalue() if n.endswith("data.pkl") else c for n, c in entries.items()})


for _name, _expected, _data in [
    ("reduce", UnsafeError, lambda: saved({"w": EVIL})),
    ("reduce_beside_tensors", UnsafeError, lambda: saved({"w": torch.ones(1), "x": [EVIL]})),
    ("setstate", UnsafeError, lambda: saved({"w": Built()})),
    ("whole_module", UnsafeError, lambda: saved(nn.Linear(2, 2))),
    ("torch_hub", UnsafeError, lambda: saved({"w": Call(torch.hub.load, "a/b", "c")})),
    ("getattr_chain", UnsafeError, lambda: saved({"w": Call(getattr, "x", "upper")})),
    ("import_chain", UnsafeError, lambda: with_pickle(b"c__builtin__\n__import__\n(S'os'\ntR.")),
    ("inst_opcode", UnsafeError, lambda: with_pickle(b"(S'true'\nios\nsystem\n.")),
    ("protocol_4", UnsafeError, lambda: with_pickle(pickle.dumps(EVIL, protocol=4))),
    ("extension_code", UnsafeError, lambda: with_pickle(b"\x80\x02\x82\x01.")),
    ("new_object", UnsafeError, lambda: with_pickle(b"\x80\x02cdecimal\nDecimal\n)\x81.")),
    ("bytearray_of_a_tib", UnsafeError, lambda: saved({"w": Call(bytearray, 1 << 40)})),
    ("tensor_of_a_tib", UnsafeError, lambda: saved({"w": Call(torch.Tensor, 1 << 38)})),
    ("legacy_format", UnsafeError, lambda: saved({"w": EVIL}, _use_new_zipfile_serialization=False)),
    ("bare_pickle", UnsafeError, lambda: pickle.dumps(EVIL)),
    ("elf", UnsafeError, lambda: b"\x7fELF" + bytes(100)),
    ("cut_string", FileError, lambda: with_pickle(b"\x80\x02X\xff\xff\xff\x7fabc.")),
    ("pickle_of_garbage", FileError, lambda: with_pickle(b"\xff" * 40)),
    ("nested_zip", UnsafeError, lambda: zip_of({**entries_of(saved({"w": torch.ones(2)})), "archive/a.zip": b"PK"})),
    ("expanded", UnsafeError, lambda: claiming((1 << 20, 1 << 20), (0, 0))),
    ("expanded_by_torch", UnsafeError, lambda: saved({"w": torch.ones(1).expand(1 << 20, 1 << 20)})),
    ("aliased_rows", UnsafeError, lambda: claiming((3, 2), (1, 1))),
    ("beyond_storage", FileError, lambda: claiming((1 << 20, 1 << 20), (1 << 20, 1))),
    ("huge_storage", FileError, lambda: claiming((4,), (1,), numel=1 << 40)),
    ("negative_offset", FileError, lambda: claiming((1,), (1,), offset=-1)),
    ("no_state_dict", FileError, lambda: saved([torch.ones(2)])),
]:  # fmt: skip
    add(f"pt_{_name}", _expected, lambda folder, data=_data: put(folder, data()))  # type: ignore[misc]


@kind(UnsafeError)
def pt_torchscript(folder: Path) -> Path:
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), folder / "model.bin")
    return folder / "model.bin"


@kind(UnsafeError)
def pt_tar(folder: Path) -> Path:
    with tarfile.open(folder / "model.bin", "w") as archive:
        archive.addfile(tarfile.TarInfo("../escape"))
    return folder / "model.bin"
