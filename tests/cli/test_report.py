"""``edgegate report``: what an artifact is, without running it."""

import json

from edgegate.artifact import Target
from tests import tiny_program as tiny


def lines(done):
    """(word, rest) of every line."""
    return [(line[:11].strip(), line[12:]) for line in done.out.splitlines()]


def test_every_part_has_a_line(edgegate, folder):
    made = tiny.artifact(
        target=Target(kind="llvm", triple="x86_64-linux-gnu", mcpu="x86-64-v3", features=("avx2", "sse4.2")),
        options={"batch": 1, "int16": ["a"] * 90},
    )
    made.save(folder / "m.egate")
    done = edgegate.good("report", "m.egate")
    assert done.lines == ()
    found = lines(done)
    assert found[:4] == [
        ("target", "llvm x86_64-linux-gnu x86-64-v3"),
        ("needs", "avx2 sse4.2"),
        ("arithmetic", "tosa-single"),
        ("made by", f"edgegate {made.manifest.edgegate}"),
    ]
    assert ("input", "x  float32[1, 8]  stored int8, scale 0.5, zero point 3") in found
    assert ("output", "y  float32[1, 8]  stored int8, scale 0.5, zero point 3") in found
    assert ("option", "int16 = 90 entries") in found
    assert ("proof", "conv = {'high': 7, 'low': -5}") in found
    digest = made.manifest.files["program.so"].sha256[:16]
    assert ("file", f"program.so  10 bytes  sha256 {digest}") in found


def test_the_proof_is_not_cut(edgegate, folder):
    summary = "9 accumulators bounded, " * 8
    made = tiny.artifact(proof={"summary": summary})
    made.save(folder / "m.egate")
    assert [rest for word, rest in lines(edgegate.good("report", "m.egate")) if word.startswith("proo")] == []
    assert ("proved", summary) in lines(edgegate.good("report", "m.egate"))


def test_a_program_for_another_machine_is_described_all_the_same(edgegate, folder):
    tiny.artifact(target=Target(kind="llvm", triple="riscv64-linux-gnu")).save(folder / "m.egate")
    assert edgegate.good("report", "m.egate").out.startswith("target      llvm riscv64-linux-gnu\n")


def test_json_is_the_manifest(edgegate, artifact):
    found = json.loads(edgegate.good("report", "m.egate", "--json").out)
    assert (found["schema"], found["command"], found["artifact"]) == (1, "report", "m.egate")
    assert found["manifest"] == json.loads(json.dumps(artifact.manifest.document()))


def test_names_cannot_steer_the_terminal(edgegate, folder):
    tiny.artifact(options={"note": "a\n\x1b[31mred", "gr\xfc\xdfe": 1}).save(folder / "m.egate")
    done = edgegate.good("report", "m.egate")
    assert "\x1b" not in done.out
    assert ("option", r"note = a\n\x1b[31mred") in lines(done)
    assert ("option", "gr\xfc\xdfe = 1") in lines(done)
