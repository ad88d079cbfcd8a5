"""Networks of gates in programs of TVM: as a table, the same answers."""

from __future__ import annotations

import numpy as np
import pytest
import tvm_ffi

from edgegate import CompileOptions, interpreter
from edgegate.logic import GroupSum
from edgegate.replay import verify
from edgegate.stages import prove
from edgegate.targets._machine import machine
from edgegate.targets._tvm import emit
from edgegate.targets.llvm import llvm
from edgegate.targets.schedules import Cpu, partition
from tests.targets.logic_models import classifier, network


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    return classifier(network(rng, 40, (200, 90)), GroupSum.contiguous(90, 10), batch=70)


def test_a_network_and_its_sums_are_one_kernel(model):
    (group,) = partition(model)
    assert [node.op_type for node in group.nodes] == ["Logic", "GroupSum"]


def test_the_table_is_chosen_by_an_option(model):
    target = machine("", "").target
    table, other = (emit(model, Cpu.of(target, 1, logic)) for logic in ("table", "code"))
    assert not tvm_ffi.structural_equal(table, other)


def test_a_program_with_a_table(model):
    artifact = llvm(CompileOptions(logic="table", batch=70))(model, prove(model))
    assert verify(artifact.session()) > 0 and artifact.manifest.options["logic"] == "table"
    x = np.random.default_rng(1).integers(0, 2, (70, 40)).astype(np.uint8)
    np.testing.assert_array_equal(artifact(x), interpreter.run(model, {"x": x})["counts"])
