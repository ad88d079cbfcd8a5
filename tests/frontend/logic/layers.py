"""Small stand-ins of layers with random weights, and what they compute, written from their definitions."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tests.frontend.logic.standins import stand_in


def gates(inputs: int, outputs: int, seed: int = 0, **changed: Any) -> Any:
    """A LogicLayer of difflogic."""
    made = torch.Generator().manual_seed(seed)
    indices = tuple(torch.randint(inputs, (outputs,), generator=made) for _ in "ab")
    found = {
        "weights": nn.Parameter(torch.randn(outputs, 16, generator=made)),
        "indices": indices,
        "in_dim": inputs,
        "out_dim": outputs,
        "implementation": "python",
    }
    return stand_in("difflogic.difflogic", "LogicLayer", **(found | changed))


def light(outputs: int = 8, **changed: Any) -> Any:
    """A LogicLayerIWP of difflogic-iwp, with sigmoid."""
    layer = gates(6, outputs)
    found = {
        "weights": nn.Parameter(torch.randn(outputs, 4, generator=torch.Generator().manual_seed(1))),
        "act_fn": torch.sigmoid,
        "act_fn_str": "sigmoid",
        "run_op_on_iwp": False,
    }
    kept = {name: getattr(layer, name) for name in ("indices", "in_dim", "out_dim", "implementation")}
    return stand_in("difflogic.difflogic", "LogicLayerIWP", **(kept | found | changed))


def dense(inputs: int = 6, outputs: int = 8, rank: int = 2, kind: str = "Light", **changed: Any) -> Any:
    """A LogicDense of torchlogix 0.2."""
    made = torch.Generator().manual_seed(2)
    wiring = stand_in("torchlogix.connections", "FixedDenseConnections")
    wiring.register_buffer("indices", torch.randint(inputs, (rank, outputs), generator=made))
    found = {
        "weight": nn.Parameter(torch.randn(outputs, 1 << rank, generator=made)),
        "connections": wiring,
        "parametrization": stand_in("torchlogix.parametrization", f"{kind}LUTParametrization"),
        "lut_rank": rank,
        "in_dim": inputs,
    }
    return stand_in("torchlogix.layers.dense", "LogicDense", **(found | changed))


def tables(inputs: int = 6, outputs: int = 8, n: int = 3, **changed: Any) -> Any:
    """A LUTLayer of torch_dwn."""
    made = torch.Generator().manual_seed(3)
    mapping = torch.randint(inputs, (outputs, n), generator=made).int()
    found = {
        "luts": nn.Parameter(torch.rand(outputs, 1 << n, generator=made) * 2 - 1),
        "mapping": nn.Parameter(mapping, requires_grad=False),
        "input_size": inputs,
        "ste": True,
    }
    return stand_in("torch_dwn.lut_layer", "LUTLayer", **(found | changed))


def sums(package: str = "difflogic.difflogic", **changed: Any) -> Any:
    """A GroupSum of two classes."""
    return stand_in(package, "GroupSum", **({"k": 2, "tau": 1.0} | changed))


def of_gates(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """What a LogicLayer computes in eval mode, by the values of its gates at 00, 01, 10 and 11."""
    a, b = (x[..., i].long() for i in layer.indices)
    gate = [format(int(g), "04b") for g in layer.weights.argmax(-1)]
    table = torch.tensor([[float(c) for c in g] for g in gate])
    return table[torch.arange(len(gate)), 2 * a + b]


def bits(*shape: int) -> torch.Tensor:
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(4)).float()
