"""Flip bytes of good files: whatever comes of it is a model or one of our own errors."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import onnx_ir as ir
import pytest
import torch
from safetensors.torch import save as to_safetensors

from edgegate.errors import EdgeGateError
from edgegate.frontend import _archive, _export_archive, _program, _state_dict, load, save
from tests.frontend import nets


def mutants(data: bytes, count: int) -> list[bytes]:
    """``count`` copies of ``data``, each with one to four bytes changed, cut or doubled."""
    rng = random.Random(0)
    made = []
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(copy))
            match rng.randrange(4):
                case 0:
                    del copy[at : at + rng.randint(1, 40)]
                case 1:
                    copy[at:at] = copy[at : at + 20]
                case _:
                    copy[at] = rng.randrange(256)
        made.append(bytes(copy))
    return made


def survive(function: Callable[..., object], *args: object) -> None:
    try:
        function(*args)
    except EdgeGateError:
        return


def test_onnx(tmp_path: Path) -> None:
    net, x = nets.make(nets.SqueezeExcite)
    path = tmp_path / "m"
    data = ir.to_proto(load(net, example=(x,))).SerializeToString()
    for mutant in mutants(data, 400):
        path.write_bytes(mutant)
        survive(load, path)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    net, x = nets.make(nets.GatedLinear)
    path = tmp_path_factory.mktemp("good") / "m"
    save(net, (x,), path)
    return path.read_bytes()


def test_zip(archive: bytes) -> None:
    for mutant in mutants(archive, 400):
        survive(lambda data: _export_archive._safe(_archive.read(data, "m"), "m"), mutant)


def test_program(archive: bytes) -> None:
    entries = _archive.read(archive, "m")
    name = next(n for n in entries if n.endswith("models/model.json"))
    for mutant in mutants(entries[name], 200):
        survive(_program.checked, mutant, "m")
    for mutant in mutants(entries[name], 15):
        survive(_export_archive.load, {**entries, name: mutant}, "m")


def test_state_dict() -> None:
    net, _ = nets.make(nets.GatedLinear)
    for mutant in mutants(to_safetensors(net.state_dict()), 300):
        survive(_state_dict.load_safetensors, mutant, "m")
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    entries = _archive.read(buffer.getvalue(), "m")
    for mutant in mutants(entries["archive/data.pkl"], 300):
        survive(_state_dict.load_zip, {**entries, "archive/data.pkl": mutant}, "m")
