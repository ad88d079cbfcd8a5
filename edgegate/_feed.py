"""Arguments of a call: which input they are, and whether they fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgegate._edges import dequantize
from edgegate._npz import Array
from edgegate.errors import InputError
from edgegate.manifest import IOSpec


def check_shape(array: Array, spec: IOSpec, batched: bool = False) -> None:
    """Refuse an input of another shape; if ``batched``, any number of samples will do."""
    found, dims = array.shape, spec.shape if array.dtype == spec.dtype else spec.stored_shape
    if found == dims or (batched and found[1:] == dims[1:] and len(found) == len(dims)):
        return
    shown = str(["N" if batched and i == 0 else n for i, n in enumerate(dims)]).replace("'", "")
    raise InputError(f"input {spec.name!r}: expected shape {shown}, got {list(found)}")


def emit(output: Array, spec: IOSpec, result: Array) -> None:
    """Write what an output means, or the first samples of it, to ``result``."""
    used = output[: len(result)] if output.ndim else output
    if spec.storage:
        dequantize(used, spec.storage, result)
    else:
        np.copyto(result, used)


def by_name(specs: Sequence[IOSpec], arrays: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments given by place and by name."""
    names = [spec.name for spec in specs]
    if len(arrays) > len(names):
        raise InputError(f"expected {len(names)} inputs ({', '.join(names)}), got {len(arrays)}")
    feed = dict(zip(names, arrays, strict=False))
    if twice := feed.keys() & named.keys():
        raise InputError(f"input {min(twice)!r} is given by place and by name")
    return {**feed, **named}


def check_names(specs: Sequence[IOSpec], feed: Mapping[str, Any]) -> None:
    names = [spec.name for spec in specs]
    if set(feed) != set(names):
        raise InputError(f"expected the inputs {', '.join(names)}, got {', '.join(map(str, feed)) or 'none'}")


def as_array(value: Any, spec: IOSpec) -> Array:
    """``value`` as a numpy array of the input's dtype or of its storage dtype."""
    try:
        array = np.asarray(value) if hasattr(value, "__array__") or not hasattr(value, "__dlpack__") else None
        array = np.from_dlpack(value) if array is None else array
    except (TypeError, ValueError, RuntimeError, BufferError) as e:
        reason = " ".join(str(e).split())[:100]
        raise InputError(f"input {spec.name!r}: no array of numbers ({reason})") from e
    if array.dtype == np.bool_ and spec.stored_dtype == "uint8":
        return array.view(np.uint8)
    if array.dtype not in (np.dtype(spec.dtype), np.dtype(spec.stored_dtype)):
        also = f" (or stored {spec.stored_dtype})" if spec.storage else ""
        raise InputError(f"input {spec.name!r}: expected {spec.dtype}{also}, got {array.dtype}")
    return array
