"""Zip files built to do harm: whatever is not byte for byte what EdgeGate writes is refused."""

import io
import os
import zipfile

import pytest

from edgegate import _zip
from edgegate.errors import FileError, UnsafeError
from edgegate.manifest import MANIFEST
from tests.artifact.refusal import refused


def _rezip(made, change):
    """The same files zipped by Python, with ``change(archive, entries)`` in charge of the entries."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        contents = {MANIFEST: made.manifest.to_bytes(), **dict(sorted(made.files.items()))}
        change(archive, contents)
    return stream.getvalue()


def _all(archive, contents, **options):
    for name, data in contents.items():
        archive.writestr(zipfile.ZipInfo(name), data, **options)


def _named(name, mode=0o100644):
    def change(archive, contents):
        info = zipfile.ZipInfo("placeholder")
        info.filename, info.external_attr = name, mode << 16
        _all(archive, contents)
        archive.writestr(info, b"/etc/passwd")

    return change


def _extra_field(archive, contents):
    for name, data in contents.items():
        info = zipfile.ZipInfo(name)
        info.extra = b"\x99\x99\x00\x00"
        archive.writestr(info, data)


def _link(archive, contents):
    for name, data in contents.items():
        info = zipfile.ZipInfo(name)
        info.external_attr = (0o120777 if name.endswith(".so") else 0o100644) << 16
        archive.writestr(info, data)


def _many(archive, contents):
    _all(archive, contents)
    for i in range(65_000):
        archive.writestr(f"a{i}.txt", b"")


def _comment(archive, contents):
    _all(archive, contents)
    archive.comment = b"hello"


HOSTILE = {
    "parent": _named("../program.so"),
    "absolute": _named("/tmp/program.so"),
    "backslash": _named("..\\program.so"),
    "null": _named("program.so\0.txt"),
    "look-alike": _named("prоgram.so"),  # a Cyrillic o
    "case": _named("Program.SO"),
    "folder": _named("source/"),
    "deep": _named("a/b/c.so"),
    "unlisted": _named("other.so"),
    "twice": lambda a, c: (_all(a, c), a.writestr("program.so", b"second")),
    "link": _link,
    "compressed": lambda a, c: _all(a, c, compress_type=zipfile.ZIP_DEFLATED),
    "bomb": lambda a, c: a.writestr("bomb.txt", bytes(1 << 26), compress_type=zipfile.ZIP_DEFLATED),
    "extra field": _extra_field,
    "comment": _comment,
    "entries": _many,
    "reversed": lambda a, c: _all(a, dict(reversed(c.items()))),
    "no manifest": lambda a, c: _all(a, {k: v for k, v in c.items() if k != MANIFEST}),
    "plain rezip": _all,  # harmless, but not the one form
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_zips(made, tmp_path, kind):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "m.egate"
    path.write_bytes(_rezip(made, HOSTILE[kind]))
    assert refused(path) is UnsafeError
    assert list(tmp_path.rglob("*")) == [tmp_path / "in", path]


def test_bytes_around_a_zip(made, tmp_path):
    good = b"".join(_zip.pack({MANIFEST: made.manifest.to_bytes(), **dict(sorted(made.files.items()))}))
    encrypted = bytearray(good)
    encrypted[6] |= 1
    end = good.rfind(b"PK\x05\x06")
    central = int.from_bytes(good[end + 16 : end + 20], "little")
    overlap = bytearray(good)
    overlap[central + 42 : central + 46] = (1).to_bytes(4, "little")  # the entry's offset
    cases = [good + b"x", b"x" + good, good + good, encrypted, overlap, good[:central] + good[end:]]
    for number, data in enumerate(cases):
        (tmp_path / "m.egate").write_bytes(data)
        assert (number, refused(tmp_path / "m.egate")) == (number, FileError if number == 1 else UnsafeError)


def test_limits_of_the_zip():
    with pytest.raises(ValueError, match="at most"):
        _zip.pack({f"{i}.txt": b"" for i in range(_zip.ENTRIES + 1)})


def test_a_device_and_a_fifo_are_no_artifact(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert refused(tmp_path / "fifo", "not a regular file") is FileError
    assert refused("/dev/zero", "not a regular file") is FileError


def test_a_name_that_would_break_the_line(tmp_path):
    refused(tmp_path / "a\nb\x1b[31m.egate")
