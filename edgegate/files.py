"""Files appear by one rename, or not at all; every failure is one line that says what to do.

A crash, a kill or a full disk at any moment leaves the destination absent, as it was, or complete.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from edgegate.errors import FileError

Path = str | os.PathLike[str]

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)


def show(path: Path) -> str:
    """``path`` for a message: as it is, or quoted if it would break the line."""
    text = os.fspath(path)
    return text if text.isprintable() else ascii(text)


def read(path: Path, limit: int, *, folder: int | None = None) -> bytes:
    """All bytes of a regular file.

    Args:
        path: The file. A link is followed, unless ``folder`` is given.
        limit: Largest size accepted, in bytes.
        folder: An open folder that ``path`` is relative to; links are then refused.

    Raises:
        FileError: It is missing, not readable, no regular file, or larger than ``limit``.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not make us wait
    with translated(path):
        descriptor = os.open(path, flags | (0 if folder is None else os.O_NOFOLLOW), dir_fd=folder)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FileError(f"{show(path)}: not a regular file")
            if status.st_size > limit:
                raise FileError(f"{show(path)}: {status.st_size} bytes, the limit is {limit}")
            return file.read(status.st_size)


def check(path: Path, *, folder: bool = False) -> None:
    """Return if :func:`write` could write ``path``, or :func:`write_folder`, as far as can be told before.

    Raises:
        FileError: There is no such folder, no permission, or something else than a file (folder) is there.
    """
    target = os.path.realpath(path)
    with translated(path):
        if not stat.S_ISDIR(os.stat(os.path.dirname(target)).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "")
        if not os.access(os.path.dirname(target), os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "")
    if os.path.lexists(target) and not (os.path.isdir(target) if folder else os.path.isfile(target)):
        raise FileError(f"{show(path)}: exists and is not a {'folder' if folder else 'regular file'}")


def write(path: Path, parts: Sequence[bytes]) -> None:
    """Write ``parts``, one after the other, as the file ``path``; an old file there is replaced.

    Raises:
        FileError: No space, no permission, no such folder, or ``path`` is a folder or a device.
    """
    target = os.path.realpath(path)  # a link stays, what it points to is replaced
    with translated(path, sum(map(len, parts))):
        if os.path.lexists(target) and not stat.S_ISREG(os.lstat(target).st_mode):
            raise FileError(f"{show(path)}: exists and is not a regular file")
        temporary = _temporary(target)
        try:
            _write_new(temporary, parts)
            os.rename(temporary, target)
        except BaseException:
            with suppress(OSError):  # the first error is the one to report
                os.unlink(temporary)
            raise
        _sync_folder(os.path.dirname(target))


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write ``files`` as the folder ``path``; an old folder there is replaced with all it holds.

    Args:
        path: The folder.
        files: By name; a name may hold one folder, as in "source/main.c".

    Raises:
        FileError: As :func:`write`; or the file system cannot exchange two folders.
    """
    target = os.path.realpath(path)
    with translated(path, sum(map(len, files.values()))):
        temporary = _temporary(target)
        try:
            _fill(temporary, files)
            if os.path.isdir(target) and os.listdir(target):
                _exchange(temporary, target)  # from here on the temporary one is the old one
            else:
                os.rename(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        _sync_folder(os.path.dirname(target))


@contextmanager
def translated(path: Path, need: int = 0) -> Iterator[None]:
    """Turn an OSError about ``path`` into a FileError; ``need`` bytes were to be written."""
    try:
        yield
    except OSError as e:
        raise FileError(f"{show(path)}: {_reason(e, path, need)}") from e


def _reason(error: OSError, path: Path, need: int) -> str:
    if error.errno in NO_SPACE:
        return f"no space left: need {need} bytes, have {_free(path)}"
    if error.errno in NO_ACCESS:
        return f"no permission ({os.strerror(error.errno or 0)})"
    if error.errno == errno.ENOENT:
        folder = os.path.dirname(os.fspath(path).rstrip("/")) or "."
        missing = "no such file" if os.path.isdir(folder) else f"the folder {show(folder)} does not exist"
        return missing
    if error.errno == errno.ELOOP:
        return "is a link"
    return os.strerror(error.errno) if error.errno else str(error)


def _free(path: Path) -> str:
    """Bytes that this user may still write beside ``path``, by the file system or by ulimit -f."""
    try:
        status = os.statvfs(os.path.dirname(os.path.realpath(path)))
    except OSError:
        return "an unknown number"
    free = status.f_bavail * status.f_frsize
    import resource

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return str(free if limit == resource.RLIM_INFINITY else min(free, limit))


def _temporary(target: str) -> str:
    """A new name beside ``target``, so that the rename stays in one file system."""
    return f"{target}.tmp-{os.getpid()}-{secrets.token_hex(8)}"


def _write_new(path: str, parts: Sequence[bytes]) -> None:
    """A new file, on the disk when this returns."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    try:
        for part in parts:
            left = memoryview(part)
            while left:
                left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fill(folder: str, files: Mapping[str, bytes]) -> None:
    os.mkdir(folder)
    folders = {os.path.dirname(os.path.join(folder, name)) for name in files} - {folder}
    for inner in sorted(folders):
        os.mkdir(inner)
    for name in sorted(files):
        _write_new(os.path.join(folder, name), [files[name]])
    for inner in (*sorted(folders), folder):
        _sync_folder(inner)


def _exchange(one: str, other: str) -> None:
    """Swap two folders in one step: rename() cannot replace a folder that holds files."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise FileError(f"{show(other)}: exists, and this system cannot replace a folder in one step")
    if rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE):
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOSYS):
            raise FileError(f"{show(other)}: exists, and its file system cannot replace a folder in one step")
        raise OSError(number, os.strerror(number))


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
