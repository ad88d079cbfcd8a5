"""An artifact: a compiled program with all that is needed to run and to check it.

One file (a zip, nothing compressed) or one folder with the same files:

    manifest.json   what the others are (:mod:`edgegate.manifest`)
    model.onnx      the integer graph that the program was made from
    program.so      the compiled program (targets that load as a library)
    vectors.npz     inputs and outputs for the self-test (:mod:`edgegate.vectors`)
    stage0.egate    the programs of an artifact of stages, artifacts themselves (:mod:`edgegate.stage_plan`)

Nothing is unpacked to the disk, and no byte of a program is executed before the size and the SHA-256
of every file were checked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edgegate import _zip, files
from edgegate.errors import FileError, UnsafeError
from edgegate.files import Path
from edgegate.manifest import FILE_NAME, MANIFEST, MANIFEST_LIMIT, FileEntry, IOSpec, Manifest, Target
from edgegate.storage import Storage

if TYPE_CHECKING:
    from edgegate.runtime import Session

__all__ = ["Artifact", "FileEntry", "IOSpec", "Manifest", "Storage", "Target", "load"]


@dataclass(frozen=True)
class Artifact:
    """A compiled program in memory; calling it runs it.

    Attributes:
        manifest: What it is.
        files: Contents by name; the manifest is not among them.

    Raises:
        ValueError: The files are not those of the manifest.
    """

    manifest: Manifest
    files: Mapping[str, bytes]

    def __post_init__(self) -> None:
        if difference := sorted(set(self.manifest.files) ^ set(self.files)):
            raise ValueError(f"{difference[0]!a} is {'missing' if difference[0] not in self.files else 'extra'}")
        for name, entry in self.manifest.files.items():
            if FileEntry.of(self.files[name]) != entry:
                raise ValueError(f"{name} was altered: it does not match the manifest")

    @classmethod
    def create(
        cls,
        contents: Mapping[str, bytes],
        *,
        target: Target,
        inputs: Iterable[IOSpec],
        outputs: Iterable[IOSpec],
        versions: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        gates: Mapping[str, Any] | None = None,
        proof: Mapping[str, Any] | None = None,
    ) -> Artifact:
        """An artifact of these files, with the manifest that describes them.

        Args:
            contents: The files by name.
            target: What the program runs on.
            inputs: In the order the program takes them.
            outputs: In the order the program gives them.
            versions: Of the tools that made it.
            options: What was asked for; plain JSON values.
            gates: The model's gates; plain JSON values.
            proof: What was proved; plain JSON values.

        Raises:
            ValueError: A file's name or another value that no manifest can hold.
        """
        from edgegate import __version__

        manifest = Manifest(
            edgegate=__version__,
            target=target,
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            files={name: FileEntry.of(data) for name, data in contents.items()},
            versions=versions or {},
            options=options or {},
            gates=gates or {},
            proof=proof or {},
        )
        return cls(manifest, dict(contents))

    def save(self, path: Path) -> None:
        """Write the artifact: same content, same bytes, and by one rename.

        Args:
            path: A file; or a folder, if it ends with "/" or is the folder of an artifact already.

        Raises:
            FileError: It cannot be written there.
            ValueError: It is larger than 4 GiB and ``path`` is a file.
        """
        check(path)
        if _is_folder(path):
            files.write_folder(path, self._contents())
        else:
            files.write(path, self.packed())

    def packed(self) -> list[bytes]:
        """The parts of the file that :meth:`save` writes."""
        return _zip.pack(self._contents())

    def _contents(self) -> dict[str, bytes]:
        return {MANIFEST: self.manifest.to_bytes(), **dict(sorted(self.files.items()))}

    @classmethod
    def unpack(cls, data: bytes) -> Artifact:
        """The artifact in the bytes of a file, checked as :meth:`load` does."""
        return _unpacked(data)

    @classmethod
    def load(cls, path: Path) -> Artifact:
        """Read and check an artifact; nothing of it is executed.

        Raises:
            FileError: It is missing, truncated or no artifact.
            UnsafeError: It is not as EdgeGate wrote it: altered, or built to do harm.
        """
        try:
            return _read_folder(path) if os.path.isdir(path) else _read_file(path)
        except (FileError, UnsafeError) as e:
            shown = files.show(path)
            raise e if str(e).startswith(shown) else type(e)(f"{shown}: {e}") from e

    def session(
        self, *, threads: int | None = None, device: str | None = None,
        operating_point: str | Mapping[str, int] | None = None,
    ) -> Session:  # fmt: skip
        """A new session with states of its own, as :class:`edgegate.runtime.Session`."""
        from edgegate.runtime import Session

        return Session(self, threads=threads, device=device, operating_point=operating_point)

    @cached_property
    def _session(self) -> Session:
        """The session behind a call: this machine's own device, all processors."""
        return self.session()

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Run the program, as :meth:`edgegate.runtime.Session.__call__`."""
        return self._session(*arrays, **named)

    def verify(self) -> int:
        """Replay the self-test bit for bit; how many vectors passed, as :func:`edgegate.replay.verify`."""
        from edgegate.replay import verify

        return verify(self._session)


def load(path: Path) -> Artifact:
    """Read and check the artifact at ``path``, as :meth:`Artifact.load`."""
    return Artifact.load(path)


def check(path: Path) -> None:
    """Return if an artifact could be saved as ``path``, as far as can be told without writing.

    Raises:
        FileError: As :func:`edgegate.files.check`; or the folder holds other things than an artifact.
    """
    files.check(path, folder=_is_folder(path))
    with files.translated(path):
        if os.path.isdir(path) and os.listdir(path) and not os.path.isfile(os.path.join(path, MANIFEST)):
            raise FileError(f"{files.show(path)}: a folder that holds other things than an artifact")


def _is_folder(path: Path) -> bool:
    """Whether an artifact is saved at ``path`` as a folder."""
    return os.fspath(path).endswith("/") or os.path.isdir(path)


def _allowed(name: str) -> bool:
    return name == MANIFEST or FILE_NAME.fullmatch(name) is not None


def _read_file(path: Path) -> Artifact:
    return _unpacked(files.read(path, _zip.LIMIT))


def _unpacked(data: bytes) -> Artifact:
    contents = _zip.unpack(data, _allowed)
    if list(contents) != [MANIFEST, *sorted(contents.keys() - {MANIFEST})]:
        raise UnsafeError(f"{MANIFEST} is missing, or the files are not in order")
    manifest = _manifest(contents.pop(MANIFEST))
    _check_names(manifest, contents)
    return _artifact(manifest, contents)


def _read_folder(path: Path) -> Artifact:
    """The artifact in a folder; each file is opened once, no link is followed."""
    with files.translated(path), _opened(path) as folder:
        names = _names(folder, "")
        if MANIFEST not in names:
            raise FileError(f"no artifact: it holds no {MANIFEST}")
        names.remove(MANIFEST)
        manifest = _manifest(files.read(MANIFEST, MANIFEST_LIMIT, folder=folder))
        _check_names(manifest, names)
        contents = {name: _read_entry(folder, name, entry.size) for name, entry in manifest.files.items()}
    return _artifact(manifest, contents)


@contextmanager
def _opened(path: Path, folder: int | None = None) -> Iterator[int]:
    """A descriptor of a folder; below another one, links are refused."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if folder is None else os.O_NOFOLLOW)
    descriptor = os.open(path, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _names(folder: int, prefix: str) -> list[str]:
    """Names of the files in an open folder and in the folders right below it."""
    found: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_symlink():
                raise UnsafeError(f"{name!a} is a link")
            if entry.is_dir(follow_symlinks=False) and not prefix:
                with _opened(entry.name, folder) as below:
                    found += _names(below, name + "/")
            elif _allowed(name) and len(found) < _zip.ENTRIES:
                found.append(name)
            else:
                raise UnsafeError(f"{name!a} is no file of an artifact")
    return found


def _read_entry(folder: int, name: str, size: int) -> bytes:
    """One file of an open folder, which must have this size."""
    inner, _, base = name.rpartition("/")
    if inner:
        with _opened(inner, folder) as below:
            return _read_entry(below, base, size)
    found = os.stat(base, dir_fd=folder, follow_symlinks=False).st_size
    if found > size:
        raise UnsafeError(f"{base} was altered: {found} bytes instead of {size}")
    if found < size:
        raise FileError(f"{base} is truncated: {found} of {size} bytes")
    return files.read(base, size, folder=folder)


def _manifest(data: bytes) -> Manifest:
    if len(data) > MANIFEST_LIMIT:
        raise UnsafeError(f"{MANIFEST} has {len(data)} bytes, the limit is {MANIFEST_LIMIT}")
    try:
        return Manifest.from_bytes(data)
    except (ValueError, TypeError) as e:
        raise UnsafeError(f"{MANIFEST}: {e}") from e


def _check_names(manifest: Manifest, names: Iterable[str]) -> None:
    expected, found = set(manifest.files), set(names)
    if lost := sorted(expected - found):
        raise FileError(f"{lost[0]} is missing")
    if extra := sorted(found - expected):
        raise UnsafeError(f"{extra[0]} is not in {MANIFEST}")


def _artifact(manifest: Manifest, contents: Mapping[str, bytes]) -> Artifact:
    try:
        return Artifact(manifest, contents)
    except ValueError as e:
        raise UnsafeError(str(e)) from e
