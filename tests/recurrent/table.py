"""Every step of the recurrent families: what goes in, what its states are, how near its integers must come to float."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import nn

from tests.recurrent import cells, delta, diagonal, fifo, rank_one

Shape = tuple[int, ...]
ROW, FRAME = (1, 32), (1, 3, 6, 6)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A family's step.

    Attributes:
        make: Makes the module: ``forward(x, *states) -> (y, *states)``.
        states: Shapes of the states.
        shape: Of the input.
        flags: Shapes of further inputs, of zeros and ones, before the states.
        floor: Least SQNR of the integers against float, in dB, over any number of steps.
        stored: What the states are stored in.
    """

    make: Callable[[], nn.Module]
    states: tuple[Shape, ...]
    shape: Shape = ROW
    flags: tuple[Shape, ...] = ()
    floor: float
    stored: str = "int16"


MATRIX = (1, 2, 16, 16)
STEPS = {
    "short_conv": Step(make=fifo.ShortConv, states=((1, 32, 2),), floor=36),
    "wavenet": Step(make=fifo.WaveNet, states=((1, 16, 4),), shape=(1, 16), floor=49),
    "fsmn": Step(make=fifo.FSMN, states=((1, 16, 19), (1, 16, 19)), shape=(1, 16), floor=38, stored="int8"),
    "gated_tsm": Step(make=fifo.GatedTSM, states=((1, 2, 6, 6),), shape=FRAME, floor=33, stored="int8"),
    "lgtsm": Step(make=fifo.LGTSM, states=((1, 2, 4, 6, 6),), shape=FRAME, floor=37.5, stored="int8"),
    "min_gru": Step(make=diagonal.MinGRU, states=(ROW,), floor=40),
    "min_lstm": Step(make=diagonal.MinLSTM, states=(ROW,), floor=40),
    "hgrn": Step(make=diagonal.HGRN, states=(ROW,), floor=42.5),
    "qrnn": Step(make=diagonal.QRNN, states=(ROW,), floor=41),
    "rg_lru": Step(make=diagonal.RGLRU, states=(ROW,), floor=42),
    "gate_loop": Step(make=diagonal.GateLoop, states=((1, 32, 2),), floor=37),
    "block_recurrent": Step(make=diagonal.BlockRecurrent, states=((1, 8, 32),), shape=(1, 8, 32), floor=50),
    "gla": Step(make=rank_one.GLA, states=(MATRIX,), floor=36),
    "retnet": Step(make=rank_one.RetNet, states=(MATRIX,), floor=37),
    "lightning": Step(make=rank_one.Lightning, states=(MATRIX,), floor=36),
    "hgrn2": Step(make=rank_one.HGRN2, states=(MATRIX,), floor=37.5),
    "gsa": Step(make=rank_one.GSA, states=((1, 2, 16, 8), (1, 2, 8, 16)), floor=39.5),
    "mamba1": Step(make=rank_one.Mamba1, states=((1, 32, 3), (1, 32, 8)), shape=(1, 16), floor=33.5),
    "mamba2": Step(make=rank_one.Mamba2, states=((1, 64, 3), MATRIX), shape=(1, 16), floor=30.5),
    "mlstm": Step(make=rank_one.MLSTM, states=(MATRIX, (1, 2, 16), (1, 2)), floor=24),
    "log_linear": Step(make=rank_one.LogLinear, states=((1, 2, 5, 16, 16),), flags=((1, 5), (1, 5)), floor=36.5),
    "delta_net": Step(make=delta.DeltaNet, states=(MATRIX,), floor=35),
    "gated_delta_net": Step(make=delta.GatedDeltaNet, states=(MATRIX,), floor=34),
    "kda": Step(make=delta.KDA, states=(MATRIX,), floor=35),
    "channel_delta": Step(make=delta.ChannelDelta, states=(MATRIX,), floor=36),
    "comba": Step(make=delta.Comba, states=(MATRIX,), floor=36),
    "rwkv7": Step(make=delta.RWKV7, states=(ROW, MATRIX), floor=36.5),
    "gru": Step(make=cells.GRU, states=(ROW,), floor=43),
    "lstm": Step(make=cells.LSTM, states=(ROW, ROW), floor=48),
    "s_lstm": Step(make=cells.SLSTM, states=(ROW,) * 4, floor=40.5),
}
"""Name -> step."""


def of(module: ModuleType) -> list[str]:
    """The names of the steps of a module of families."""
    return [name for name, step in STEPS.items() if getattr(step.make, "__module__", "") == module.__name__]


def module(step: Step) -> nn.Module:
    """The step's module with weights that keep values spread: gates open and close."""
    torch.manual_seed(0)
    made = step.make().eval()
    for part in made.modules():
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.normal_(part.weight, std=(1.2 / part.weight[0].numel()) ** 0.5)
            if part.bias is not None:
                nn.init.normal_(part.bias, std=0.3)
    return made
