"""Networks of gates in C: strict C99 that any compiler takes, and the definition's bits on every processor."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgegate import CompileOptions, interpreter
from edgegate.errors import CompileError, FileError, MismatchError, ToolchainError
from edgegate.logic import GroupSum, Netlist
from edgegate.manifest import FileEntry
from edgegate.replay import verify
from edgegate.runtime import Session
from edgegate.stages import prove
from edgegate.targets.c import c
from tests.targets.logic_models import Graph, classifier, network

STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Wshadow", "-Werror")
CROSS = {"aarch64": "aarch64-linux-gnu-gcc", "riscv64": "riscv64-linux-gnu-gcc", "arm": "arm-linux-gnueabihf-gcc"}
FORMS = ("code", "table")


def built(model, form="code", batch=1):
    return c(CompileOptions(target="c", logic=form, batch=batch))(model, prove(model))


def replayed(artifact, folder: Path, *flags: str, compiler: str = "gcc", emulator: str = "") -> None:
    """Compile the self-test and run it."""
    prefix = next(name for name in artifact.files if name.endswith(".h"))[:-2]
    for name, data in artifact.files.items():
        (folder / name).write_bytes(data)
    command = [compiler, *STRICT, *flags, "-o", "selftest", f"{prefix}.c", "selftest.c"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ran = subprocess.run([*filter(None, [emulator]), "./selftest"], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0 and "agree" in ran.stdout, ran.stdout + ran.stderr


def every_table() -> Netlist:
    tables = np.arange(256, dtype=np.uint64)
    fanins = np.tile(np.array([[1, 2, 3]], np.int32), (256, 1))
    return Netlist(inputs=3, fanins=fanins, tables=tables, outputs=np.arange(8, 520, 2, dtype=np.int32))


def odd() -> Netlist:
    """Outputs that are constants, inputs and inverted, with one gate."""
    outputs = np.array([0, 1, 2, 3, 6, 7, 4], np.int32)
    tables = np.array([0b0110], np.uint64)
    return Netlist(inputs=2, fanins=np.array([[1, 2]], np.int32), tables=tables, outputs=outputs)


def weighted() -> GroupSum:
    group = np.array([0, 0, 0, 2, 2, 2, 3], np.int32)
    member = np.array([0, 1, 2, 0, 3, 4, 4], np.int32)
    weight = np.array([-3, 5, -(1 << 20), 1, 1, 100, -1], np.int32)
    return GroupSum(bits=7, group=group, member=member, weight=weight, offset=np.array([7, -9, 0, 1 << 30], np.int32))


def recurrent():
    """Bits and a state in; sums, a class and the next state out; two samples a call."""
    rng = np.random.default_rng(9)
    graph = Graph()
    x, state = graph.input("x", (2, 5)), graph.input("in/state", (2, 3))
    joined = graph.add("Concat", [x, state], "joined", (2, 8), axis=1)
    y = graph.logic(joined, network(rng, 8, (40, 23), 3), "y")
    first = graph.add("Gather", [y, np.arange(20)], "first", (2, 20), axis=1)
    rest = graph.add("Gather", [y, 20 + np.arange(3)], "next", (2, 3), axis=1)
    total = graph.sums(first, GroupSum.contiguous(20, 4), "total")
    return graph.model(total, rest, graph.add("ArgMax", [total], "class", (2,), np.int64, axis=-1, keepdims=0))


def beside():
    """Constants, inputs and inverted bits, which are counted and given as well."""
    graph = Graph()
    y = graph.logic(graph.input("x", (1, 2)), odd(), "y")
    return graph.model(y, graph.sums(y, weighted(), "total"))


RNG = np.random.default_rng(0)
MODELS = {
    "tables": lambda: classifier(every_table(), None),
    "sums of tables": lambda: classifier(every_table(), GroupSum.contiguous(256, 7)),
    "odd outputs": lambda: classifier(odd(), None, batch=2),
    "odd weights": lambda: classifier(odd(), weighted()),
    "bits beside sums": beside,
    "one layer": lambda: classifier(network(RNG, 30, (40,)), GroupSum.contiguous(40, 10), argmax=True),
    "two thousand groups": lambda: classifier(network(RNG, 30, (300, 2050)), GroupSum.contiguous(2050, 2000)),
    "wide gates": lambda: classifier(network(RNG, 12, (60, 30), 6), GroupSum.contiguous(30, 3), batch=3),
    "recurrent": recurrent,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MODELS)
def test_the_self_test_passes(name, form, tmp_path):
    model = MODELS[name]()
    bits = (8, 16, 32, 64)[(list(MODELS).index(name) + FORMS.index(form)) % 4]
    artifact = built(model, form)
    replayed(
        artifact, tmp_path, f"-DLOGIC_WORD_BITS={bits}", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_words_of_all_widths(form, bits, tmp_path):
    model = classifier(network(np.random.default_rng(1), 20, (300, 90), 3), GroupSum.contiguous(90, 10))
    replayed(built(model, form), tmp_path, f"-DLOGIC_WORD_BITS={bits}")


@pytest.mark.parametrize("processor", CROSS)
@pytest.mark.parametrize("form", FORMS)
def test_other_processors(processor, form, tmp_path):
    emulator = f"qemu-{processor}-static"
    if not (shutil.which(CROSS[processor]) and shutil.which(emulator)):
        pytest.skip(f"no {CROSS[processor]} or no {emulator}")
    replayed(built(recurrent(), form), tmp_path, "-static", compiler=CROSS[processor], emulator=emulator)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch", [1, 3, 70])
def test_artifacts_run_here(form, batch):
    rng = np.random.default_rng(2)
    model = classifier(network(rng, 20, (100, 60), 3), GroupSum.contiguous(60, 5), batch=batch)
    artifact = built(model, form, batch)
    assert verify(artifact.session()) == max(2, -(-64 // batch))
    x = rng.integers(0, 2, (batch, 20)).astype(np.uint8)
    np.testing.assert_array_equal(artifact(x), interpreter.run(model, {"x": x})["counts"])


def test_several_inputs_and_outputs_run_here():
    model = recurrent()
    rng = np.random.default_rng(3)
    feed = {"x": rng.integers(0, 2, (2, 5)).astype(np.uint8), "in/state": rng.integers(0, 2, (2, 3)).astype(np.uint8)}
    found = Session(built(model, batch=2)).run(feed)
    for name, expected in interpreter.run(model, feed).items():
        np.testing.assert_array_equal(found[name], expected)
        assert found[name].dtype == expected.dtype


def test_no_function_is_long_and_nothing_is_undefined(tmp_path):
    """Also the compiler's own words: nothing but the two functions is seen from outside."""
    artifact = built(classifier(network(np.random.default_rng(4), 64, (2000, 2000)), GroupSum.contiguous(2000, 10)))
    source = artifact.files["logic.c"].decode()
    assert max(body.count(";") for body in re.findall(r"^\{.*?^\}", source, re.M | re.S)) <= 600
    (tmp_path / "logic.h").write_bytes(artifact.files["logic.h"])
    (tmp_path / "logic.c").write_text(source)
    command = ["gcc", *STRICT, "-O2", "-ffreestanding", "-nostdinc", "-isystem", _headers(), "-c", "logic.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    symbols = subprocess.run(["nm", "-g", "logic.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert sorted(line.split()[-2:] for line in symbols.splitlines()) == [["T", "logic_run"], ["T", "logic_run_words"]]


def _headers() -> str:
    """The compiler's own headers, where a C library's are not."""
    return subprocess.run(
        ["gcc", "-print-file-name=include"], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_floats_at_the_edges(tmp_path):
    """Thresholds and scores in C are those of the model, to the last bit."""
    rng = np.random.default_rng(5)
    graph = Graph()
    limits = rng.normal(size=(1, 3)).astype(np.float32)
    marks = graph.add("Threshold", [graph.input("x", (1, 4), np.float32), limits], "marks", (1, 4, 3))
    flat = graph.add("Reshape", [marks, np.array([1, 12])], "flat", (1, 12))
    total = graph.sums(graph.logic(flat, network(rng, 12, (30,)), "y"), GroupSum.contiguous(30, 2), "total")
    tau, beta = np.float32(0.1), np.float32(-2.5)
    model = graph.model(graph.add("Scores", [total, tau, beta], "scores", (1, 2), np.float32))
    artifact = built(model)
    x = rng.normal(size=(1, 4)).astype(np.float32)
    x[0, 0] = limits[0, 1]
    expected = interpreter.run(model, {"x": x})["scores"]
    np.testing.assert_array_equal(artifact(x), expected)
    main = (
        '#include <stdio.h>\n#define LOGIC_FLOAT\n#include "logic.h"\nint main(void) {\n'
        f"    const float x[] = {{{', '.join(float(v).hex() + 'f' for v in x[0])}}};\n"
        "    uint8_t bits[2]; int32_t counts[2]; float scores[2];\n    logic_threshold_x(x, bits);\n"
        "    logic_run(bits, counts);\n    logic_scores_scores(counts, scores);\n"
        '    printf("%a %a\\n", scores[0], scores[1]);\n    return 0;\n}\n'
    )
    for name in ("logic.h", "logic.c"):
        (tmp_path / name).write_bytes(artifact.files[name])
    (tmp_path / "main.c").write_text(main)
    subprocess.run(["gcc", *STRICT, "-o", "main", "main.c", "logic.c"], cwd=tmp_path, check=True)
    printed = subprocess.run(["./main"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    assert [np.float32(float.fromhex(text)) for text in printed] == expected[0].tolist()
    assert "(counts + -2.5) / 0.10000000149011612" in artifact.files["logic.h"].decode()


def test_names_from_the_model_cannot_leave_their_place(tmp_path):
    graph = Graph()
    x = graph.input('x */ #include "/etc/passwd"', (1, 3))
    model = graph.model(graph.logic(x, network(np.random.default_rng(6), 3, (5,)), "int \u00e9\n"))
    model.graph.outputs[0].name = "x */"
    model.graph.name = "../9 Lives"
    artifact = built(model)
    assert {"net_9_lives.c", "net_9_lives.h"} <= artifact.files.keys()
    replayed(artifact, tmp_path)


def test_the_memory_is_told():
    proof = built(classifier(network(np.random.default_rng(7), 20, (60, 30)), None), "table").manifest.proof
    facts = proof["c"]
    assert facts["form"] == "table" and facts["ram"]["8-bit words"] == facts["slots"] > 20
    assert facts["flash"]["constants"] > 2 * facts["gates"]


def test_what_is_altered_is_found(tmp_path):
    artifact = built(classifier(network(np.random.default_rng(8), 9, (30, 20)), GroupSum.contiguous(20, 4)), "table")
    source = artifact.files["logic.c"]
    altered = source.replace(b"s[p[0]] & s[p[1]]", b"s[p[0]] | s[p[1]]").replace(b" ^ ", b" & ", 1)
    contents = {**artifact.files, "logic.c": altered}
    entries = {name: FileEntry.of(data) for name, data in contents.items()}
    broken = replace(artifact, manifest=replace(artifact.manifest, files=entries), files=contents)
    with pytest.raises(AssertionError, match="differs"):
        replayed(broken, tmp_path)
    with pytest.raises(MismatchError):
        verify(Session(broken))


def test_what_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="mean nothing"):
        c(CompileOptions(target="c", mcpu="cortex-m4"))
    graph = Graph()
    model = graph.model(graph.add("Relu", [graph.input("x", (1, 3))], "y", (1, 3)))
    with pytest.raises(CompileError, match="target c is for logic alone"):
        c(CompileOptions(target="c"))(model, prove(classifier(odd(), None)))
    artifact = built(classifier(odd(), None))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(ToolchainError, match="package gcc"):
        Session(artifact)
    lacking = {name: data for name, data in artifact.files.items() if not name.endswith(".h")}
    entries = {name: FileEntry.of(data) for name, data in lacking.items()}
    with pytest.raises(FileError, match="no program in C"):
        Session(replace(artifact, manifest=replace(artifact.manifest, files=entries), files=lacking))
