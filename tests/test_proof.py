"""The proof of an artifact's logic: the program's network against the imported one, and what it refuses."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from typer.testing import CliRunner

import edgegate
from edgegate.artifact import Artifact
from edgegate.cli.app import app
from edgegate.errors import FileError, MismatchError
from edgegate.nn import GroupSum, Lut
from edgegate.proof import prove


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)

    def lut(inputs: int, outputs: int) -> Lut:
        tables = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 1], [0, 1, 1, 0], [1, 1, 0, 0]]).bool()
        picked = torch.randint(0, 4, (outputs,), generator=generator)
        return Lut(torch.randint(0, inputs, (outputs, 2), generator=generator), tables[picked])

    return torch.nn.Sequential(lut(20, 60), lut(60, 60), lut(60, 30), GroupSum(5, tau=3.0))


@pytest.fixture(scope="module")
def artifact(net: torch.nn.Module) -> Artifact:
    return edgegate.compile(net, (torch.zeros(1, 20),))


def altered(artifact: Artifact, constant: str, place: int, value: int) -> Artifact:
    """The artifact with one number of one constant of its graph changed."""
    model = onnx.ModelProto.FromString(artifact.files["model.onnx"])
    tensor = next(t for t in model.graph.initializer if t.name.endswith(constant))
    data = numpy_helper.to_array(tensor).copy()
    data[place] ^= value
    tensor.CopyFrom(numpy_helper.from_array(data, tensor.name))
    made, files = artifact.manifest, {**artifact.files, "model.onnx": model.SerializeToString(deterministic=True)}
    return Artifact.create(files, target=made.target, inputs=made.inputs, outputs=made.outputs)


def test_every_output_and_sum_is_proved(artifact: Artifact) -> None:
    (shown,) = prove(artifact)
    assert (shown.outputs, shown.sums, shown.gates[0]) == (30, 5, 150)
    assert shown.gates[1] < 100


def test_one_other_gate_is_caught(artifact: Artifact) -> None:
    model = onnx.ModelProto.FromString(artifact.files["model.onnx"])
    (node,) = (n for n in model.graph.node if n.op_type == "Logic")
    with pytest.raises(MismatchError, match="output"):
        prove(altered(artifact, node.input[2], -1, 255))


def test_one_other_weight_is_caught(artifact: Artifact) -> None:
    with pytest.raises(MismatchError, match="sum"):
        prove(altered(artifact, ".weight", 3, 2))


def test_what_holds_no_logic_is_refused() -> None:
    net = torch.nn.Conv2d(1, 2, 3)
    with pytest.raises(FileError, match=r"logic\.npz"):
        prove(edgegate.compile(net, (torch.zeros(1, 1, 5, 5),)))


def test_the_command_says_what_was_proved(artifact: Artifact, tmp_path: Path) -> None:
    artifact.save(tmp_path / "a.egate")
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "a.egate"), "--prove"])
    assert done.exit_code == 0, done.output
    assert "30 outputs and 5 sums of them equal those of the 150 imported gates for every input" in done.output


def test_answers_are_those_of_torch(net: torch.nn.Module, artifact: Artifact) -> None:
    """What is proved is what runs; tau divides as it does there."""
    x = np.random.default_rng(0).integers(0, 2, (9, 20)).astype(np.bool_)
    np.testing.assert_array_equal(artifact(x), net(torch.from_numpy(x).float()).numpy())
