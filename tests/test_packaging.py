"""What is installed: the wheel's contents, its metadata, and the versions beside it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINKED = ("passes", "quant", "targets")
JUNK = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "carry")
PINS = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel built from a copy of the tree, as a path."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "tree", symlinks=True, ignore=JUNK)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*pip, "-w", folder, folder / "tree"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def names(wheel):
    """The names of all files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def about(wheel, names):
    """The wheel's METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(next(n for n in names if n.endswith(".dist-info/METADATA"))).decode())


def test_the_wheel_holds_one_package(names):
    top = {name.partition("/")[0] for name in names}
    assert top == {"edgegate", f"edgegate_compiler-{PROJECT['version']}.dist-info"}


def test_the_wheel_holds_every_module(names):
    own = [path for path in (ROOT / "edgegate").rglob("*.py") if "__pycache__" not in path.parts]
    expected = {path.relative_to(ROOT).as_posix() for path in own}
    for folder in LINKED:
        modules = [path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py")]
        assert modules, folder
        expected |= {f"edgegate/{module}" for module in modules}
    assert expected <= set(names)
    assert {"edgegate/py.typed"} <= set(names)


def test_the_wheel_holds_files_not_links(wheel):
    with zipfile.ZipFile(wheel) as archive:
        kinds = {entry.external_attr >> 28 for entry in archive.infolist()}
    assert kinds <= {0o10, 0}  # S_IFREG


def test_the_wheel_carries_its_licence_and_command(wheel, names):
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    with zipfile.ZipFile(wheel) as archive:
        entries = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    assert "edgegate = edgegate.cli:main" in entries


def test_the_base_needs_neither_torch_nor_onnx(about):
    base = [entry for entry in about.get_all("Requires-Dist") if "extra ==" not in entry]
    assert {re.match(r"[\w-]+", entry).group() for entry in base} == {  # type: ignore[union-attr]
        "apache-tvm",
        "apache-tvm-ffi",
        "numpy",
        "rich",
        "typer",
    }
    assert about["License-Expression"] == "Apache-2.0"


def test_torch_is_no_older_than_is_safe():
    """Before 2.10 a file opened with ``weights_only=True`` could corrupt memory (CVE-2026-24747)."""
    ranges = PROJECT["optional-dependencies"]["compile"]
    assert any(entry.startswith("torch>=2.10,") for entry in ranges)
    assert any(entry.startswith("onnx>=1.21,") for entry in ranges)


def test_the_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text()
    assert text.lstrip().startswith("Apache License")
    assert "END OF TERMS AND CONDITIONS" in text


def test_every_pin_is_exact_and_single():
    pinned = [name for name, _ in PINS]
    assert pinned == sorted(set(pinned))
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    assert len(lines) == len(pinned)


def test_every_requirement_is_pinned():
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["compile"], *extras["dev"]]
    assert {re.match(r"[\w-]+", entry).group() for entry in wanted} <= dict(PINS).keys()  # type: ignore[union-attr]


def test_the_pinned_versions_are_installed():
    """What +cpu and the like name is a build, no version; what setuptools brings along for itself does not count."""
    found = metadata.distributions(path=[sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    installed = {re.sub("[_.]+", "-", d.name).lower(): d.version.partition("+")[0] for d in found}
    different = {f"{name}=={version}": installed.get(name) for name, version in PINS if installed.get(name) != version}
    assert not different, "run make: the environment is not that of constraints.txt"


@pytest.mark.slow
def test_the_wheel_alone_runs(wheel, tmp_path):
    """Without the extras: the command answers, and says what is missing."""
    venv.create(tmp_path, with_pip=True)
    python = tmp_path / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
    subprocess.run([*pip, wheel], check=True, cwd=tmp_path)
    done = subprocess.run([tmp_path / "bin" / "edgegate", "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    missing = "import edgegate\ntry: edgegate.compile('x.onnx')\nexcept edgegate.ToolchainError as e: print(e)"
    done = subprocess.run([python, "-c", missing], cwd=tmp_path, capture_output=True, text=True)
    assert "edgegate-compiler[compile]" in done.stdout, done.stderr
