"""Damage and clumsy edits: no byte of an artifact counts before all were checked."""

import os
import random
import shutil

import pytest

import edgegate
from edgegate.errors import FileError, UnsafeError
from edgegate.manifest import MANIFEST
from tests.artifact.refusal import REFUSED, refused


def test_every_flipped_byte_of_a_file_is_noticed(made, tmp_path):
    made.save(tmp_path / "m.egate")
    good = (tmp_path / "m.egate").read_bytes()
    chance = random.Random(0)
    for place in {0, len(good) - 1, *chance.sample(range(len(good)), 300)}:
        bad = bytearray(good)
        bad[place] ^= 1 << chance.randrange(8)
        (tmp_path / "m.egate").write_bytes(bad)
        refused(tmp_path / "m.egate")


def test_every_flipped_byte_of_a_folder_is_noticed(made, tmp_path):
    made.save(f"{tmp_path}/m/")
    chance = random.Random(1)
    for name in (MANIFEST, *made.files):
        path = tmp_path / "m" / name
        good = path.read_bytes()
        for place in {0, len(good) - 1, *chance.choices(range(len(good)), k=50)}:
            bad = bytearray(good)
            bad[place] ^= 1 << chance.randrange(8)
            path.write_bytes(bad)
            assert refused(tmp_path / "m") is UnsafeError
        path.write_bytes(good)
    assert edgegate.load(tmp_path / "m") == made


def test_every_truncation_is_noticed(made, tmp_path):
    made.save(tmp_path / "m.egate")
    made.save(f"{tmp_path}/m/")
    good = (tmp_path / "m.egate").read_bytes()
    for size in {0, 1, 29, 30, len(good) - 1, *random.Random(2).sample(range(len(good)), 100)}:
        (tmp_path / "m.egate").write_bytes(good[:size])
        assert refused(tmp_path / "m.egate") is FileError
    os.truncate(tmp_path / "m" / "program.so", 3)
    assert refused(tmp_path / "m", "truncated") is FileError
    (tmp_path / "m" / "program.so").unlink()
    assert refused(tmp_path / "m", "program.so is missing") is FileError
    assert refused(tmp_path / "nothing", "no such file") is FileError
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty", "no manifest.json") is FileError


@pytest.mark.parametrize("name", ["extra.so", "x.txt", "run.sh", ".hidden", "a b", "source/x.c", "a/b/c.so"])
def test_extra_files_in_a_folder(made, tmp_path, name):
    made.save(f"{tmp_path}/m/")
    path = tmp_path / "m" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    assert refused(tmp_path / "m") is UnsafeError


def test_swapped_and_linked_files_in_a_folder(made, tmp_path):
    made.save(f"{tmp_path}/m/")
    folder = tmp_path / "m"
    shutil.copy(folder / "model.onnx", tmp_path / "keep")
    os.replace(folder / "program.so", folder / "model.onnx.tmp")
    os.replace(folder / "model.onnx", folder / "program.so")
    os.replace(folder / "model.onnx.tmp", folder / "model.onnx")
    assert refused(folder) in REFUSED
    made.save(folder)
    (folder / "program.so").unlink()
    (tmp_path / "elsewhere.so").write_bytes(made.files["program.so"])
    (folder / "program.so").symlink_to(tmp_path / "elsewhere.so")  # right content, and still a link
    assert refused(folder, "is a link") is UnsafeError
    (folder / "program.so").unlink()
    os.mkfifo(folder / "program.so")
    refused(folder)


def test_a_linked_inner_folder(made, tmp_path):
    made.save(f"{tmp_path}/m/")
    os.replace(tmp_path / "m" / "source", tmp_path / "source")
    (tmp_path / "m" / "source").symlink_to(tmp_path / "source")
    assert refused(tmp_path / "m", "is a link") is UnsafeError
