"""The states that a session holds between the steps of a model: stored integers, to be saved and restored."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgegate import _npz, files
from edgegate._npz import Array
from edgegate.errors import FileError, InputError, UnsafeError
from edgegate.manifest import IOSpec, Manifest
from edgegate.storage import Storage

MODEL = "model.onnx"
GRAPH = "graph"
"""The array of a saved state that names the integer graph: its SHA-256."""


class Memory:
    """The states of one session.

    Args:
        manifest: Of the artifact; one without states has an empty memory.

    Attributes:
        arrays: Input name -> the stored integers that the next step takes. Take them as they are, or put others of
            the same dtype and shape in their place.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.specs = [spec for spec in manifest.inputs if spec.name in dict(manifest.states)]
        self._graph = np.frombuffer(bytes.fromhex(manifest.files[MODEL].sha256), np.uint8) if self.specs else None
        self.arrays: dict[str, Array] = {}
        self.reset()

    def reset(self) -> None:
        """All states become zero, as before the first step."""
        self.arrays = {spec.name: _zeros(spec) for spec in self.specs}

    def update(self, arrays: Mapping[str, Array]) -> None:
        """Put stored integers in the place of some states.

        Raises:
            InputError: There is no such state, or it has another dtype or shape.
        """
        specs = {spec.name: spec for spec in self.specs}
        for name, array in arrays.items():
            if name not in specs:
                raise InputError(f"no state {name!r}: there are {', '.join(specs) or 'none'}")
            wanted = specs[name].stored_dtype, specs[name].stored_shape
            if (array.dtype.name, array.shape) != wanted:
                found = f"{array.dtype}{list(array.shape)}"
                raise InputError(f"state {name!r}: expected {wanted[0]}{list(wanted[1])}, got {found}")
        self.arrays |= {name: array.copy() for name, array in arrays.items()}

    def save(self, path: files.Path) -> None:
        """Write the states to a file that :meth:`restore` reads, by one rename.

        Raises:
            FileError: It cannot be written.
        """
        assert self._graph is not None, "a session without states saves none"
        files.write(path, [_npz.pack({GRAPH: self._graph, **{f"state/{k}": v for k, v in self.arrays.items()}})])

    def restore(self, path: files.Path) -> None:
        """Take the states from a file; nothing is changed if anything about it is wrong.

        The program may be another one, of the same integer graph: on any target it goes on with the same bits.

        Raises:
            FileError: It is missing or damaged, or holds the states of another model.
            UnsafeError: It holds Python objects.
        """
        found, shown = _npz.load(path), files.show(path)
        if self._graph is None or not np.array_equal(found.pop(GRAPH, np.zeros(0)), self._graph):
            raise FileError(f"{shown}: not the states of this model")
        arrays = {name.removeprefix("state/"): array for name, array in found.items()}
        if set(arrays) != set(self.arrays):
            raise FileError(f"{shown}: expected the states {', '.join(self.arrays)}, got {ascii(sorted(arrays))[:80]}")
        try:
            self.update(arrays)
        except InputError as e:
            raise UnsafeError(f"{shown}: altered: {e}") from e


def _zeros(spec: IOSpec) -> Array:
    zero = spec.storage.zero_point if isinstance(spec.storage, Storage) else 0
    return np.full(spec.stored_shape, zero, spec.stored_dtype)
