"""The file ``logic.npz`` of an artifact: imported netlists, and what the optimised ones are claimed to equal.

For a node ``n`` of the integer graph the arrays are ``n/inputs`` (int64, a scalar), ``n/fanins``, ``n/tables`` and
``n/outputs`` as in :class:`~edgegate.logic.Netlist`, ``n/claims`` (int32 [O]) and, if its outputs are counted,
``n/sums/bits`` (int64, a scalar) and ``n/sums/group``, ``member``, ``weight`` and ``offset`` as in
:class:`~edgegate.logic.GroupSum`. A name of a node may itself hold slashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from edgegate import _npz
from edgegate.errors import FileError
from edgegate.logic.netlist import Array, GroupSum, Netlist

NETLIST = ("inputs", "fanins", "tables", "outputs", "claims")
SUMS = ("sums/bits", "sums/group", "sums/member", "sums/weight", "sums/offset")


@dataclass(frozen=True, kw_only=True, eq=False)
class Imported:
    """What a node was before it was optimised.

    Attributes:
        netlist: As imported.
        claims: int32 [O]: for every output of ``netlist`` the literal of the optimised netlist that it equals.
        sums: What the outputs of ``netlist`` are counted in, if they are.

    Raises:
        ValueError: The claims or the sums are not of as many outputs, or a claim is no literal.
    """

    netlist: Netlist
    claims: Array = field(repr=False)
    sums: GroupSum | None = None

    def __post_init__(self) -> None:
        outputs = len(self.netlist.outputs)
        if self.claims.dtype != np.int32 or self.claims.shape != (outputs,) or self.claims.min(initial=0) < 0:
            raise ValueError(f"claims are {outputs} literals of int32")
        if self.sums is not None and self.sums.bits != outputs:
            raise ValueError(f"sums of {self.sums.bits} bits do not count {outputs} outputs")


def pack(nodes: Mapping[str, Imported]) -> bytes:
    """The bytes of the file: same nodes, same bytes."""
    arrays: dict[str, Array] = {}
    for name, node in nodes.items():
        netlist, sums = node.netlist, node.sums
        values = (np.int64(netlist.inputs), netlist.fanins, netlist.tables, netlist.outputs, node.claims)
        arrays |= {f"{name}/{key}": np.asarray(value) for key, value in zip(NETLIST, values, strict=True)}
        if sums is not None:
            values = (np.int64(sums.bits), sums.group, sums.member, sums.weight, sums.offset)
            arrays |= {f"{name}/{key}": np.asarray(value) for key, value in zip(SUMS, values, strict=True)}
    return _npz.pack(arrays)


def unpack(data: bytes) -> dict[str, Imported]:
    """The nodes in what :func:`pack` wrote.

    Raises:
        FileError: Not such a file, an array is missing or left over, or one holds what no netlist can.
        UnsafeError: It holds Python objects, or more than may be read.
    """
    left = _npz.unpack(data)
    nodes = {}
    for name in [key.removesuffix("/inputs") for key in left if key.endswith("/inputs")]:
        try:
            nodes[name] = _node(name, left)
        except ValueError as error:
            raise FileError(f"node {name[:80]!r}: {error}") from error
    if left:
        raise FileError(f"array {min(left)[:80]!r} belongs to no node")
    return nodes


def _node(name: str, arrays: dict[str, Array]) -> Imported:
    def take(key: str) -> Array:
        if f"{name}/{key}" not in arrays:
            raise ValueError(f"its array {key!r} is missing")
        return arrays.pop(f"{name}/{key}")

    inputs, fanins, tables, outputs, claims = (take(key) for key in NETLIST)
    netlist = Netlist(inputs=_count(inputs), fanins=fanins, tables=tables, outputs=outputs)
    if f"{name}/{SUMS[0]}" not in arrays:
        return Imported(netlist=netlist, claims=claims)
    bits, group, member, weight, offset = (take(key) for key in SUMS)
    sums = GroupSum(bits=_count(bits), group=group, member=member, weight=weight, offset=offset)
    return Imported(netlist=netlist, claims=claims, sums=sums)


def _count(array: Array) -> int:
    if array.dtype != np.int64 or array.shape != () or not 0 <= array < 1 << 30:
        raise ValueError("a number of inputs or bits is one int64 of 0 to 2**30")
    return int(array)
