"""Outputs that a sum can add without their being made."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from edgegate.logic import GroupSum, Netlist


def light(netlist: Netlist, sums: GroupSum) -> set[int]:
    """The gates that one sum counts, as one power of two, and that nothing else reads.

    If they have an input to spare, ``carry_save`` adds two of them with three gates, where others take four.

    Args:
        netlist: With outputs as ``share_outputs`` makes them.
        sums: Over its outputs.
    """
    read = np.zeros(netlist.first + netlist.gates, bool)
    read[netlist.fanins] = True
    read[: netlist.first] = True
    digits: dict[int, int] = defaultdict(int)
    nodes = (netlist.outputs[sums.member] >> 1).tolist()
    for node, weight in zip(nodes, sums.weight.tolist(), strict=True):
        digits[node] += len(signed_digits(weight))
    return {node for node, count in digits.items() if count == 1 and not read[node]}


def signed_digits(weight: int) -> list[tuple[int, int]]:
    """``weight`` as the fewest (sign, power of two): binary if that is no longer than the non-adjacent form."""
    size, sign = abs(weight), 1 if weight > 0 else -1
    binary = [(sign, j) for j in range(size.bit_length()) if size >> j & 1]
    thrice = 3 * size
    digits = [j for j in range(size.bit_length() + 1) if (thrice ^ size) >> j & 2]
    signed = [(sign if thrice >> j & 2 else -sign, j) for j in digits]
    return signed if len(signed) < len(binary) else binary
