"""Logic: a network of look-up tables over bits, one byte a bit.

Gates stand level by level: gates ``starts[l]`` to ``starts[l + 1]`` read the inputs and gates of lower levels alone.
Gate ``g`` is node ``1 + I + g``, input ``i`` is node ``1 + i``, and node 0 is false:

    address[g] = sum over j of node[fanins[g, j]] << j
    node[1 + I + g] = (tables[g] >> address[g]) & 1
    y[o] = node[outputs[o] >> 1] ^ (outputs[o] & 1)

An input is true if it is not 0. Source: Petersen et al., Deep Differentiable Logic Gate Networks (NeurIPS 2022), with
tables in place of the 16 gates; literals as in AIGER.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array
from edgegate.logic import Netlist, evaluate
from edgegate.ops._logic_body import BODY
from edgegate.ops._logic_table import lower_logic
from edgegate.ops._op import Bound, Interval, Op, Sample

TABLES = {1: np.uint8, 2: np.uint8, 3: np.uint8, 4: np.uint32, 5: np.uint32, 6: np.uint64}
"""What the tables of so many inputs are stored in: types that ONNX Runtime can shift."""


def layered(netlist: Netlist) -> tuple[Array, Array, Array, Array]:
    """The constants of the op for a netlist, whose gates are sorted by level.

    Returns:
        fanins int32 [G, k], tables uint8, uint32 or uint64 [G], starts int64 [L + 1], outputs int32 [O].
    """
    sorted_ = netlist.by_level()
    levels = sorted_.levels[sorted_.first :]
    starts = np.searchsorted(levels, np.arange(1, netlist.depth + 2)).astype(np.int64)
    return sorted_.fanins, sorted_.tables.astype(TABLES[netlist.k]), starts, sorted_.outputs


def netlist_of(node: ir.Node) -> Netlist:
    """The netlist of a Logic node, whose netlist is constant."""
    source = node.inputs[0]
    assert source is not None and source.shape is not None, "the input has a static shape"
    constants = [array(value) for value in node.inputs[1:]]
    return _netlist(int(str(source.shape[-1])), *[c for c in constants if c is not None])


def _netlist(inputs: int, fanins: Array, tables: Array, starts: Array, outputs: Array) -> Netlist:
    return Netlist(inputs=inputs, fanins=fanins, tables=tables.astype(np.uint64), outputs=outputs)


def reference(x: Array, fanins: Array, tables: Array, starts: Array, outputs: Array) -> Array:
    """Compute the network.

    Args:
        x: uint8 [..., I]; not 0 is true.
        fanins: int32 [G, k], k in 1..6: nodes.
        tables: uint8 [G] for k <= 3, uint32 for k <= 5, uint64 for k = 6.
        starts: int64 [L + 1]: the first gate of each level, and G.
        outputs: int32 [O]: literals.

    Returns:
        uint8 [..., O] of 0 and 1.
    """
    netlist = _netlist(x.shape[-1], fanins, tables, starts, outputs)
    return evaluate(netlist, x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], len(outputs))


def bounds(x: Interval, fanins: Interval, tables: Interval, starts: Interval, outputs: Interval) -> Bound:
    """Bits; the constants must be those of a network whose levels are in order."""
    constants = [c.data for c in (fanins, tables, starts, outputs) if c.data is not None]
    if len(constants) < 4 or not x.dims:
        raise OverflowError("the gates of a network are constants")
    try:
        netlist = _netlist(x.dims[-1], *constants)
    except ValueError as e:
        raise OverflowError(f"no network: {e}") from e
    first_gates = constants[2]
    whole = (
        len(first_gates)
        and first_gates[0] == 0
        and first_gates[-1] == netlist.gates
        and (np.diff(first_gates) >= 0).all()
    )
    known = netlist.first + np.repeat(first_gates[:-1], np.diff(first_gates)) if whole else np.zeros(0)
    if not whole or (netlist.fanins >= known[:, None]).any():
        raise OverflowError("the gates of a network stand level by level")
    return Bound(output=Interval(low=0, high=1))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Every width of gate, deep and shallow; bytes other than 0 and 1; outputs that are inputs, constants, inverted."""
    for k, dims in ((1, (7, 5)), (2, (3, 4, 9)), (3, (65, 12)), (4, (2, 20)), (5, (1, 8)), (6, (66, 16))):
        inputs, gates = dims[-1], 40
        limit = 1 + inputs + np.arange(gates)[:, None]
        fanins = (rng.random((gates, k)) * limit).astype(np.int32)
        tables = rng.integers(0, 1 << 63, gates, dtype=np.uint64) * np.uint64(2) >> np.uint64(64 - (1 << k))
        outputs = np.concatenate([[0, 1, 2, 3], rng.integers(4, 2 * (1 + inputs + gates), 30)]).astype(np.int32)
        netlist = Netlist(inputs=inputs, fanins=fanins, tables=tables, outputs=outputs)
        x = np.where(rng.integers(0, 2, dims) == 0, 0, rng.choice([1, 2, 128, 255], dims)).astype(np.uint8)
        yield Sample(inputs=(x, *layered(netlist)))


LOGIC = Op(
    name="Logic", body=BODY, reference=reference, bounds=bounds, lower=lower_logic, samples=samples,
)  # fmt: skip
