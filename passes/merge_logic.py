"""All logic of a graph becomes one node, or as few as what stands between them allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, LAYER, SOURCE, array, constant, shape
from edgegate.logic import Netlist
from edgegate.ops.logic import layered, netlist_of
from edgegate.passes._bits import JOINS, MOVES, Bits, Network


def merge_logic(model: ir.Model) -> None:
    """Let one Logic node do what several do with moves, maxima and minima of bits between them.

    Where a Logic reads what other ops make of another one's bits, the two stay apart. A value that is read outside
    keeps its place and its shape. So layers become one network, convolutions of gates unrolled networks, and OR
    pooling gates.
    """
    nodes = [n for n in model.graph if (n.domain, n.op_type) == (DOMAIN, "Logic")]
    if not nodes:
        return
    merge = Merge(batch=_batch(nodes))
    for node in model.graph:
        merge.follow(node)
    for number in sorted(merge.networks):
        _rebuild(model, merge, number)
    model.graph.sort()


def _batch(nodes: Sequence[ir.Node]) -> int:
    """Samples of the batch: the first axis that all networks agree in."""
    dims = [shape(n.outputs[0]) for n in nodes]
    sizes = {d[0] if len(d) > 1 else 1 for d in dims}
    return sizes.pop() if len(sizes) == 1 else 1


@dataclass(kw_only=True)
class Merge:
    """What is known while the graph is read.

    Attributes:
        batch: Samples of the batch.
        networks: By how many ops that are no logic lie before them.
        bits: Values that are literals of a network, by its number.
        stage: The least number of a network that may read a value.
        absorbed: Nodes that gates take the place of, by network.
        replaced: What stands for a value of a network that was built.
    """

    batch: int
    networks: dict[int, Network] = field(default_factory=dict)
    bits: dict[ir.Value, tuple[int, Bits]] = field(default_factory=dict)
    stage: dict[ir.Value, int] = field(default_factory=dict)
    absorbed: dict[int, list[ir.Node]] = field(default_factory=dict)
    replaced: dict[ir.Value, ir.Value] = field(default_factory=dict)

    def follow(self, node: ir.Node) -> None:
        """Read the next node."""
        given = [v for v in node.inputs if v is not None]
        number = max((self.stage.get(v, 0) for v in given), default=0)
        if not self._absorb(node, number):
            behind = [self.bits[v][0] + 1 for v in given if v in self.bits and self.bits[v][1].made]
            for value in node.outputs:
                self.stage[value] = max([number, *behind])

    def _absorb(self, node: ir.Node, number: int) -> bool:
        """Whether gates make what the node makes; then its outputs are known as literals."""
        if not self._is_logic(node):
            return False
        network = self.networks.setdefault(number, Network(batch=self.batch))
        parts = [self._literals(v, number) for v in _data(node)]
        known = [p for p in parts if p is not None]
        if len(known) < len(parts):
            return False
        if node.op_type == "Logic":
            made = [network.gates.add(netlist_of(node), known[0].literals)]
        else:
            found = (JOINS if node.domain else MOVES)[node.op_type](network, node, known)
            if found is None:
                return False
            made = found
        for value, literals in zip(node.outputs, made, strict=True):
            self.bits[value] = number, Bits(literals=literals, made=True, clean=True)
            self.stage[value] = number
        self.absorbed.setdefault(number, []).append(node)
        return True

    def _is_logic(self, node: ir.Node) -> bool:
        if (node.domain, node.op_type) == (DOMAIN, "Logic"):
            return True
        if node.op_type not in (JOINS if node.domain == DOMAIN else MOVES if node.domain == "" else ()):
            return False
        if any(v in self.bits and self.bits[v][1].made for v in _data(node)):
            return True
        return node.domain == DOMAIN and _is_compared(node.inputs[0])

    def _literals(self, value: ir.Value, number: int) -> Bits | None:
        """``value`` as literals of the network ``number``: its own, moved ones, a constant's, or a new source."""
        network, known, data = self.networks[number], self.bits.get(value), array(value)
        if data is not None:
            return network.constant(data)
        if known is not None and known[0] == number:
            return known[1]
        node = value.producer()
        if known is None and node is not None and node.domain == "" and node.op_type in MOVES:
            parts = [p for v in _data(node) if (p := self._literals(v, number)) is not None]
            moved = MOVES[node.op_type](network, node, parts) if len(parts) == len(_data(node)) else None
            if moved is not None:
                clean = all(p.clean for p in parts)
                for out, literals in zip(node.outputs, moved, strict=True):
                    self.bits[out] = number, Bits(literals=literals, made=False, clean=clean)
                return self.bits[value][1]
        return network.source(value)


def _data(node: ir.Node) -> list[ir.Value]:
    """The inputs of a node whose elements it hands on."""
    given = node.inputs if node.op_type == "Concat" else node.inputs[:1]
    return [v for v in given if v is not None]


def _is_compared(value: ir.Value | None) -> bool:
    """Whether a Threshold made the value, moves aside."""
    while value is not None and (node := value.producer()) is not None:
        if node.op_type == "Threshold":
            return True
        value = node.inputs[0] if node.domain == "" and node.op_type in MOVES else None
    return False


def _rebuild(model: ir.Model, merge: Merge, number: int) -> None:
    """Put one Logic in the place of what a network absorbed."""
    network, nodes = merge.networks[number], merge.absorbed.get(number, [])
    logic = [n for n in nodes if n.op_type == "Logic"]
    if not nodes or (len(nodes) == 1 and logic and list(network.sources) == [logic[0].inputs[0]]):
        return
    inside = {id(n) for n in nodes}
    made = [v for n in nodes for v in n.outputs]
    read = [v for v in made if v.is_graph_output() or any(id(n) not in inside for n, _ in v.uses())]
    literals = [merge.bits[v][1].literals.reshape(-1) for v in read]
    netlist = network.netlist(np.concatenate(literals))
    build = Emitter(model=model, anchor=(logic or nodes)[-1], batch=network.batch)
    sources = [merge.replaced.get(v, v) for v in network.sources]
    whole = build.logic(build.joined(sources, netlist.inputs), netlist)
    parts = build.split(whole, [len(part) for part in literals])
    for value, part in zip(read, parts, strict=True):
        merge.replaced[value] = _stand_in(build, value, part)
    for node in reversed(nodes):
        model.graph.remove(node, safe=True)


def _stand_in(build: Emitter, value: ir.Value, part: ir.Value) -> ir.Value:
    """Let ``part`` be read in the place of ``value``, in its shape and, if it goes out, under its name."""
    shaped = build.reshaped(part, shape(value))
    if value.is_graph_output():
        name, value.name = value.name, None
        shaped.name = name
    ir.convenience.replace_all_uses_with(value, shaped, replace_graph_outputs=True)
    return shaped


@dataclass(kw_only=True)
class Emitter:
    """Makes the nodes of one network; the graph is sorted afterwards."""

    model: ir.Model
    anchor: ir.Node
    batch: int

    def _emit(
        self, op: str, inputs: Sequence[ir.Value], dims: Sequence[Sequence[int]], attributes: dict[str, int], name: str
    ) -> list[ir.Value]:
        kept = {k: v for k, v in self.anchor.metadata_props.items() if k in (LAYER, SOURCE)}
        label = f"{self.anchor.name}.{name}" if name else str(self.anchor.name)
        outputs = [
            ir.Value(name=f"{label}.{i}" if i else label, shape=ir.Shape(d), type=ir.TensorType(ir.DataType.UINT8))
            for i, d in enumerate(dims)
        ]
        domain = DOMAIN if op == "Logic" else ""
        made = ir.node(op, inputs, attributes, domain=domain, outputs=outputs, name=label, metadata_props=kept)
        self.model.graph.append(made)
        return outputs

    def joined(self, sources: Sequence[ir.Value], width: int) -> ir.Value:
        """All that goes in as one row of bits a sample."""
        rows = [self.reshaped(v, (self.batch, prod(shape(v)) // self.batch)) for v in sources]
        return rows[0] if len(rows) == 1 else self._emit("Concat", rows, [(self.batch, width)], {"axis": 1}, "bits")[0]

    def logic(self, x: ir.Value, netlist: Netlist) -> ir.Value:
        """The network on ``x``."""
        parts = zip(("fanins", "tables", "starts", "outputs"), layered(netlist), strict=True)
        constants = [constant(self.model, f"{self.anchor.name}.{part}", data) for part, data in parts]
        dims = (self.batch, len(netlist.outputs))
        return self._emit("Logic", [x, *constants], [dims], {}, "network")[0]

    def split(self, x: ir.Value, sizes: Sequence[int]) -> list[ir.Value]:
        """``x`` in parts along its last axis."""
        if len(sizes) == 1:
            return [x]
        split = constant(self.model, f"{self.anchor.name}.sizes", np.array(sizes, np.int64))
        return self._emit("Split", [x, split], [(self.batch, size) for size in sizes], {"axis": 1}, "parts")

    def reshaped(self, x: ir.Value, dims: Sequence[int]) -> ir.Value:
        """``x`` in the shape ``dims``."""
        if shape(x) == tuple(dims):
            return x
        target = constant(self.model, f"{x.name}.dims", np.array(dims, np.int64))
        return self._emit("Reshape", [x, target], [dims], {"allowzero": 0}, f"{x.name}.row")[0]
