"""Following bits and sums through an integer model, for :mod:`edgegate.targets._design`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, shape
from edgegate.logic import GroupSum, Netlist
from edgegate.logic.stitch import Stitch
from edgegate.ops import OPS
from edgegate.ops.group_sum import sums_of
from edgegate.ops.logic import netlist_of
from edgegate.targets._edges import is_edge

MOVES = ("Reshape", "Transpose", "Concat", "Split", "Gather", "Identity")
SAMPLE = 40
"""Where the number of the sample starts in an identity; below are a literal or the number of a sum."""
BELOW = (1 << SAMPLE) - 1


class Unfit(Exception):
    """A node, or an output, that is no part of a logic gate network; the message says why."""


class Unknown(Unfit):
    """A node that reads what is no bit and no sum."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Symbols:
    """What a value holds.

    Attributes:
        kind: Bits, sums, or the class that begins with a sum.
        ids: int64, of the value's shape: literal or number of the sum, and the sample from bit ``SAMPLE`` on.
    """

    kind: Literal["bits", "counts", "class"]
    ids: Array


class Walk:
    """Values seen so far, and the netlist that they are made of.

    Args:
        stored: The model's stored inputs.
        answers: Its stored outputs.
    """

    def __init__(self, stored: Sequence[ir.Value], answers: Sequence[ir.Value]) -> None:
        leading = {shape(v)[:1] for v in (*stored, *answers)}
        self._batched = len(leading) == 1 and leading != {()}
        self.batch = next(iter(leading))[0] if self._batched else 1
        self._stitch = Stitch(inputs=sum(int(np.prod(self.sample_shape(v))) for v in stored))
        self._values: dict[ir.Value, Symbols] = {}
        self._classes: dict[int, int] = {}
        self._counted: list[Array] = []
        self._sums: list[GroupSum] = []
        self._shown: list[Array] = []
        self._memo: dict[tuple[int, bytes], Array] = {}
        start = 0
        for value in stored:
            start = self._declare(value, start)

    def _declare(self, value: ir.Value, start: int) -> int:
        """An input, whose first bit is ``start``; what comes after it."""
        dims = self.sample_shape(value)
        bits = 2 * (1 + start + np.arange(int(np.prod(dims)), dtype=np.int64))
        samples = np.arange(self.batch, dtype=np.int64)[:, None] << SAMPLE
        if value.dtype in (ir.DataType.UINT8, ir.DataType.BOOL):
            self._values[value] = Symbols(kind="bits", ids=(bits + samples).reshape(shape(value)))
        return start + len(bits)

    def sample_shape(self, value: ir.Value) -> tuple[int, ...]:
        """The shape of a value of one sample."""
        return shape(value)[1:] if self._batched else shape(value)

    def node(self, node: ir.Node) -> None:
        """Follow a node of the model.

        Raises:
            Unfit: It is not logic.
        """
        if is_edge(node) or (node.domain, node.op_type) in ((DOMAIN, "Threshold"), (DOMAIN, "Scores")):
            return
        own: dict[str, Callable[[ir.Node], None]] = {"Logic": self._logic, "GroupSum": self._group_sum}
        if node.domain == DOMAIN and node.op_type in own:
            own[node.op_type](node)
        elif node.domain == "" and node.op_type == "ArgMax":
            self._argmax(node)
        elif node.domain == "" and node.op_type in MOVES:
            self._move(node)
        else:
            raise Unfit("it computes with numbers")

    def _symbols(self, value: ir.Value | None, kind: str = "") -> Symbols:
        data = array(value)
        if data is not None:
            return Symbols(kind="bits", ids=(data != 0).astype(np.int64))
        found = self._values.get(value) if value is not None else None
        if found is None or (kind and found.kind != kind):
            name = "nothing" if value is None else value.name
            raise Unknown(f"it reads {name}, which holds no {kind or 'bits or sums of bits'}")
        return found

    def _move(self, node: ir.Node) -> None:
        moved = len(node.inputs) if node.op_type == "Concat" else 1
        symbols = [self._symbols(v) for v in node.inputs[:moved]]
        if len({s.kind for s in symbols}) > 1:
            raise Unfit("it joins bits and sums")
        inputs: list[Any] = [*(s.ids for s in symbols), *(array(v) for v in node.inputs[moved:])]
        if any(data is None for data in inputs):
            raise Unfit("where it takes its elements from is computed")
        results = inputs[0]
        if node.op_type != "Identity":
            attributes = {name: attribute(node, name) for name in node.attributes}
            results = OPS["", node.op_type].reference(*inputs, **attributes)
        results = results if isinstance(results, tuple) else (results,)
        for value, ids in zip(node.outputs, results, strict=True):
            self._values[value] = Symbols(kind=symbols[0].kind, ids=ids)

    def _rows(self, node: ir.Node, make: Callable[[Array], Array], kind: Literal["bits", "counts"]) -> None:
        """Give the node's output what ``make`` makes of the literals of every row of its input."""
        ids = self._symbols(node.inputs[0], "bits").ids
        made = []
        for row in ids.reshape(-1, ids.shape[-1]):
            literals, samples = row & BELOW, np.unique(row[row & BELOW > 1] >> SAMPLE)
            if len(samples) > 1:
                raise Unfit("it mixes the samples of a batch")
            key = (id(node), literals.tobytes())
            if key not in self._memo:
                self._memo[key] = make(literals)
            plain = self._memo[key]
            own = (kind != "bits") | (plain > 1)
            made.append(plain + own * (samples[0] << SAMPLE if len(samples) else 0))
        self._values[node.outputs[0]] = Symbols(kind=kind, ids=np.stack(made).reshape(*ids.shape[:-1], -1))

    def _logic(self, node: ir.Node) -> None:
        netlist = netlist_of(node)
        self._rows(node, lambda literals: self._stitch.add(netlist, literals), "bits")

    def _group_sum(self, node: ir.Node) -> None:
        sums = sums_of(node)

        def add(literals: Array) -> Array:
            start = sum(s.groups for s in self._sums)
            self._counted.append(literals)
            self._sums.append(sums)
            return start + np.arange(sums.groups, dtype=np.int64)

        self._rows(node, add, "counts")

    def _argmax(self, node: ir.Node) -> None:
        ids = self._symbols(node.inputs[0], "counts").ids
        if attribute(node, "axis", 0) not in (-1, ids.ndim - 1) or attribute(node, "select_last_index", 0):
            raise Unfit("it takes the place along another axis than the last, or the last of equals")
        first = ids[..., :1]
        if (ids != first + np.arange(ids.shape[-1])).any():
            raise Unfit("the sums are out of order")
        for number in np.unique(first & BELOW).tolist():
            self._classes[number] = ids.shape[-1]
        kept = first if attribute(node, "keepdims", 1) else first[..., 0]
        self._values[node.outputs[0]] = Symbols(kind="class", ids=kept)

    def output(self, value: ir.Value) -> tuple[Literal["bits", "counts", "class"], int, int]:
        """What an output is: its kind, the first bit or sum (bits: after those of the outputs before), how many.

        Raises:
            Unfit: Its samples differ, or its sums are out of order.
        """
        symbols = self._symbols(value)
        ids = symbols.ids.reshape(self.batch, -1)
        plain, alone = ids & BELOW, ids & BELOW <= 1 if symbols.kind == "bits" else np.zeros(ids.shape, np.bool_)
        samples = np.arange(self.batch)[:, None]
        if (plain != plain[0]).any() or (ids >> SAMPLE != samples)[~alone].any():
            raise Unfit("the samples of a batch are not computed alike")
        first = int(plain[0, 0])
        if symbols.kind == "class":
            if plain.shape[1] > 1:
                raise Unfit("there is more than one class for a sample")
            return "class", first, self._classes[first]
        if symbols.kind == "counts":
            if (plain[0] != first + np.arange(plain.shape[1])).any():
                raise Unfit("its sums are out of order")
            return "counts", first, plain.shape[1]
        start = sum(map(len, self._shown))
        self._shown.append(plain[0])
        return "bits", start, plain.shape[1]

    def counted(self) -> int:
        """How many bits are counted; they come first among the netlist's outputs."""
        return sum(map(len, self._counted))

    def netlist(self) -> Netlist:
        """All that was followed."""
        nothing = np.zeros(0, np.int64)
        return self._stitch.netlist(np.concatenate([nothing, *self._counted, *self._shown]))

    def sums(self) -> GroupSum | None:
        """All sums, over the netlist's outputs."""
        if not self._sums:
            return None
        groups = np.cumsum([0, *(s.groups for s in self._sums)])
        bits = np.cumsum([0, *map(len, self._counted)])
        total = sum(map(len, (*self._counted, *self._shown)))
        each = list(zip(self._sums, groups, bits, strict=False))
        return GroupSum(
            bits=total,
            group=np.concatenate([s.group + g for s, g, _ in each]).astype(np.int32),
            member=np.concatenate([s.member + b for s, _, b in each]).astype(np.int32),
            weight=np.concatenate([s.weight for s in self._sums]),
            offset=np.concatenate([s.offset for s in self._sums]),
        )


def thresholds(outer: ir.Value) -> Array | None:
    """float32 [F, T] if the input is compared with thresholds at the model's edge, else None."""
    for node, _ in outer.uses():
        if (node.domain, node.op_type) == (DOMAIN, "Threshold"):
            limits = array(node.inputs[1])
            assert limits is not None, "the thresholds at the edge are constants"
            features = shape(outer)[-1]
            return np.ascontiguousarray(np.broadcast_to(limits, (features, limits.shape[-1])), np.float32)
    return None


def scores(outer: ir.Value) -> tuple[float, float]:
    """The tau and beta of an output that the model's edge makes of counts; 1 and 0 if it makes none."""
    node = outer.producer()
    if node is None or (node.domain, node.op_type) != (DOMAIN, "Scores"):
        return 1.0, 0.0
    tau, beta = (array(v) for v in node.inputs[1:3])
    assert tau is not None and beta is not None, "the scores' constants are constants"
    return float(tau), float(beta)
