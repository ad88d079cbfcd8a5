"""One step of ONNX's recurrent nodes.

Source: the ONNX operators GRU, LSTM and RNN, version 14, whose equations are those of Cho et al., "Learning Phrase
Representations using RNN Encoder-Decoder", 2014, equations 5 to 8, and of Hochreiter and Schmidhuber, "Long
Short-Term Memory", 1997, with the peepholes of Gers et al., "Learning Precise Timing with LSTM Recurrent Networks",
2002.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError
from edgegate.graph import Array, array, attribute, where
from edgegate.passes._steps import Steps

ALPHA_BETA = {
    "Affine": (1.0, 0.0), "ScaledTanh": (1.0, 1.0), "HardSigmoid": (0.2, 0.5), "LeakyRelu": (0.01, None),
    "ThresholdedRelu": (1.0, None), "Elu": (1.0, None),
}  # fmt: skip
"""Activation functions with parameters, and what those are where the node does not say."""
PLAIN = ("Relu", "Tanh", "Sigmoid", "Softsign", "Softplus")
"""Activation functions without."""


@dataclass(frozen=True, kw_only=True)
class Activation:
    """One activation function of a node: ONNX names them in any case."""

    name: str
    alpha: float | None = None
    beta: float | None = None

    def __call__(self, steps: Steps, x: ir.Value, name: str) -> ir.Value:
        """The function of each element of ``x``."""
        dims = tuple(int(str(d)) for d in x.shape or ())
        match self.name:
            case "Affine":
                scaled = steps.both("Mul", x, steps.floats(self.alpha, "alpha"), f"{name}.scaled")
                return steps.both("Add", scaled, steps.floats(self.beta, "beta"), name)
            case "ScaledTanh":
                scaled = steps.both("Mul", x, steps.floats(self.beta, "beta"), f"{name}.scaled")
                return steps.both(
                    "Mul", steps.op("Tanh", [scaled], dims, f"{name}.tanh"), steps.floats(self.alpha, "alpha"), name
                )
        given = {"alpha": self.alpha, "beta": self.beta}
        return steps.op(self.name, [x], dims, name, {k: v for k, v in given.items() if v is not None})


def activations(node: ir.Node, default: Sequence[str], index: int) -> list[Activation]:
    """The functions of one direction."""
    given = list(attribute(node, "activations", [])) or list(default) * (index + 1)
    names = {n.lower(): n for n in (*PLAIN, *ALPHA_BETA)}
    alphas, betas = (iter(attribute(node, f"activation_{k}", [])) for k in ("alpha", "beta"))
    found = []
    for name in given:
        if name.lower() not in names:
            fix = f"use one of {', '.join(sorted(names.values()))}"
            raise CompileError(where(node), f"has no activation function {name}", fix)
        name = names[name.lower()]
        alpha, beta = ALPHA_BETA.get(name, (None, None))
        alpha = next(alphas, alpha) if alpha is not None else None
        beta = next(betas, beta) if beta is not None else None
        found.append(Activation(name=name, alpha=alpha, beta=beta))
    return found[index * len(default) : (index + 1) * len(default)]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The weights of one direction.

    Attributes:
        node: The node.
        w: Of the input [gates, H, I].
        r: Of the state [gates, H, H].
        wb: Bias beside ``w`` [gates, H].
        rb: Bias beside ``r`` [gates, H].
        peepholes: Of the cell [3, H], or None.
        functions: The activation functions.
    """

    node: ir.Node
    w: Array
    r: Array
    wb: Array
    rb: Array
    peepholes: Array | None
    functions: list[Activation]

    @classmethod
    def of(cls, node: ir.Node, index: int) -> Cell:
        """The weights of direction ``index`` of a node."""
        kind = CELLS[node.op_type]
        data = [array(v) for v in node.inputs] + [None] * 8
        hidden = data[2].shape[2]  # type: ignore[union-attr]
        w, r = (np.asarray(d)[index].reshape(len(kind.gates), hidden, -1) for d in data[1:3])
        zeros = np.zeros((2, len(kind.gates), hidden), np.float32)
        wb, rb = zeros if data[3] is None else data[3][index].reshape(zeros.shape)
        found = activations(node, kind.functions, index)
        peepholes = None if data[7] is None else data[7][index].reshape(3, hidden)
        return cls(node=node, w=w, r=r, wb=wb, rb=rb, peepholes=peepholes, functions=found)

    @property
    def hidden(self) -> int:
        """H."""
        return int(self.r.shape[-1])

    def projected(self, steps: Steps, x: ir.Value) -> list[ir.Value]:
        """What each gate takes from the input, for the whole sequence [T, B, H], with the biases that add to it."""
        kind = CELLS[self.node.op_type]
        bias = self.wb + np.where(kind.inner(self.node)[:, None], 0, self.rb)
        return [steps.linear(x, w, b, f"x.{g}") for w, b, g in zip(self.w, bias, kind.gates, strict=True)]

    def sum(self, steps: Steps, gate: int, x: ir.Value, h: ir.Value) -> ir.Value:
        """What a gate takes from the input and from the state."""
        name = CELLS[self.node.op_type].gates[gate]
        return steps.both("Add", x, steps.linear(h, self.r[gate], None, f"h.{name}"), f"sum.{name}")

    def activated(self, steps: Steps, function: int, x: ir.Value, name: str) -> ir.Value:
        """An activation function of the node, after its clip."""
        limit = attribute(self.node, "clip", 0.0)
        if limit:
            ends = [steps.floats(sign * limit, "limit") for sign in (-1, 1)]
            x = steps.op("Clip", [x, *ends], tuple(int(str(d)) for d in x.shape or ()), f"{name}.clipped")
        return self.functions[function](steps, x, name)


def _rnn(cell: Cell, steps: Steps, states: list[ir.Value], x: list[ir.Value]) -> list[ir.Value]:
    """A step of RNN: h' = f(W x + R h + b)."""
    return [cell.activated(steps, 0, cell.sum(steps, 0, x[0], states[0]), "h")]


def _gru(cell: Cell, steps: Steps, states: list[ir.Value], x: list[ir.Value]) -> list[ir.Value]:
    """A step of GRU: h' = (1 - z) n + z h as n + z (h - n): one product, and weights that add up to 1 exactly."""
    (h,) = states
    z, r = (cell.activated(steps, 0, cell.sum(steps, i, x[i], h), CELLS["GRU"].gates[i]) for i in range(2))
    if attribute(cell.node, "linear_before_reset", 0):
        inner = steps.both("Mul", steps.linear(h, cell.r[2], cell.rb[2], "h.n"), r, "reset")
        total = steps.both("Add", x[2], inner, "sum.n")
    else:
        total = cell.sum(steps, 2, x[2], steps.both("Mul", h, r, "reset"))
    n = cell.activated(steps, 1, total, "n")
    part = steps.both("Mul", steps.both("Sub", h, n, "difference"), z, "part")
    return [steps.both("Add", n, part, "h")]


def _lstm(cell: Cell, steps: Steps, states: list[ir.Value], x: list[ir.Value]) -> list[ir.Value]:
    """A step of LSTM: c' = f c + i g, h' = o act(c'); gates in the order i, o, f, g."""
    h, c = states

    def gate(index: int, peephole: int, seen: ir.Value) -> ir.Value:
        total = cell.sum(steps, index, x[index], h)
        if cell.peepholes is not None and cell.peepholes[peephole].any():
            weight = steps.floats(cell.peepholes[peephole], "peephole")
            total = steps.both("Add", total, steps.both("Mul", seen, weight, "peep"), "peeped")
        return cell.activated(steps, 0, total, CELLS["LSTM"].gates[index])

    i = gate(0, 0, c)
    if attribute(cell.node, "input_forget", 0):
        f = steps.both("Sub", steps.floats(1.0, "one"), i, "f")
    else:
        f = gate(2, 2, c)
    g = cell.activated(steps, 1, cell.sum(steps, 3, x[3], h), "g")
    kept, added = steps.both("Mul", c, f, "kept"), steps.both("Mul", g, i, "added")
    c = steps.both("Add", kept, added, "c")
    o = gate(1, 1, c)
    return [steps.both("Mul", cell.functions[2](steps, c, "act"), o, "h"), c]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One type of node.

    Attributes:
        gates: In the order of the weights.
        states: How many states.
        functions: The names of its activation functions, by default.
        step: The states after a step, from the cell, the states before it, and each gate's part of the input.
    """

    gates: tuple[str, ...]
    states: int
    functions: tuple[str, ...]
    step: Callable[[Cell, Steps, list[ir.Value], list[ir.Value]], list[ir.Value]]

    def inner(self, node: ir.Node) -> Any:
        """Of each gate, whether the bias of the state is under a product and cannot be added before."""
        reset = bool(attribute(node, "linear_before_reset", 0)) and node.op_type == "GRU"
        return np.array([reset and gate == "n" for gate in self.gates])


CELLS = {
    "RNN": Kind(gates=("h",), states=1, functions=("Tanh",), step=_rnn),
    "GRU": Kind(gates=("z", "r", "n"), states=1, functions=("Sigmoid", "Tanh"), step=_gru),
    "LSTM": Kind(gates=("i", "o", "f", "g"), states=2, functions=("Sigmoid", "Tanh", "Tanh"), step=_lstm),
}
"""What is known of each type."""
