"""``edgegate verify``: the self-test, bit for bit."""

import json

from edgegate.artifact import Target
from tests import tiny_program as tiny


def test_a_program_that_gives_its_answers(edgegate, artifact):
    done = edgegate.good("verify", "m.egate", "--threads", "1")
    assert (done.out, done.lines) == ("", ("m.egate: 2 test vectors, every bit equal",))


def test_json(edgegate, artifact):
    done = edgegate.good("verify", "m.egate", "--json")
    assert json.loads(done.out) == {
        "schema": 1, "command": "verify", "artifact": "m.egate", "vectors": 2, "passed": True,
    }  # fmt: skip


def test_a_program_that_gives_others(edgegate, folder):
    tiny.artifact(tiny.library(2), constant=1).save(folder / "m.egate")
    assert edgegate.refused(4, "verify", "m.egate") == [
        "test vector 0: output 'y': 8 of 8 values differ, first at [0, 0]: expected 1, got 2"
    ]
    edgegate.refused(4, "verify", "m.egate", "--json")


def test_no_self_test(edgegate, folder, artifact):
    manifest = artifact.manifest
    contents = {name: data for name, data in artifact.files.items() if name != "vectors.npz"}
    type(artifact).create(
        contents, target=manifest.target, inputs=manifest.inputs, outputs=manifest.outputs
    ).save(folder / "m.egate")  # fmt: skip
    assert edgegate.refused(5, "verify", "m.egate") == ["the artifact holds no test vectors"]


def test_another_processor(edgegate, folder):
    tiny.artifact(target=Target(kind="llvm", triple="sparc-linux-gnu")).save(folder / "m.egate")
    (line,) = edgegate.refused(7, "verify", "m.egate")
    assert line.startswith("the program is for sparc, this machine is ")
