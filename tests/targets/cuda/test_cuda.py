"""Target cuda: built for every architecture without a GPU; on one, the definition's bits for any batch."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from edgegate import CompileOptions, _json, interpreter
from edgegate._cuda_program import Image
from edgegate.errors import FileError, InputError, ToolchainError
from edgegate.logic import GroupSum, counts, evaluate
from edgegate.replay import verify
from edgegate.runtime import Session
from edgegate.stages import prove
from edgegate.targets import _nvcc
from edgegate.targets.cuda import PROGRAM, architectures, cuda
from edgegate.targets.cuda_logic import Shape, plan, shared_bytes, source
from tests.targets.logic_models import Graph, classifier, network

RNG = np.random.default_rng(1)
HAS_GPU = Path("/dev/nvidiactl").exists()


def has_nvcc() -> bool:
    try:
        return bool(_nvcc.nvcc())
    except ToolchainError:
        return False


needs_nvcc = pytest.mark.skipif(not has_nvcc(), reason="needs nvcc")


def built(model, mcpu="sm_90", batch=1):
    return cuda(CompileOptions(target="cuda", mcpu=mcpu, batch=batch))(model, prove(model))


def two_inputs():
    """Bits of two inputs; bits, sums and a class out; three samples a call."""
    graph = Graph()
    joined = graph.add("Concat", [graph.input("a", (3, 7)), graph.input("b", (3, 4))], "joined", (3, 11), axis=1)
    y = graph.logic(joined, network(RNG, 11, (60, 45), 3), "y")
    total = graph.sums(y, GroupSum.contiguous(45, 6), "total")
    return graph.model(y, total, graph.add("ArgMax", [total], "class", (3,), np.int64, axis=-1, keepdims=0))


MODELS = {
    "sums": lambda: classifier(network(RNG, 60, (300, 290), 2), GroupSum.contiguous(290, 10), batch=33),
    "a class": lambda: classifier(network(RNG, 60, (300, 290), 3), GroupSum.contiguous(290, 7), batch=5, argmax=True),
    "gates of four inputs": lambda: classifier(network(RNG, 30, (200, 90), 4), GroupSum.contiguous(90, 3), batch=3),
    "bits": lambda: classifier(network(RNG, 20, (100, 70), 2), None, batch=40),
    "many sums": lambda: classifier(network(RNG, 50, (600, 900), 2), GroupSum.contiguous(900, 700), batch=2),
    "bits and sums and a class": two_inputs,
}


@needs_nvcc
def test_machine_code_for_every_architecture_and_ptx_for_those_to_come():
    artifact = built(MODELS["sums"](), "")
    images = _json.parse(artifact.files[PROGRAM])["images"]
    assert [i["file"] for i in images] == [*(f"logic_sm_{c}.cubin" for c in (75, 80, 86, 87, 89, 90)), "logic.ptx"]
    for image in images[:-1]:
        assert artifact.files[image["file"]][:4] == b"\x7fELF"
    assert b".target sm_75" in artifact.files["logic.ptx"] and b"lop3.b32" in artifact.files["logic.ptx"]
    assert artifact.manifest.target.kind == "cuda"


@needs_nvcc
@pytest.mark.parametrize("capability", [80, 90])
def test_registers_do_not_spill(capability, tmp_path):
    """The same network in the largest block that there is: 64 registers a thread."""
    netlist, sums = network(RNG, 256, (2000, 2000, 1800), 2), GroupSum.contiguous(1800, 10)
    found = plan(netlist, sums, Shape(words=8), limit=6000)
    (tmp_path / "k.cu").write_text(source(found))
    command = [_nvcc.nvcc(), "-cubin", f"-arch=sm_{capability}", *_nvcc.FLAGS, "-Xptxas", "-v", "-o", "k.cubin", "k.cu"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stderr
    spilled = [int(n) for pair in re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", told) for n in pair]
    assert max(spilled) <= (0 if capability == 90 else 16), "beside the loop at most"
    assert all(int(n) * found.shape.threads <= 65536 for n in re.findall(r"Used (\d+) registers", told))
    if tool := shutil.which("cuobjdump"):
        code = subprocess.run([tool, "-sass", "k.cubin"], cwd=tmp_path, capture_output=True, text=True).stdout
        assert "LOP3.LUT" in code and "BRX" in code
        assert capability != 90 or ("LDL" not in code and "STL" not in code)


def test_blocks_fit_in_shared_memory():
    netlist, sums = network(RNG, 256, (2000, 2000, 1800), 2), GroupSum.contiguous(1800, 10)
    assert shared_bytes(plan(netlist, sums, Shape(words=8), limit=7264)) <= 227 * 1024


def test_a_missing_compiler_is_named_before_anything_slow(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(_nvcc, "PLACES", ())
    for name in _nvcc.HOMES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ToolchainError, match="cuda-nvcc"):
        cuda(CompileOptions(target="cuda"))


@needs_nvcc
def test_what_nvcc_says_is_told():
    with pytest.raises(ToolchainError, match="cannot compile for sm_90"):
        _nvcc.compiled("int main() { return x; }", "90")


@needs_nvcc
def test_wrong_options_and_other_models_are_refused():
    with pytest.raises(ValueError, match="sm_70"):
        cuda(CompileOptions(target="cuda", mcpu="sm_90,sm_70"))
    with pytest.raises(ValueError, match="triple"):
        cuda(CompileOptions(target="cuda", triple="x86_64-linux-gnu"))
    assert architectures("sm_90, sm_80") == [80, 90]


def test_an_image_runs_on_its_generation_and_ptx_on_all_that_is_newer():
    def image(file: str, capability: int, shared: int = 1000) -> Image:
        return Image(
            file=file, capability=capability, plan="p", threads=1, blocks=1, samples=32, shared=shared, scratch=0
        )

    assert image("a.cubin", 80).runs_on(86, 2000) and not image("a.cubin", 86).runs_on(80, 2000)
    assert not image("a.cubin", 80).runs_on(90, 2000) and image("a.ptx", 80).runs_on(120, 2000)
    assert not image("a.ptx", 80).runs_on(75, 2000) and not image("a.cubin", 80).runs_on(80, 999)


@needs_nvcc
@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
def test_no_gpu_is_one_clear_line():
    with pytest.raises(InputError, match="this machine"):
        Session(built(MODELS["bits"]()))


def test_an_artifact_without_its_program():
    from edgegate._cuda_program import CudaProgram

    with pytest.raises(FileError, match="no program for a GPU"):
        CudaProgram({}, (), ())


@pytest.mark.gpu
@needs_nvcc
@pytest.mark.parametrize("name", MODELS)
def test_a_gpu_gives_the_interpreters_bits(name):
    model = MODELS[name]()
    artifact = built(model, "")
    session = Session(artifact)
    assert verify(session) > 1
    feeds = [(RNG.random(spec.shape) < 0.5).astype(np.uint8) for spec in session.inputs]
    expected = interpreter.run(model, {spec.name: x for spec, x in zip(session.inputs, feeds, strict=True)})
    for spec, found in zip(session.outputs, session.run_stored(feeds), strict=True):
        np.testing.assert_array_equal(found, expected[spec.name])


@pytest.mark.gpu
@needs_nvcc
@pytest.mark.parametrize("samples", [1, 31, 32, 33, 255, 256, 257, 1000, 100_003])
def test_any_batch_in_every_form(samples):
    from edgegate._cuda_driver import Device, Memory
    from edgegate._cuda_program import LogicKernel, pitch_of

    netlist, sums = network(np.random.default_rng(2), 75, (400, 390), 2), GroupSum.contiguous(390, 10)
    kernel = LogicKernel(built(classifier(netlist, sums)).files, Device())
    x = (RNG.random((samples, 75)) < 0.5).astype(np.uint8)
    expected = counts(sums, evaluate(netlist, x))
    pitch = pitch_of(samples)
    for bits, rows in ((False, x), (True, np.packbits(x, axis=1, bitorder="little"))):
        given, packed = Memory.of(rows), Memory(4 * 75 * pitch)
        made, classes = Memory(40 * samples + 64), Memory(8 * samples + 64)
        for memory in (packed, made, classes):
            memory.fill(0xCD)
        kernel.pack(given.pointer, packed.pointer, pitch, samples, bits=bits)
        kernel.run(packed.pointer, pitch, samples, counts=made.pointer, classes=classes.pointer)
        found = made.read(np.empty(10 * samples + 16, np.int32))
        np.testing.assert_array_equal(found[:-16].reshape(samples, 10), expected)
        np.testing.assert_array_equal(found[-16:].view(np.uint8), 0xCD)
        np.testing.assert_array_equal(classes.read(np.empty(samples, np.int64)), expected.argmax(1))


@pytest.mark.gpu
@needs_nvcc
@pytest.mark.parametrize(
    "shape", [Shape(words=w, warps=8) for w in (4, 2, 1)] + [Shape(words=32, shared=False)], ids=str
)
def test_every_shape_of_block(shape, monkeypatch):
    from edgegate.targets.cuda_logic import choose

    monkeypatch.setattr(choose, "_shapes", lambda netlist: [(shape, 1)] if shape.shared else [])
    model = MODELS["bits and sums and a class"]()
    assert verify(Session(built(model))) > 1


def test_the_temporary_folder_is_gone():
    before = set(Path(tempfile.gettempdir()).glob("edgegate-*"))
    if has_nvcc():
        _nvcc.compiled('extern "C" __global__ void f() {}', "90", ptx=True)
    assert set(Path(tempfile.gettempdir()).glob("edgegate-*")) <= before
