"""Archives with our operators: read in a fresh process, and no other operator of that namespace is let in."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from edgegate import frontend
from edgegate.errors import CompileError
from edgegate.frontend import _program
from edgegate.nn import GroupSum, LogicLayer


def test_a_process_that_knows_nothing_of_layers_reads_an_archive(tmp_path):
    path = tmp_path / "net.pt2"
    frontend.save(nn.Sequential(LogicLayer(6, 8), GroupSum(2)), (torch.zeros(2, 6),), path)
    program = f"from edgegate import frontend; print(*[n.op_type for n in frontend.load({str(path)!r}).graph])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Lut", "GroupSum"]


@pytest.mark.parametrize("name", ["lut", "group_sum", "threshold", "stage_gate"])
def test_our_operators_may_stand_in_an_archive(name):
    assert _program._is_target(f"torch.ops.edgegate.{name}.default")


@pytest.mark.parametrize("name", ["lut.out", "lut", "other.default", "lut.default.__globals__", "lut.default\n"])
def test_others_of_the_namespace_may_not(name):
    assert not _program._is_target(f"torch.ops.edgegate.{name}")


class Sum(nn.Module):
    def forward(self, x):
        return torch.ops.edgegate.group_sum(x, 3, 0.0, 0.0)


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(CompileError, match="temperature of 0"):
        frontend.load(Sum(), example=(torch.zeros(2, 6),))
