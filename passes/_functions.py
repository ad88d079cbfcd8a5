"""The ops that the frontend and the float passes make: what each means, as an ONNX function.

A model with these nodes runs in ONNX Runtime as it stands.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

from edgegate.graph import DOMAIN
from edgegate.ops._logic_body import BODY as LOGIC_BODY

UNARY, GATE = f"{DOMAIN}.unary", f"{DOMAIN}.gate"
"""Domains of scalar functions (one op per function) and of gates."""

_GATE = "<family, activation, value_activation>(value, gate) => (y) { y = Mul (value, gate) }"
_NETWORK = (
    LOGIC_BODY[LOGIC_BODY.index("(x, fanins") :].replace("y = Reshape (kept", "bits_out = Reshape (kept").rstrip("} \n")
)
_NETWORK += """
        y = Cast <to = 1> (bits_out)
    }"""
"""A Logic whose bits are the floats 0.0 and 1.0."""
_BODIES = {
    (DOMAIN, "Linear"): "(x, weight, bias) => (y) { product = MatMul (x, weight) y = Add (product, bias) }",
    (DOMAIN, "Affine"): "<axis>(x, scale, bias) => (y) { product = Mul (x, scale) y = Add (product, bias) }",
    (DOMAIN, "FakeQuantize"): """<low, high>(x, scale, zero_point, least, most) => (y) {
        stored = QuantizeLinear (x, scale, zero_point)
        real = DequantizeLinear (stored, scale, zero_point)
        y = Clip (real, least, most)
    }""",
    (DOMAIN, "InBlocks"): "<format>(x) => (y) { y = Identity (x) }",
    (DOMAIN, "Transform"): """<kind>(x, matrices) => (y) {
        lead = Shape <start = 0, end = -1> (x)
        channels = Shape <start = -1> (x)
        size = Shape <start = 2> (matrices)
        one = Constant <value_ints = [-1]> ()
        blocks = Div (channels, size)
        dims = Concat <axis = 0> (one, blocks, size)
        split = Reshape (x, dims)
        turned = Transpose <perm = [1, 0, 2]> (split)
        columns = Transpose <perm = [0, 2, 1]> (matrices)
        products = MatMul (turned, columns)
        back = Transpose <perm = [1, 0, 2]> (products)
        whole = Concat <axis = 0> (lead, channels)
        y = Reshape (back, whole)
    }""",
    (DOMAIN, "Lut"): """(x, indices, tables) => (y) {
        read = Gather <axis = -1> (x, indices)
        true = Cast <to = 9> (read)
        bits = Cast <to = 7> (true)
        zero = Constant <value_int = 0> ()
        one = Constant <value_int = 1> ()
        two = Constant <value_int = 2> ()
        last = Constant <value_ints = [-1]> ()
        shape = Shape (indices)
        count = Gather (shape, zero)
        width = Gather (shape, one)
        places = Range (zero, width, one)
        powers = Pow (two, places)
        terms = Mul (bits, powers)
        address = ReduceSum <keepdims = 0> (terms, last)
        rows = Range (zero, count, one)
        size = Pow (two, width)
        starts = Mul (rows, size)
        entry = Add (address, starts)
        flat = Reshape (tables, last)
        found = Gather (flat, entry)
        y = Cast <to = 1> (found)
    }""",
    (DOMAIN, "GroupSum"): """<groups, tau, beta>(x) => (y) {
        number = Constant <value_int: int = @groups> ()
        last = Constant <value_ints = [-1]> ()
        zero = Constant <value_ints = [0]> ()
        count = Reshape (number, last)
        bits = Shape <start = -1> (x)
        turned = Neg (bits)
        missing = Mod (turned, count)
        pads = Concat <axis = 0> (zero, missing)
        padded = Pad (x, pads, , last)
        lead = Shape <end = -1> (x)
        split = Concat <axis = 0> (lead, count, last)
        members = Reshape (padded, split)
        sums = ReduceSum <keepdims = 0> (members, last)
        temperature = Constant <value_float: float = @tau> ()
        offset = Constant <value_float: float = @beta> ()
        shifted = Add (sums, offset)
        y = Div (shifted, temperature)
    }""",
    (DOMAIN, "Threshold"): """(x, thresholds) => (y) {
        last = Constant <value_ints = [-1]> ()
        each = Unsqueeze (x, last)
        above = Greater (each, thresholds)
        y = Cast <to = 1> (above)
    }""",
    (DOMAIN, "Network"): _NETWORK,
    (DOMAIN, "HardGate"): """<bounds, strict, below>(z, limit) => (y) {
        above = Greater (z, limit)
        turn = Constant <value_int: int = @below> ()
        turned = Cast <to = 9> (turn)
        y = Xor (above, turned)
    }""",
    (DOMAIN, "RowNorm"): """<epsilon, centre, mean>(x) => (y) {
        last = Constant <value_ints = [-1]> ()
        one_float = Constant <value_float = 1.0> ()
        least_float = Constant <value_float = 1e-30> ()
        more_float = Constant <value_float: float = @epsilon> ()
        one = CastLike (one_float, x)
        least = CastLike (least_float, x)
        more = CastLike (more_float, x)
        centred = Constant <value_int: int = @centre> ()
        averaged = Constant <value_int: int = @mean> ()
        with_centre = CastLike (centred, x)
        with_mean = CastLike (averaged, x)
        middle = ReduceMean <keepdims = 1> (x, last)
        off = Mul (middle, with_centre)
        c = Sub (x, off)
        squares = Mul (c, c)
        sum = ReduceSum <keepdims = 1> (squares, last)
        dims = Shape <start = -1> (x)
        size = CastLike (dims, x)
        others = Sub (size, one)
        counted = Mul (others, with_mean)
        count = Add (counted, one)
        average = Div (sum, count)
        raised = Add (average, more)
        root = Sqrt (raised)
        divisor = Max (root, least)
        y = Div (c, divisor)
    }""",
    (DOMAIN, "MaskedSoftmax"): """<axis>(x, keep) => (y) {
        axis_number = Constant <value_int: int = @axis> ()
        one = Constant <value_ints = [1]> ()
        axes = Reshape (axis_number, one)
        zero_float = Constant <value_float = 0.0> ()
        hidden_float = Constant <value_float = -3e38> ()
        least_float = Constant <value_float = 1e-30> ()
        zero = CastLike (zero_float, x)
        hidden = CastLike (hidden_float, x)
        least = CastLike (least_float, x)
        seen = Where (keep, x, hidden)
        top = ReduceMax <keepdims = 1> (seen, axes)
        off = Sub (x, top)
        below = Min (off, zero)
        exponential = Exp (below)
        kept = Where (keep, exponential, zero)
        sum = ReduceSum <keepdims = 1> (kept, axes)
        divisor = Max (sum, least)
        y = Div (kept, divisor)
    }""",
    (DOMAIN, "StageGate"): "(x, passed) => (y) { y = Identity (x) }",
    (GATE, "Paired"): _GATE,
    (GATE, "Masked"): _GATE,
    (GATE, "Reduce"): _GATE,
    (GATE, "Product"): _GATE,
}


def declare(model: ir.Model, domain: str, name: str) -> None:
    """Make sure that the model says what ``domain::name`` means; call it before making such a node."""
    text = _BODIES[domain, name]
    opset = model.opset_imports[""]
    header = f'<domain: "{domain}", opset_import: ["" : {opset}]>'
    add(model, ir.from_proto(onnx.parser.parse_function(f"{header} {name} {text}")))


def add(model: ir.Model, function: ir.Function) -> None:
    """Add ``function`` to the model, with its opset import, unless one of its name is there."""
    model.opset_imports.setdefault(function.domain, 1)
    model.functions.setdefault(function.identifier(), function)
