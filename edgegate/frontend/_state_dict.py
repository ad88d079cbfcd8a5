"""state_dict files: ``torch.save`` archives and safetensors, read as tensors and nothing else."""

from __future__ import annotations

import json
import math
import pickletools
import re
from typing import TYPE_CHECKING, Any

from edgegate.errors import FileError, UnsafeError
from edgegate.frontend import _archive, _files
from edgegate.frontend._export_archive import check_extent
from edgegate.frontend._quiet import quiet

if TYPE_CHECKING:
    import torch

_ALLOWED = re.compile(
    r"collections OrderedDict"
    r"|torch\._utils (_rebuild_tensor_v2|_rebuild_parameter)"
    r"|torch (Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage"
    r"|torch Size"
)
"""What the pickle of a state_dict needs. torch's own list also has bytearray and torch.Tensor, which
take a size and fill this machine's memory."""
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_HEADER_LIMIT = 100_000_000
"""Of safetensors' own reader, in bytes."""
_RECORDS = re.compile(r"data\.pkl|data/\d+|byteorder|version|\.format_version|\.storage_alignment|\.data/[\w.]+")


def load_zip(entries: dict[str, bytes], name: str) -> dict[str, torch.Tensor]:
    """The tensors of a ``torch.save`` archive, by name.

    Raises:
        UnsafeError: TorchScript, a pickled module, or any pickle that names more than tensors;
            tensors that claim more memory than is stored.
        FileError: Damaged, or no state_dict.
    """
    import torch

    if any(n.endswith(("/constants.pkl", ".pkl.py")) or re.match(r"[^/]+/code/", n) for n in entries):
        raise UnsafeError(f"{name}: a TorchScript archive is a program; {_files.WAY_OUT}")
    if len({n.split("/")[0] for n in entries}) != 1:
        raise FileError(f"{name}: neither a torch.export archive nor a state_dict")
    inside = {n.partition("/")[2]: c for n, c in entries.items()}
    if "data.pkl" not in inside:
        raise FileError(f"{name}: neither a torch.export archive nor a state_dict (no data.pkl)")
    unknown = next((n for n in inside if not _RECORDS.fullmatch(n)), None)
    if unknown is not None:
        raise UnsafeError(f"{name}: archive entry {unknown!r} does not belong into a state_dict")
    _check_pickle(inside["data.pkl"], name)
    try:
        with quiet():
            content = torch.load(_archive.write(entries), map_location="cpu", weights_only=True)
    except Exception as error:  # torch's own readers raise whatever they meet first
        first = _files.printable(str(error).strip().split("\n")[0])
        raise FileError(f"{name}: torch cannot read this state_dict ({first})") from error
    return _tensors(content, name)


def load_safetensors(data: bytes, name: str) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, by name.

    Raises:
        UnsafeError: The header is oversized or names a tensor twice, so that two readers would see
            two models.
        FileError: What safetensors' own reader refuses: holes, overlap, truncation, bad shapes.
    """
    import safetensors
    import safetensors.torch

    count = int.from_bytes(data[:8], "little")
    if count > _HEADER_LIMIT:
        raise UnsafeError(f"{name}: a safetensors header of {_files.size(count)}, the limit is 95 MiB")
    if count > len(data) - 8:
        raise FileError(f"{name}: truncated safetensors file")
    try:
        json.loads(data[8 : 8 + count], object_pairs_hook=lambda pairs: _once(pairs, name))
        return dict(safetensors.torch.load(data))
    except RecursionError:
        raise UnsafeError(f"{name}: a safetensors header nested too deeply") from None
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise FileError(f"{name}: damaged safetensors file ({_files.printable(error)})") from None


def _once(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [k for k, _ in pairs]
        double = next(k for k in keys if keys.count(k) > 1)
        raise UnsafeError(f"{name}: the safetensors header names {_files.printable(repr(double))} twice")
    return found


def _check_pickle(data: bytes, name: str) -> None:
    """Refuse a pickle that names anything but tensors; reads its opcodes, executes none."""
    found: set[str] = set()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in ("GLOBAL", "INST"):
                found.add(str(argument))
            elif opcode.name in ("STACK_GLOBAL", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"):
                found.add(opcode.name)
    except (ValueError, IndexError, KeyError, UnicodeError) as error:
        raise FileError(f"{name}: damaged pickle ({_files.printable(error)})") from None
    refused = sorted(f for f in found if not _ALLOWED.fullmatch(f))
    if refused:
        names = _files.printable(", ".join(f.replace(" ", ".") for f in refused[:5]))
        raise UnsafeError(f"{name}: a pickle that calls {names}, not a plain state_dict; {_files.WAY_OUT}")


def _tensors(content: object, name: str) -> dict[str, torch.Tensor]:
    """The dictionary of tensors in ``content``, which may be a checkpoint that holds one."""
    import torch

    wrapped = (content.get(k) for k in _WRAPPERS) if isinstance(content, dict) else ()
    for table in (content, *wrapped):
        if isinstance(table, dict) and table and all(isinstance(v, torch.Tensor) for v in table.values()):
            for key, tensor in table.items():
                _check_tensor(tensor, f"{name}: tensor {_files.printable(key)}")
            return {str(k): v for k, v in table.items()}
    raise FileError(f"{name}: holds no state_dict (a dictionary of tensors)")


def _check_tensor(tensor: torch.Tensor, where: str) -> None:
    if math.prod(tensor.shape) and tensor.layout.__str__() != "torch.strided":
        raise UnsafeError(f"{where} is sparse")
    check_extent(
        list(tensor.shape),
        list(tensor.stride()),
        int(tensor.storage_offset()),
        item_size=tensor.element_size(),
        stored=tensor.untyped_storage().nbytes(),
        where=where,
    )
