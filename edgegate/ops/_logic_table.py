"""The portable lowering of bit networks: loops over their tables, the same code whatever the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any


def lower_logic(x: Any, fanins: Any, tables: Any, starts: Any, outputs: Any) -> Any:
    """One sample after the other, gate by gate, a byte a bit. Gates stand in order, so their levels do not matter."""
    from tvm import te, topi

    count, width, results = prod(_ints(x.shape[:-1])), int(x.shape[-1]), int(outputs.shape[0])
    shapes = [(1 + width + int(fanins.shape[0]),), (count, results)]
    inputs = [topi.reshape(x, (count, width)), fanins, tables, outputs]
    _, y = te.extern(shapes, inputs, _network, name="logic", dtype=["uint8", "uint8"])
    return topi.reshape(y, (*_ints(x.shape[:-1]), results))


def _network(given: Sequence[Any], made: Sequence[Any]) -> Any:
    from tvm import tirx

    (rows, fanins, tables, outputs), (nodes, y) = given, made
    width, (gates, k) = int(rows.shape[1]), _ints(fanins.shape)
    zero, one = (tirx.const(bit, "uint8") for bit in (0, 1))

    def enter(n: Any, i: Any) -> Any:
        return tirx.BufferStore(nodes, tirx.Select(rows[n, i].equal(zero), zero, one), [i + 1])

    def gate(g: Any) -> Any:
        bits = [nodes[fanins[g, j]].astype(tables.dtype) << tirx.const(j, tables.dtype) for j in range(k)]
        address = bits[0]
        for bit in bits[1:]:
            address = address | bit
        value = (tables[g] >> address) & tirx.const(1, tables.dtype)
        return tirx.BufferStore(nodes, value.astype("uint8"), [g + 1 + width])

    def leave(n: Any, o: Any) -> Any:
        inverted = (outputs[o] & 1).astype("uint8")
        return tirx.BufferStore(y, nodes[outputs[o] >> 1] ^ inverted, [n, o])

    def sample(n: Any) -> Any:
        inside = _loop(width, lambda i: enter(n, i)), _loop(gates, gate), _loop(int(y.shape[1]), lambda o: leave(n, o))
        return tirx.SeqStmt([tirx.BufferStore(nodes, zero, [0]), *inside])

    return _loop(int(rows.shape[0]), sample)


def lower_group_sum(bits: Any, group: Any, member: Any, weight: Any, offset: Any) -> Any:
    """One sample after the other, term by term."""
    from tvm import te, topi

    count, width, groups = prod(_ints(bits.shape[:-1])), int(bits.shape[-1]), int(offset.shape[0])
    inputs = [topi.reshape(bits, (count, width)), group, member, weight, offset]
    y = te.extern((count, groups), inputs, _sums, name="group_sum", dtype="int32")
    return topi.reshape(y, (*_ints(bits.shape[:-1]), groups))


def _sums(given: Sequence[Any], made: Sequence[Any]) -> Any:
    from tvm import tirx

    (rows, group, member, weight, offset), (y,) = given, made

    def sample(n: Any) -> Any:
        def add(e: Any) -> Any:
            term = rows[n, member[e]].astype("int32") * weight[e]
            return tirx.BufferStore(y, y[n, group[e]] + term, [n, group[e]])

        start = _loop(int(offset.shape[0]), lambda k: tirx.BufferStore(y, offset[k], [n, k]))
        return tirx.SeqStmt([start, _loop(int(group.shape[0]), add)])

    return _loop(int(rows.shape[0]), sample)


def _loop(count: int, body: Callable[[Any], Any]) -> Any:
    from tvm import tirx

    i = tirx.Var("i", "int32")
    return tirx.For(i, 0, count, tirx.ForKind.SERIAL, body(i))


def _ints(dims: Any) -> list[int]:
    return [int(d) for d in dims]
