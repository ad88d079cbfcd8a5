"""BlockQuantize's other two meanings: its ONNX body and its TVM lowering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Expr = Any

# What rounds ``{x}`` to steps of two to the power ``{shift}``, as ``rounded_to`` of the reference does.
ROUND = """
    {x}_step = Pow (two, {shift})
    {x}_size = Abs ({x})
    {x}_steps = Div ({x}_size, {x}_step)
    {x}_each = Unsqueeze ({x}_steps, last)
    {x}_reached = GreaterOrEqual ({x}_each, bytes)
    {x}_counted = Cast <to: int = 7> ({x}_reached)
    {x}_length = ReduceSum <keepdims: int = 0> ({x}_counted, last)
    {x}_excess = Sub ({x}_length, most_digits)
    {x}_extra = Max ({x}_excess, none)
    {x}_grid = Pow (two, {x}_extra)
    {x}_unit = Mul ({x}_step, {x}_grid)
    {x}_half = Div ({x}_unit, two)
    {x}_rest = Mod ({x}, {x}_unit)
    {x}_below = Sub ({x}, {x}_rest)
    {x}_floor = Div ({x}_below, {x}_unit)
    {x}_odd = Mod ({x}_floor, two)
    {x}_natural = GreaterOrEqual ({x}, none)
    {x}_positive = Cast <to: int = 7> ({x}_natural)
    {x}_away = Where (is_away, {x}_positive, one)
    {x}_carry = Where (is_even, {x}_odd, {x}_away)
    {x}_less = Sub ({x}_half, one)
    {x}_tie = Add ({x}_less, {x}_carry)
    {x}_near = Max ({x}_tie, none)
    {x}_bias = Where (is_truncate, none, {x}_near)
    {x}_biased = Add ({x}, {x}_bias)
    {x}_over = Mod ({x}_biased, {x}_unit)
    {x}_exact = Sub ({x}_biased, {x}_over)
    {x}_whole = Div ({x}_exact, {x}_unit)
    {x}_rounded = Mul ({x}_whole, {x}_grid)
"""
LIMITS = """
    {name}_minus = Neg ({step})
    {name}_finer = Max ({name}_minus, none)
    {name}_scale = Pow (two, {name}_finer)
    {name}_down = Div (depth, {name}_scale)
    {name}_least = Neg ({name}_down)
    {name}_most = Div (high64, {name}_scale)
"""
HEAD = """
<domain: "edgegate", opset_import: ["" : 21]>
BlockQuantize <block, low, high, digits, top, rule, rounding, overflow, input_zero_point> (x) => (y, shifts) {
    none = Constant <value_int: int = 0> ()
    one = Constant <value_int: int = 1> ()
    two = Constant <value_int: int = 2> ()
    three = Constant <value_int: int = 3> ()
    low64 = Constant <value_int: int = @low> ()
    high64 = Constant <value_int: int = @high> ()
    depth = Neg (low64)
    digits64 = Constant <value_int: int = @digits> ()
    top64 = Constant <value_int: int = @top> ()
    rule64 = Constant <value_int: int = @rule> ()
    rounding64 = Constant <value_int: int = @rounding> ()
    bump = Constant <value_int: int = @overflow> ()
    zero_point = Constant <value_int: int = @input_zero_point> ()
    last = Constant <value_ints: ints = [-1]> ()
    bytes = Constant <value_ints: ints = [1, 2, 4, 8, 16, 32, 64, 128]> ()
    words = Constant <value_ints: ints = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768,
        65536, 131072, 262144, 524288, 1048576, 2097152, 4194304, 8388608, 16777216, 33554432, 67108864, 134217728,
        268435456, 536870912, 1073741824, 2147483648, 4294967296]> ()
    is_even = Equal (rounding64, none)
    is_truncate = Equal (rounding64, two)
    is_away = Equal (rounding64, three)
    integers = Equal (digits64, none)
    bits = Add (top64, one)
    precision = Where (integers, bits, digits64)
    byte = Constant <value_int: int = 8> ()
    most_digits = Where (integers, byte, digits64)
    wide = Cast <to: int = 7> (x)
    centred = Sub (wide, zero_point)
    lead = Shape <end: int = -1> (x)
    block64 = Constant <value_int: int = @block> ()
    size = Unsqueeze (block64, none)
    dims = Concat <axis: int = 0> (lead, last, size)
    blocks = Reshape (centred, dims)
    greatest = ReduceMax <keepdims: int = 1> (blocks, last)
    least = ReduceMin <keepdims: int = 1> (blocks, last)
    ends = Concat <axis: int = -1> (greatest, least)
    sizes = Abs (ends)
    amax = ReduceMax <keepdims: int = 1> (sizes, last)
    reached = GreaterOrEqual (amax, words)
    counted = Cast <to: int = 7> (reached)
    length = ReduceSum <keepdims: int = 1> (counted, last)
    power = Pow (two, length)
    finer = Add (precision, one)
    fine = Pow (two, finer)
    raised = Mul (amax, fine)
    nearly = Sub (fine, one)
    border = Mul (power, nearly)
    rounds_up = GreaterOrEqual (raised, border)
    doubled = Pow (two, bits)
    shifted = Mul (amax, doubled)
    held = Mul (power, high64)
    passes = Greater (shifted, held)
    by_even = Equal (rule64, one)
    by_ceil = Equal (rule64, two)
    even_up = And (by_even, rounds_up)
    ceil_up = And (by_ceil, passes)
    up = Or (even_up, ceil_up)
    some = Greater (amax, none)
    carried = And (up, some)
    carry = Cast <to: int = 7> (carried)
    bits_above = Sub (length, bits)
    step = Add (bits_above, carry)
    first_shift = Max (step, none)
"""
BUMP = """
    above = Greater (ends_rounded, first_most)
    below = Less (ends_rounded, first_least)
    outside = Or (above, below)
    each_out = Cast <to: int = 7> (outside)
    any_out = ReduceMax <keepdims: int = 1> (each_out, last)
    bumped = Mul (any_out, bump)
    final = Add (step, bumped)
    shift = Max (final, none)
"""
TAIL = """
    floored = Max (blocks_rounded, last_least)
    clipped = Min (floored, last_most)
    all = Shape (x)
    flat = Reshape (clipped, all)
    y = Cast <to: int = 3> (flat)
    per_block = Squeeze (shift, last)
    shifts = Cast <to: int = 3> (per_block)
}
"""
BODY = "".join([
    HEAD, ROUND.format(x="ends", shift="first_shift"), LIMITS.format(name="first", step="step"), BUMP,
    ROUND.format(x="blocks", shift="shift"), LIMITS.format(name="last", step="final"), TAIL,
])  # fmt: skip


def lower(
    x: Any, *, block: int, low: int, high: int, digits: int, top: int, rule: int, rounding: int, overflow: int,
    input_zero_point: int,
) -> list[Any]:  # fmt: skip
    """The portable TE form: in 32 bits where the input has fewer, else in 64."""
    from tvm import te

    grid = _Grid("int64" if x.dtype == "int32" else "int32", low, high, digits, top)
    (*lead, width) = (int(d) for d in x.shape)

    def centred(*index: Any) -> Expr:
        return x(*index).astype(grid.dtype) - grid.n(input_zero_point)

    def extreme(reduce: Callable[..., Any], name: str) -> Any:
        j = te.reduce_axis((0, block), name="j")
        return te.compute((*lead, width // block), lambda *i: reduce(centred(*i[:-1], i[-1] * block + j), j), name=name)

    ends = extreme(te.max, "greatest"), extreme(te.min, "least")

    def step_of(*index: Any) -> Expr:
        greatest, least = (e(*index) for e in ends)
        step = grid.step(greatest, least, rule)
        return grid.bumped(step, (greatest, least), rounding) if overflow else step

    step = te.compute((*lead, width // block), step_of, name="step")

    def significand(*index: Any) -> Expr:
        of_block = step(*index[:-1], index[-1] // block)
        least, most = grid.limits(of_block)
        rounded = grid.rounded(centred(*index), grid.shift(of_block), rounding)
        return _max(_min(rounded, most), least).astype("int8")

    significands = te.compute((*lead, width), significand, name="significands")
    shifts = te.compute(step.shape, lambda *i: grid.shift(step(*i)).astype("int8"), name="shifts")
    return [significands, shifts]


def _max(a: Expr, b: Expr) -> Expr:
    from tvm import tirx

    return tirx.max(a, b)


def _min(a: Expr, b: Expr) -> Expr:
    from tvm import tirx

    return tirx.min(a, b)


class _Grid:
    """The reference's steps as TIR expressions of one type.

    Counts of bits are bounded by a ``min`` that changes nothing: TVM's simplifier takes a bit that is shifted by an
    unbounded count for zero.
    """

    def __init__(self, dtype: str, low: int, high: int, digits: int, top: int) -> None:
        self.bits = self.width(dtype) // 2 + 2
        self.dtype, self.low, self.high, self.digits, self.top = dtype, low, high, digits, top

    def n(self, value: int) -> Expr:
        from tvm import tirx

        return tirx.const(value, self.dtype)

    @staticmethod
    def width(dtype: str) -> int:
        """Bits of a type."""
        return int(dtype.removeprefix("int"))

    def natural(self, value: Expr) -> Expr:
        return _max(value, self.n(0))

    def shift(self, step: Expr) -> Expr:
        """The exponent of a block."""
        return _min(self.natural(step), self.n(self.bits))

    def length(self, magnitude: Expr) -> Expr:
        """Bits of a magnitude; 1 for zero, whose leading zeros LLVM leaves open."""
        from tvm import tirx

        zeros = tirx.clz(magnitude | self.n(1)).astype(self.dtype)
        return _min(self.n(self.width(self.dtype)) - zeros, self.n(self.bits))

    def step(self, greatest: Expr, least: Expr, rule: int) -> Expr:
        """log2 of a step, before any bump."""
        amax = _max(greatest, self.n(0) - least)
        length, precision = self.length(amax), self.digits or self.top + 1
        step = length - self.n(1 + self.top)
        fine, factor = (precision + 1, (1 << (precision + 1)) - 1) if rule == 1 else (self.top + 1, self.high)
        if rule == 0:
            return step
        border = (self.n(factor) << length) + self.n(rule - 1)
        return step + ((amax << self.n(fine)) >= border).astype(self.dtype)

    def bumped(self, step: Expr, ends: tuple[Expr, Expr], rounding: int) -> Expr:
        """One more where an end rounds out of the limits."""
        from tvm import tirx

        least, most = self.limits(step)
        greater, lesser = (self.rounded(end, self.shift(step), rounding) for end in ends)
        return step + tirx.any(greater > most, lesser < least).astype(self.dtype)

    def limits(self, step: Expr) -> tuple[Expr, Expr]:
        """The least and the greatest significand of a block."""
        finer = self.shift(self.n(0) - step)
        return self.n(0) - (self.n(-self.low) >> finer), self.n(self.high) >> finer

    def rounded(self, x: Expr, shift: Expr, rounding: int) -> Expr:
        """``x`` in steps of ``2**shift``."""
        from tvm import tirx

        drop = shift
        if self.digits:
            drop = _max(shift, self.length(tirx.abs(x)) - self.n(self.digits))
        floor = x >> drop
        if rounding != 2:
            carry = {0: floor & self.n(1), 1: self.n(1), 3: (x >= self.n(0)).astype(self.dtype)}[rounding]
            half = (self.n(1) << drop) >> self.n(1)
            floor = (x + self.natural(half + carry - self.n(1))) >> drop
        return floor << (drop - shift) if self.digits else floor
