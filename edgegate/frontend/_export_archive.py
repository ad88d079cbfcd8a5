"""torch.export archives (``.pt2`` by custom), without torch's pickle paths.

``torch.export.load`` unpickles freely: sample inputs (it falls back to weights_only=False), tensors
with use_pickle, custom and opaque objects; it runs AOTInductor libraries. So the archive is taken
apart here, each entry is checked, and torch gets a new archive with nothing but plain tensors and
the graph as :mod:`edgegate.frontend._program` let it pass.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

from edgegate.errors import FileError, UnsafeError
from edgegate.frontend import _archive, _files, _program
from edgegate.frontend._quiet import quiet

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Json = Any

_KEPT = re.compile(r"models/\w+\.json|data/(weights/weight|constants/tensor)_\d+|archive_version|archive_format")
_CONFIG = re.compile(r"data/(weights/\w+_weights|constants/\w+_constants)_config\.json")
_DROPPED = re.compile(r"data/sample_inputs/\w+\.pt|byteorder|\.data/[\w.]+|\.storage_alignment|extra/.*|version")
_REASONS = (
    (r"data/aotinductor/", "holds a compiled program (AOTInductor)"),
    (r"data/constants/(custom|opaque)_obj", "holds a pickled object as a constant"),
    (r"data/(weights|constants)/\w+\.pt$", "holds pickled weights of an old torch"),
    (r".*\.(so|o|cpp|cubin|dll|dylib)$", "holds a compiled program"),
)
_ITEM_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 12: 1, 13: 2}
"""Bytes per element of torch's serialized dtype numbers: integers, half, float, double, bool, bfloat16."""
_STRIDED = 7


def is_one(entries: dict[str, bytes]) -> bool:
    """Whether the entries of a zip file are a torch.export archive, of this or an older torch."""
    return any(
        n.endswith(("/archive_format", "serialized_exported_program.json")) or re.match(r"[^/]+/models/", n)
        for n in entries
    )


def load(entries: dict[str, bytes], name: str) -> ExportedProgram:
    """The program in the archive ``entries``; never unpickles, its sample inputs are left behind.

    Raises:
        UnsafeError: An entry that torch would run or unpickle, or that asks for more memory than
            it holds.
        FileError: Something is missing, or torch cannot read it.
    """
    import torch

    import edgegate.nn  # noqa: F401, registers the operators of logic gate networks

    archive = _safe(entries, name)
    try:
        with quiet():
            return torch.export.load(archive)
    except RecursionError:
        raise UnsafeError(f"{name}: the exported program is nested too deeply") from None
    except Exception as error:  # torch's own readers raise whatever they meet first
        first = _files.printable(str(error).strip().split("\n")[0])
        raise FileError(f"{name}: torch cannot read this exported program ({first})") from error


def _safe(entries: dict[str, bytes], name: str) -> io.BytesIO:
    """A new archive: the model is called "model", sample inputs are empty, nothing is pickled."""
    inside = _inside(entries, name)
    models = [n for n in inside if n.startswith("models/")]
    if len(models) != 1:
        raise FileError(f"{name}: {len(models)} programs in one archive, there must be one")
    model = models[0].removeprefix("models/").removesuffix(".json")
    kept = {
        "archive_format": b"pt2",
        "archive_version": inside.get("archive_version", b"0"),
        "byteorder": b"little",
        ".data/version": b"6\n",
        "models/model.json": _program.checked(inside[models[0]], name),
        "data/sample_inputs/model.pt": b"",
    }
    for folder in ("weights", "constants"):
        config = f"data/{folder}/{model}_{folder}_config.json"
        if config not in inside:
            raise FileError(f"{name}: incomplete archive, no {config}")
        kept[f"data/{folder}/model_{folder}_config.json"] = _config(inside, config, name)
    kept |= {n: c for n, c in inside.items() if re.fullmatch(r"data/\w+/(weight|tensor)_\d+", n)}
    return _archive.write({f"archive/{n}": c for n, c in kept.items()})


def _inside(entries: dict[str, bytes], name: str) -> dict[str, bytes]:
    """The entries below the archive's one root folder; each is known, or the archive is refused."""
    roots = {n.split("/")[0] for n in entries}
    if any("serialized_exported_program.json" in n for n in entries):
        raise UnsafeError(f"{name}: an archive of torch 2.7 or older pickles its weights; save it again")
    if len(roots) != 1 or any("/" not in n for n in entries):
        raise UnsafeError(f"{name}: the archive has {len(roots)} root folders, there must be one")
    inside = {n.split("/", 1)[1]: c for n, c in entries.items()}
    for entry in inside:
        if not any(p.fullmatch(entry) for p in (_KEPT, _CONFIG, _DROPPED)):
            reason = next((why for p, why in _REASONS if re.match(p, entry)), "is of no known kind")
            raise UnsafeError(f"{name}: archive entry {entry!r} {reason}; {_files.WAY_OUT}")
    byteorder = next((c for n, c in inside.items() if n == "byteorder"), b"little")
    if byteorder != b"little":
        raise FileError(f"{name}: big-endian weights are not supported")
    return inside


def _config(inside: dict[str, bytes], entry: str, name: str) -> bytes:
    """The checked table of tensors in ``entry``: plain, dense, each backed by bytes of its own."""
    folder = entry.rsplit("/", 1)[0]
    try:
        table = json.loads(inside[entry])["config"]
        for tensor, payload in table.items():
            _check_payload(inside, folder, payload, f"{name}: tensor {_files.printable(tensor)}")
        return json.dumps({"config": table}).encode()
    except RecursionError:
        raise UnsafeError(f"{name}: {entry} is nested too deeply") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(f"{name}: {entry} is damaged ({_files.printable(repr(error))})") from None


def _check_payload(inside: dict[str, bytes], folder: str, payload: Json, where: str) -> None:
    if payload["use_pickle"] is not False:
        raise UnsafeError(f"{where} is pickled; {_files.WAY_OUT}")
    if not re.fullmatch(r"(weight|tensor)_\d+", payload["path_name"]):
        raise UnsafeError(f"{where} is stored as {_files.printable(repr(payload['path_name']))}, not as a tensor")
    stored = inside.get(f"{folder}/{payload['path_name']}")
    if stored is None:
        raise FileError(f"{where} is missing: no {payload['path_name']}")
    meta = payload["tensor_meta"]
    meta["device"] = {"type": "cpu", "index": None}
    if meta["dtype"] not in _ITEM_SIZES or meta["layout"] != _STRIDED:
        raise FileError(f"{where} has a dtype or layout that is not supported")
    check_extent(
        [_integer(v) for v in meta["sizes"]],
        [_integer(v) for v in meta["strides"]],
        _integer(meta["storage_offset"]),
        item_size=_ITEM_SIZES[meta["dtype"]],
        stored=len(stored),
        where=where,
    )


def _integer(value: Json) -> int:
    number = value["as_int"]
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError("a size is no integer")
    return number


def check_extent(sizes: list[int], strides: list[int], offset: int, *, item_size: int, stored: int, where: str) -> None:
    """A strided tensor stays inside its ``stored`` bytes and does not claim more elements than they hold.

    A stride of zero (``expand``) makes 2^40 elements out of one: fine until someone copies them.

    Raises:
        UnsafeError: It does not.
    """
    if len(sizes) != len(strides) or any(v < 0 for v in (*sizes, *strides, offset)):
        raise UnsafeError(f"{where} has a negative or contradictory shape")
    count = 1
    for length in sizes:
        count *= length
    last = offset + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True)) if count else offset - 1
    claimed = max(count, last + 1) * item_size
    if claimed > stored:
        raise UnsafeError(f"{where} claims {_files.size(claimed)}, but only {_files.size(stored)} are stored")
