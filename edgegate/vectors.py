"""Self-test vectors: what a program must answer, in stored integers, to the last bit.

``vectors.npz`` holds, for vector ``i``, the arrays ``input/<i>/<name>`` and ``output/<i>/<name>``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgegate import _npz
from edgegate._npz import Array
from edgegate.errors import FileError

VECTORS = "vectors.npz"


@dataclass(frozen=True, kw_only=True)
class Vector:
    """Inputs and the outputs that belong to them, stored integers by name."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]


def pack(vectors: Sequence[Vector]) -> bytes:
    """The bytes of ``vectors.npz``."""
    arrays = {}
    for i, vector in enumerate(vectors):
        arrays.update({f"input/{i}/{name}": array for name, array in vector.inputs.items()})
        arrays.update({f"output/{i}/{name}": array for name, array in vector.outputs.items()})
    return _npz.pack(arrays)


def unpack(data: bytes) -> list[Vector]:
    """The vectors in ``vectors.npz``.

    Raises:
        FileError: Damaged, or an array has another name than those above.
        UnsafeError: It holds Python objects or more than memory should take.
    """
    found: dict[int, tuple[dict[str, Array], dict[str, Array]]] = {}
    for key, array in _npz.unpack(data).items():
        kind, _, rest = key.partition("/")
        number, _, name = rest.partition("/")
        if kind not in ("input", "output") or not name or not (number.isascii() and number.isdecimal()):
            raise FileError(f"{VECTORS}: {ascii(key)[:60]} is no name of a test vector")
        found.setdefault(int(number[:9]), ({}, {}))[kind == "output"][name] = array
    return [Vector(inputs=found[i][0], outputs=found[i][1]) for i in sorted(found)]
