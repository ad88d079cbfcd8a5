"""Saving: same content same bytes, and never over what is no artifact."""

import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import edgegate
from edgegate.artifact import Artifact
from edgegate.errors import FileError
from edgegate.manifest import MANIFEST
from tests import tiny_program as tiny


def test_file_and_folder_hold_the_same(made, tmp_path):
    made.save(tmp_path / "m.egate")
    made.save(f"{tmp_path}/folder/")
    assert edgegate.load(tmp_path / "m.egate") == edgegate.load(tmp_path / "folder") == made
    with zipfile.ZipFile(tmp_path / "m.egate") as archive:  # any zip tool reads it
        assert archive.testzip() is None
        assert archive.namelist()[0] == MANIFEST
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / "folder" / name).read_bytes()


def test_same_content_same_bytes(made, tmp_path):
    made.save(tmp_path / "a.egate")
    again = Artifact(made.manifest, dict(reversed(made.files.items())))
    again.save(tmp_path / "b.egate")
    assert (tmp_path / "a.egate").read_bytes() == (tmp_path / "b.egate").read_bytes()
    edgegate.load(tmp_path / "a.egate").save(tmp_path / "c.egate")
    assert (tmp_path / "a.egate").read_bytes() == (tmp_path / "c.egate").read_bytes()


def test_bytes_do_not_depend_on_the_process(tmp_path):
    script = "import sys; from tests import tiny_program as t; t.artifact().save(sys.argv[1])"
    for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "PYTHONPATH": str(Path(__file__).parents[2])}
        subprocess.run([sys.executable, "-c", script, tmp_path / seed], check=True, env=environment)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_replaces_a_file_and_a_folder(made, tmp_path):
    other = tiny.artifact(b"other")
    for path in (tmp_path / "m.egate", tmp_path / "folder"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        made.save(path)
        other.save(path)
        assert edgegate.load(path) == other
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "m.egate"]


def test_a_link_to_an_artifact_stays_a_link(made, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "m.egate")
    made.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert edgegate.load(tmp_path / "link") == made


def test_never_replaces_what_is_no_artifact(made, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(FileError, match="other things than an artifact"):
        made.save(tmp_path / "mine")
    with pytest.raises(FileError, match="not a regular file"):
        made.save(tmp_path / "fifo")
    with pytest.raises(FileError, match=r"folder .* does not exist"):
        made.save(tmp_path / "nowhere" / "m.egate")
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_follows_the_umask(made, tmp_path):
    old = os.umask(0o027)
    try:
        made.save(tmp_path / "m.egate")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "m.egate").stat().st_mode) == 0o640
