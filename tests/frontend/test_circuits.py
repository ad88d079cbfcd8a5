"""Circuits in files: AIGER and BLIF become programs that compute what they say, latches a state."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

import edgegate
from edgegate import frontend
from edgegate.errors import UnsafeError
from edgegate.logic import Netlist, aiger, blif, evaluate
from edgegate.logic.circuit import Circuit


@pytest.fixture
def circuit() -> Circuit:
    rng = np.random.default_rng(0)
    inputs, gates = 12, 60
    fanins = (rng.random((gates, 2)) * (1 + inputs + np.arange(gates)[:, None])).astype(np.int32)
    tables, outputs = rng.integers(0, 16, gates).astype(np.uint64), rng.integers(0, 146, 9).astype(np.int32)
    return Circuit(
        netlist=Netlist(inputs=inputs, fanins=fanins, tables=tables, outputs=outputs),
        inputs=tuple(f"a{i}" for i in range(8)), outputs=tuple(f"y{i}" for i in range(5)),
        latches=("p", "q", "r", "s"), resets=(0, 1, 0, 0),
    )  # fmt: skip


def combinational(circuit: Circuit) -> Circuit:
    return Circuit.of(circuit.netlist)


@pytest.mark.parametrize("write", [aiger.write, blif.write], ids=["aiger", "blif"])
def test_a_circuit_runs(write, circuit: Circuit, tmp_path: Path) -> None:
    path = tmp_path / "net"
    path.write_bytes(write(circuit))
    program = edgegate.compile(path, batch=3)
    rng = np.random.default_rng(1)
    x, state = (rng.integers(0, 2, (7, n)).astype(np.bool_) for n in (8, 4))
    found = np.concatenate(program(x, state), 1)
    np.testing.assert_array_equal(found, evaluate(circuit.netlist, np.concatenate([x, state], 1)))


def test_the_float_model_runs_as_it_is(circuit: Circuit, tmp_path: Path) -> None:
    path = tmp_path / "net.aig"
    path.write_bytes(aiger.write(combinational(circuit)))
    model = frontend.load(path, batch=5)
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString())
    x = np.random.default_rng(2).integers(0, 2, (5, 12)).astype(np.float32)
    (found,) = session.run(None, {"inputs": x})
    np.testing.assert_array_equal(found, evaluate(circuit.netlist, x))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.aig"
    path.write_bytes(b"aig 3 1 0 1 2\n6\n")
    with pytest.raises(UnsafeError, match=r"net\.aig: line 1: "):
        frontend.load(path)


def test_comments_may_stand_before_a_model(tmp_path: Path) -> None:
    path = tmp_path / "net"
    path.write_text("# made by hand\n\n.model and\n.inputs a b\n.outputs y\n.names a b y\n11 1\n.end\n")
    program = edgegate.compile(path, batch=4)
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.bool_)
    np.testing.assert_array_equal(program(x), [[0], [0], [0], [1]])
