"""GroupSum: weighted counts of bits.

    y[k] = offset[k] + sum over e with group[e] = k of weight[e] * bits[member[e]]

Source: Petersen et al., Deep Differentiable Logic Gate Networks (NeurIPS 2022), section 3; weights and offsets are what
outputs that are equal, inverse or constant leave behind.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array
from edgegate.logic import GroupSum, counts
from edgegate.ops._logic_table import lower_group_sum
from edgegate.ops._op import Bound, Interval, Op, Sample, fits

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
GroupSum (bits, group, member, weight, offset) => (y) {
    rest = Constant <value_ints: ints = [-1]> ()
    first = Constant <value_ints: ints = [0]> ()
    lead = Shape <end: int = -1> (bits)
    width = Shape <start: int = -1> (bits)
    flat = Concat <axis: int = 0> (rest, width)
    rows = Reshape (bits, flat)
    turned = Transpose <perm: ints = [1, 0]> (rows)
    places = Cast <to: int = 7> (member)
    picked = Gather <axis: int = 0> (turned, places)
    wide = Cast <to: int = 6> (picked)
    second = Constant <value_ints: ints = [1]> ()
    factors = Unsqueeze (weight, second)
    terms = Mul (wide, factors)
    groups = Cast <to: int = 7> (group)
    column = Unsqueeze (groups, second)
    samples = Shape <start: int = 1> (terms)
    offsets = Unsqueeze (offset, second)
    sums = Shape (offset)
    dims = Concat <axis: int = 0> (sums, samples)
    start = Expand (offsets, dims)
    total = ScatterND <reduction: string = "add"> (start, column, terms)
    back = Transpose <perm: ints = [1, 0]> (total)
    shape = Concat <axis: int = 0> (lead, sums)
    y = Reshape (back, shape)
}
"""


def sums_of(node: ir.Node) -> GroupSum:
    """The sums of a GroupSum node, whose terms are constant."""
    source = node.inputs[0]
    assert source is not None and source.shape is not None, "the input has a static shape"
    constants = [array(value) for value in node.inputs[1:]]
    return _sums(int(str(source.shape[-1])), *[c for c in constants if c is not None])


def _sums(bits: int, group: Array, member: Array, weight: Array, offset: Array) -> GroupSum:
    return GroupSum(bits=bits, group=group, member=member, weight=weight, offset=offset)


def reference(bits: Array, group: Array, member: Array, weight: Array, offset: Array) -> Array:
    """Count.

    Args:
        bits: uint8 [..., O], of 0 and 1.
        group: int32 [E], not falling.
        member: int32 [E].
        weight: int32 [E].
        offset: int32 [K].

    Returns:
        int32 [..., K].
    """
    sums = _sums(bits.shape[-1], group, member, weight, offset)
    return counts(sums, bits.reshape(-1, sums.bits)).reshape(*bits.shape[:-1], sums.groups)


def bounds(bits: Interval, group: Interval, member: Interval, weight: Interval, offset: Interval) -> Bound:
    """The sums of the negative and of the positive weights; every partial sum lies between."""
    constants = [c.data for c in (group, member, weight, offset) if c.data is not None]
    if len(constants) < 4 or not bits.dims:
        raise OverflowError("the terms of a sum of bits are constants")
    if bits.low < 0 or bits.high > 1:
        raise OverflowError(f"a sum of bits reads [{bits.low}, {bits.high}]")
    try:
        sums = _sums(bits.dims[-1], *constants)
    except ValueError as e:
        raise OverflowError(f"no sum of bits: {e}") from e
    low, high = sums.bounds()
    total = Interval(low=int(low.min(initial=0)), high=int(high.max(initial=0)))
    fits(total, 32, "the sum")
    return Bound(output=total, accumulator=total)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Plain groups, weights of both signs, bits that several groups count, a group without bits, any leading axes."""
    plain = GroupSum.contiguous(50, 5)
    yield Sample(inputs=((rng.integers(0, 10, (9, 50)) < 7).astype(np.uint8), *_constants(plain)))
    group = np.sort(rng.integers(0, 6, 30)).astype(np.int32)
    member = np.concatenate([rng.permutation(20)[:n] for n in np.bincount(group)]).astype(np.int32)
    weight = rng.choice([-1000, -3, -1, 1, 2, 1 << 20], 30).astype(np.int32)
    sums = _sums(20, group, member, weight, rng.integers(-99, 99, 7, dtype=np.int32))
    yield Sample(inputs=(rng.integers(0, 2, (2, 3, 20)).astype(np.uint8), *_constants(sums)))


def _constants(sums: GroupSum) -> tuple[Array, Array, Array, Array]:
    return sums.group, sums.member, sums.weight, sums.offset


GROUP_SUM = Op(
    name="GroupSum", body=BODY, reference=reference, bounds=bounds, lower=lower_group_sum, samples=samples,
)  # fmt: skip
