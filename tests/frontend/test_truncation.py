"""A file that lost its end is damaged, whatever its kind and wherever it was cut; it is never taken for hostile."""

from __future__ import annotations

import io
from pathlib import Path

import onnx_ir as ir
import pytest
import torch
from safetensors.torch import save as to_safetensors

from edgegate.errors import FileError
from edgegate.frontend import _archive, _files, load, save
from tests.frontend import nets


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A good file of each kind."""
    net, x = nets.make(nets.GatedLinear)
    path = tmp_path_factory.mktemp("whole") / "m"
    save(net, (x,), path)
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    return {
        "export": path.read_bytes(),
        "state_dict": buffer.getvalue(),
        "safetensors": to_safetensors(net.state_dict()),
        "onnx": ir.to_proto(load(net, example=(x,))).SerializeToString(),
    }


@pytest.mark.parametrize("kind", ["export", "state_dict", "safetensors", "onnx"])
def test_cut_files(kind: str, whole: dict[str, bytes], tmp_path: Path) -> None:
    data = whole[kind]
    for count in {*range(1, len(data), len(data) // 60 + 1), *range(len(data) - 120, len(data))}:
        (tmp_path / "m").write_bytes(data[:count])
        with pytest.raises(FileError) as error:
            load(tmp_path / "m", example=torch.ones(1, 6), model="tests.frontend.nets:glu")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["export", "state_dict"])
def test_archives_cut_at_every_byte(kind: str, whole: dict[str, bytes]) -> None:
    """An export archive holds another archive, whose end must not be taken for its own."""
    data = whole[kind]
    assert _archive.read(data, "m")
    for count in range(4, len(data)):
        with pytest.raises(FileError, match="truncated"):
            _archive.read(data[:count], "m")


def test_a_safetensors_header_may_be_as_long_as_a_pickle_begins() -> None:
    """384 bytes are 80 01 in the file: what a pickle of protocol 1 would begin with."""
    for name in ("w" * 324, "w" * 580):
        data = to_safetensors({name: torch.ones(2)})
        assert data[0] == 0x80
        assert _files.kind(data, "m") is _files.Kind.SAFETENSORS
