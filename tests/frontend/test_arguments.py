# mypy: disable-error-code="misc"
"""Wrong arguments, wrong paths and models that torch cannot express: one clear line each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgegate.errors import CompileError, FileError, ToolchainError
from edgegate.frontend import _torch, load, save
from tests.frontend import nets


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_paths(tmp_path: Path) -> None:
    for path, said in [
        (tmp_path / "no.pt", "no.pt: No such file or directory"),
        (tmp_path, "a folder, not a model file"),
        (".", ".: a folder, not a model file"),
        ("..", "..: a folder, not a model file"),
        ("/", "/: a folder, not a model file"),
        ("", "empty path: No such file or directory"),
        (tmp_path / "a\0b", "a?b: not a file name"),
    ]:
        with pytest.raises(FileError) as error:
            load(path)
        assert said in one_line(error)
        assert str(tmp_path) not in str(error.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "a").chmod(0)
    with pytest.raises(FileError, match="Permission denied"):
        load(tmp_path / "a")


def test_the_source_must_be_a_model() -> None:
    with pytest.raises(ValueError, match="not int"):
        load(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs an example"):
        load(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        load("x", batch=0)
    with pytest.raises(ValueError, match="tensors or arrays, got int"):
        load(nn.Linear(2, 2), example=(3,))


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (None, "give --model package.module:factory"),
        ("tests.frontend.nets", "no colon"),
        ("no_such_package:f", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("tests.frontend.nets:nothing", "AttributeError"),
        ("tests.frontend.nets:EXAMPLES", "not callable"),
        ("tests.frontend.nets:make", "TypeError"),
        ("tests.frontend.nets:no_module", "returned int, not a torch.nn.Module"),
    ],
)
def test_factories(factory: str | None, said: str, tmp_path: Path) -> None:
    torch.save(nets.glu().state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match="--model") as error:
        load(tmp_path / "w.pt", example=torch.ones(1, 6), model=factory)
    assert said in one_line(error)


def test_weights_need_an_example(tmp_path: Path) -> None:
    torch.save(nets.glu().state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match="give an example input"):
        load(tmp_path / "w.pt", model="tests.frontend.nets:glu")


def test_weights_of_another_network(tmp_path: Path) -> None:
    weights = {"project.weight": torch.ones(8, 7), "other": torch.ones(1)}
    torch.save(weights, tmp_path / "w.pt")
    with pytest.raises(CompileError) as error:
        load(tmp_path / "w.pt", example=torch.ones(1, 6), model="tests.frontend.nets:glu")
    said = one_line(error)
    for part in ("missing project.bias", "unexpected other", "project.weight is [8, 7], not [8, 6]"):
        assert part in said


class Sorted(nn.Module):
    def forward(self, x):
        return torch.linalg.svd(x)[0]


class Branching(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        return -x


@pytest.mark.parametrize("net", [Sorted(), Branching()])
def test_what_torch_cannot_export_names_the_line(net: nn.Module) -> None:
    with pytest.raises(CompileError) as error:
        load(net, example=(torch.ones(2, 2),))
    assert "torch cannot export it" in one_line(error)
    assert "test_arguments.py:" in str(error.value)


class Numbered(nn.Module):
    def forward(self, x):
        return torch.relu(x), 3


def test_an_output_that_is_a_number() -> None:
    with pytest.raises(CompileError, match="output 1 of the model: is 3, no tensor; return tensors alone"):
        load(Numbered(), example=(torch.ones(2, 2),))


@pytest.mark.parametrize(("dtype", "name"), [(torch.float16, "float16"), (torch.float64, "float64")])
def test_weights_of_another_float_type(dtype: torch.dtype, name: str) -> None:
    """torch exports such a layer, though it would not run it."""
    with pytest.raises(CompileError) as error:
        load(nn.Linear(4, 4).to(dtype), example=(torch.ones(1, 4),))
    assert f"Gemm of float32, {name}: its inputs must have one type; call model.float()" in one_line(error)


class Filtered(nn.Module):
    def forward(self, x):
        return x[x > 0]


def test_a_checked_size_that_depends_on_data_is_no_attack(tmp_path: Path) -> None:
    """torch writes the check and the sentence that it would say into the archive."""
    torch.export.save(torch.export.export(Filtered(), (torch.ones(2, 2),)), tmp_path / "m.pt2")
    with pytest.raises(CompileError, match="its output's shape depends on data"):
        load(tmp_path / "m.pt2")


class Mixing(nn.Module):
    """Works for an even batch only."""

    def forward(self, x):
        return x.reshape(x.shape[0] // 2, -1)[:, :9]


def test_a_batch_that_cannot_be_open(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="save with dynamic_batch=False"):
        save(Mixing(), torch.ones(4, 3), tmp_path / "net")


def test_nan_weights_of_a_module() -> None:
    net, x = nets.make(nets.GatedLinear)
    with torch.no_grad():
        net.project.weight[0, :2] = float("nan")
        net.project.bias[0] = float("inf")
    with pytest.raises(CompileError) as error:
        load(net, example=(x,))
    where = [p.where for p in error.value.problems]
    assert sorted(where) == ["tensor project.bias", "tensor project.weight"]
    assert any("2 of 48" in p.what for p in error.value.problems)


def test_save_writes_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "net.pt2"
    target.write_bytes(b"old")

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=r"net\.pt2: No space left on device"):
        save(nets.glu(), (torch.ones(2, 6),), target)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["net.pt2"]
    with pytest.raises(FileError, match="No such file"):
        save(nets.glu(), (torch.ones(2, 6),), tmp_path / "no" / "net.pt2")


def test_save_with_a_fixed_batch(tmp_path: Path) -> None:
    save(nets.glu(), np.ones((4, 6), np.float32), tmp_path / "net", dynamic_batch=False)
    assert load(tmp_path / "net").graph.inputs[0].shape == (4, 6)


def test_old_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(ToolchainError, match=r"install torch>=2\.10"):
        _torch.require()
