"""The rules of the house that a program can check: layout, budgets, who imports whom, what no file may say."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINKED = ("passes", "quant", "targets")
PRODUCT = ("edgegate", *LINKED, "examples")
BUILT = re.compile(r"\..*|build|dist|carry|__pycache__|.*\.egg-info")
FUNCTION_LINES, MODULE_LINES = 40, 300

HEAVY = {
    *("torch", "tvm", "tvm_ffi", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "brevitas", "scipy", "sklearn"),
    "matplotlib",
}
BASE = ("edgegate", "edgegate.errors", "edgegate.artifact", "edgegate.runtime", "edgegate.cli", "edgegate.api")
"""Modules that the base installation, without the extra ``compile``, must be able to import."""

TORCH = ("edgegate/frontend/", "edgegate/nn/", "examples/", "tests/")
TVM = ("edgegate/ops/", "edgegate/runtime.py", "edgegate/_program.py", "targets/", "tests/")
ALLOWED = {
    "torch": TORCH,
    "brevitas": TORCH,
    "tvm": TVM,
    "tvm_ffi": TVM,
    "sklearn": ("examples/", "tests/"),
    "hypothesis": ("tests/",),
    "pytest": ("tests/",),
    "examples": ("examples/", "tests/"),
    "tests": ("tests/",),
    **dict.fromkeys(LINKED, ()),  # their name is edgegate.passes, edgegate.quant, edgegate.targets
}
"""Where a top-level package may be imported, at any depth of a file."""

BELOW = {
    "edgegate/logic/": ("_npz", "errors", "files", "logic"),
    "edgegate/nn/": (),
    "edgegate/ops/": ("graph", "errors", "logic", "ops"),
    "passes/": ("graph", "errors", "logic", "ops", "passes", "stages", "quant"),
    "quant/": ("graph", "errors", "ops", "quant", "stages", "passes"),
}
"""Which parts of edgegate a folder may import: none that stands above it."""


def files() -> list[Path]:
    """Every file of the tree that is not made by a build; links are not followed."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name == ".ci" or not BUILT.fullmatch(name)]
        found += [Path(folder, name) for name in names if not Path(folder, name).is_symlink()]
    return sorted(found)


def place(path: Path) -> str:
    """The path as the rules write it: from the root, with slashes."""
    return path.relative_to(ROOT).as_posix()


FILES = files()
MODULES = [path for path in FILES if path.suffix == ".py"]
TREES = {path: ast.parse(path.read_text("utf-8")) for path in MODULES}
OWN = [path for path in MODULES if place(path).startswith(PRODUCT)]


def test_the_folders_are_links():
    """In git they are links too, so Windows needs ``core.symlinks=true``."""
    for name in LINKED:
        link = ROOT / "edgegate" / name
        assert link.is_symlink(), f"edgegate/{name} must be a link: git config core.symlinks true, check out again"
        assert os.readlink(link) == f"../{name}"


def test_the_rules_look_at_something():
    assert {place(path).partition("/")[0] for path in OWN} >= {"edgegate", "passes", "quant", "examples"}
    assert len(OWN) > 50


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a module, nested ones and methods too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function from ``def`` to its end, its docstring left out."""
    total = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return total
    docstring = function.body[0]
    return total - ((docstring.end_lineno or 0) - docstring.lineno + 1)


def test_functions_are_short():
    long = [
        f"{place(path)}:{f.lineno} {f.name} has {lines(f)} lines"
        for path, tree in TREES.items()
        for f in functions(tree)
        if lines(f) > FUNCTION_LINES
    ]
    assert not long, "\n".join(long)


def test_modules_are_short():
    counts = {place(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert not {name: n for name, n in counts.items() if n > MODULE_LINES}


def test_a_docstring_does_not_count():
    function = next(functions(ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    return 1\n')))
    assert lines(function) == 2


def test_integer_code_has_no_float_literal():
    integer = [p for p in MODULES if place(p).startswith(("edgegate/ops/", "targets/schedules/"))]
    floats = [
        f"{place(path)}:{node.lineno} {node.value!r}"
        for path in integer
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex)
    ]
    assert not floats, "\n".join(floats)


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a module imports, wherever in the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "edgegate":
            yield from ((node.lineno, f"edgegate.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def test_packages_are_imported_where_they_may_be():
    wrong = [
        f"{place(path)}:{line} imports {name}"
        for path, tree in TREES.items()
        for line, name in imports(tree)
        if not place(path).startswith(ALLOWED.get(name.partition(".")[0], ("",)))
    ]
    assert not wrong, "\n".join(wrong)


def test_imports_are_absolute():
    relative = [f"{place(p)}:{line}" for p, tree in TREES.items() for line, name in imports(tree) if name[0] == "."]
    assert not relative


@pytest.mark.parametrize("folder", BELOW)
def test_a_folder_imports_only_what_stands_below_it(folder):
    wrong = [
        f"{place(path)}:{line} imports {name}"
        for path in OWN
        if place(path).startswith(folder)
        for line, name in imports(TREES[path])
        if name.startswith("edgegate.") and name.split(".")[1] not in (*BELOW[folder], folder.split("/")[-2])
    ]
    assert not wrong, "\n".join(wrong)


def heavy_after(code: str) -> list[str]:
    """Which heavy packages a fresh interpreter holds after ``code``, a statement."""
    program = f"import sys\n{code}\nprint('|', *sorted({HEAVY} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.rpartition("|")[2].split()


def test_help_imports_nothing_heavy():
    call = "from edgegate.cli import main\nsys.argv = ['edgegate', '--help']\ntry: main()\nexcept SystemExit: pass"
    assert heavy_after(call) == []


@pytest.mark.parametrize("module", BASE)
def test_base_modules_import_nothing_heavy(module):
    assert heavy_after(f"import {module}") == []


# Written in pieces, so that this file does not hold what it looks for.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.$}\])-])/(?:" + "|".join(("work", "home", "root", "Users", "opt")) + r")/\w",
    "a package index": "|".join(("pypi" + r"\.org", "python" + "hosted", "extra-index" + "-url", "find" + "-links")),
    "unfinished work": r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what):
    found = []
    for path in FILES:
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:  # weights and the like
            continue
        hits = (i for i, line in enumerate(text.splitlines(), 1) if re.search(FORBIDDEN[what], line))
        found += [f"{place(path)}:{i}" for i in hits]
    assert not found, "\n".join(found)


def test_build_files_name_no_address():
    for name in ("Makefile", ".ci/run", "constraints.txt", "pyproject.toml", ".pre-commit-config.yaml"):
        assert "://" not in (ROOT / name).read_text("utf-8"), name
