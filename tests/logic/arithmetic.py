"""Adders and multipliers as netlists: networks that are equal and look nothing alike."""

from tests.logic.circuits import net

AND, OR, XOR = 8, 14, 6


class Builder:
    """Gates one by one; each method gives a node."""

    def __init__(self, inputs):
        self.inputs, self.fanins, self.tables = inputs, [], []

    def gate(self, a, b, table):
        self.fanins.append([a, b])
        self.tables.append(table)
        return self.inputs + len(self.fanins)

    def full_adder(self, a, b, c):
        half = self.gate(a, b, XOR)
        carry = self.gate(self.gate(a, b, AND), self.gate(half, c, AND), OR)
        return self.gate(half, c, XOR), carry

    def netlist(self, nodes):
        return net(self.inputs, self.fanins, self.tables, [2 * node for node in nodes])


def ripple_adder(width):
    """Carries go from bit to bit."""
    build, carry, total = Builder(2 * width), 0, []
    for i in range(width):
        bit, carry = build.full_adder(1 + i, 1 + width + i, carry)
        total.append(bit)
    return build.netlist([*total, carry])


def prefix_adder(width):
    """Carries of twice as many bits at each level (Kogge, Stone, 1973)."""
    build = Builder(2 * width)
    half = [build.gate(1 + i, 1 + width + i, XOR) for i in range(width)]
    made, passed, reach = [build.gate(1 + i, 1 + width + i, AND) for i in range(width)], half, 1
    while reach < width:
        above = range(reach, width)
        lower = made[:reach], passed[:reach]
        made, passed = (
            lower[0] + [build.gate(made[i], build.gate(passed[i], made[i - reach], AND), OR) for i in above],
            lower[1] + [build.gate(passed[i], passed[i - reach], AND) for i in above],
        )
        reach *= 2
    return build.netlist([half[0], *(build.gate(half[i], made[i - 1], XOR) for i in range(1, width)), made[-1]])


def multiplier(width, swapped=False):
    """Rows of partial products added up; ``swapped`` takes the rows from the other factor."""
    build = Builder(2 * width)
    one, other = range(1, width + 1), range(width + 1, 2 * width + 1)
    if swapped:
        one, other = other, one
    total = [0] * (2 * width)
    for i in range(width):
        carry = 0
        for j in range(width):
            total[i + j], carry = build.full_adder(total[i + j], build.gate(one[j], other[i], AND), carry)
        total[i + width] = carry
    return build.netlist(total)
