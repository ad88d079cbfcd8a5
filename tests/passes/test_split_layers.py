import numpy as np
import pytest

from edgegate.graph import LAYER
from edgegate.passes import run
from edgegate.passes.split_layers import split_layers
from edgegate.stages import integer
from tests.passes.integer_text import check, ints, parse, rescale, unchanged

RNG = np.random.default_rng(0)
PLANE = "pads = [1, 0, 0, 1], strides = [1, 2], dilations = [2, 1], group = 1"
LINE = "pads = [2, 0], stride = [1], dilation = [1], group = 1"
SIZES = "int64[2] sizes = {2, 3}"


def constant(kind: str, name: str, data: np.ndarray) -> str:
    return f"{kind}[{','.join(map(str, data.shape))}] {name} = {ints(data)}"


def layer(dims: tuple[int, ...], axis: int, wide: str = "int32") -> list[str]:
    """Weights, bias, multiplier and shift of five output channels: whole, the first two, the last three."""
    weight, bias = RNG.integers(-127, 128, dims), RNG.integers(-99, 100, 5)
    least, bits = (30, 36) if wide == "int32" else (14, 50)
    multiplier, shift = RNG.integers(1 << least, 2 << least, 5), RNG.integers(bits, bits + 4, 5)
    texts = []
    for name, part in (("", range(5)), ("v", [0, 1]), ("g", [2, 3, 4])):
        arrays = (("int8", "w", weight.take(part, axis)), (wide, "b", bias[part]))
        scaling = (("int32", "m", multiplier[part]), ("int32", "s", shift[part]))
        texts.append(", ".join(constant(kind, name + key, data) for kind, key, data in (*arrays, *scaling)))
    return texts


@pytest.mark.parametrize(
    ("given", "op", "dims", "axis", "wide"),
    [
        ("int8[1,5,4,3] x", f"Conv2d <{PLANE}, input_zero_point = -7>", (5, 2, 2, 3), 0, "int32"),
        ("int16[1,5,4,3] x", f"Conv2d16x8 <{PLANE}>", (5, 2, 2, 3), 0, "int64"),
        ("int8[2,6,3] x", f"Conv1d <{LINE}, input_zero_point = 9>", (5, 3, 3), 0, "int32"),
        ("int8[2,6,3] x", "MatMul <a_zero_point = -128, b_zero_point = 0>", (3, 5), 1, "int32"),
        ("int8[2,6,3] x", "MatMul <a_zero_point = -128, b_zero_point = 1>", (2, 3, 5), 2, "int32"),
        ("int16[2,6,3] x", "MatMul16x8", (3, 5), 1, "int64"),
    ],
)
def test_value_and_gate(given, op, dims, axis, wide):
    """Every layer with its rescales, one factor a channel."""
    name, rank = op.split()[0].lower(), given.count(",") + 1
    whole, value, gate = layer(dims, axis, wide)
    check(
        split_layers,
        f"""g ({given}) => (y, z) <{whole}, {SIZES}> {{
            a = edgegate.{op} (x, w, b)
            r = {rescale("a", "m, s", at=5)}
            y, z = Split <axis = {rank - 1}> (r, sizes)
        }}""",
        f"""g ({given}) => (y, z) <{value}, {gate}> {{
            y_{name} = edgegate.{op} (x, vw, vb)
            z_{name} = edgegate.{op} (x, gw, gb)
            y = {rescale(f"y_{name}", "vm, vs", at=5)}
            z = {rescale(f"z_{name}", "gm, gs", at=5)}
        }}""",
    )


def test_accumulators_are_split():
    """No Rescale is needed, and one value that others read on is fine."""
    whole, value, gate = layer((3, 5), 1)
    op = "edgegate.MatMul <a_zero_point = 0, b_zero_point = 0>"
    check(
        split_layers,
        f"""g (int8[2,3] x) => (p, q) <{whole}, {SIZES}> {{
            a = {op} (x, w, b)
            y, z = Split <axis = -1> (a, sizes)
            p = Concat <axis = 1> (y, z) q = Concat <axis = 1> (z, y)
        }}""",
        f"""g (int8[2,3] x) => (p, q) <{value}, {gate}> {{
            y = {op} (x, vw, vb)
            z = {op} (x, gw, gb)
            p = Concat <axis = 1> (y, z) q = Concat <axis = 1> (z, y)
        }}""",
    )


def test_what_is_done_to_single_elements_is_done_to_the_parts():
    """One factor for all channels, and a table, are shared by the parts."""
    whole, value, gate = layer((3, 5), 1)
    op = "edgegate.MatMul <a_zero_point = 0, b_zero_point = 0>"
    table = (
        f"int8[256] f = {ints(RNG.integers(-128, 128, 256))}, int32[1] one = {{1073741824}}, int32[1] shift = {{37}}"
    )
    check(
        split_layers,
        f"""g (int8[2,3] x) => (y, z) <{whole}, {SIZES}, {table}> {{
            a = {op} (x, w, b)
            c = {rescale("a", "one, shift")}
            d = edgegate.Table <offset = 128> (c, f)
            y, z = Split <axis = 1> (d, sizes)
        }}""",
        f"""g (int8[2,3] x) => (y, z) <{value}, {gate}, {table}> {{
            y_matmul = {op} (x, vw, vb)
            z_matmul = {op} (x, gw, gb)
            y_rescale = {rescale("y_matmul", "one, shift")}
            z_rescale = {rescale("z_matmul", "one, shift")}
            y = edgegate.Table <offset = 128> (y_rescale, f)
            z = edgegate.Table <offset = 128> (z_rescale, f)
        }}""",
    )


def test_splits_of_splits():
    whole, _, _ = layer((3, 5), 1)
    model = parse(
        f"""g (int8[2,3] x) => (y, u, v) <{whole}, {SIZES}, int64[2] more = {{1, 2}}> {{
            a = edgegate.MatMul <a_zero_point = 0, b_zero_point = 0> (x, w, b)
            y, z = Split <axis = 1> (a, sizes)
            u, v = Split <axis = 1> (z, more)
        }}"""
    )
    run(model, [split_layers], integer)
    assert [(n.op_type, n.outputs[0].name) for n in model.graph] == [("MatMul", name) for name in "yuv"]


def test_parts_know_their_layer_and_share_no_name():
    """A name that is taken already gets a number."""
    whole, _, _ = layer((3, 5), 1)
    model = parse(
        f"""g (int8[2,3] x) => (y, z, y_matmul) <{whole}, {SIZES}> {{
            y_matmul = Max (x, x)
            a = edgegate.MatMul <a_zero_point = 0, b_zero_point = 0> (x, w, b)
            r = {rescale("a", "m, s")}
            y, z = Split <axis = 1> (r, sizes)
        }}"""
    )
    for node in model.graph:
        node.metadata_props[LAYER] = node.op_type
        node.outputs[0].name = str(node.outputs[0].name).replace("y_", "y.")
    run(model, [split_layers], integer)
    assert [n.metadata_props[LAYER] for n in model.graph] == ["Max", "MatMul", "MatMul", "Rescale", "Rescale"]
    assert [n.outputs[0].name for n in model.graph] == ["y.matmul", "y.matmul_1", "z.matmul", "y", "z"]


def _split(layer_: str, between: str = "r = Max (a, a)", axis: int = 3, outputs: str = "y, z") -> str:
    weights, bias = np.arange(4 * 36) % 7 - 3, np.arange(4)
    constants = [
        constant("int8", "w", weights.reshape(4, 3, 3, 4)),
        constant("int8", "half", weights[:72].reshape(4, 3, 3, 2)),
        constant("int8", "each", weights[:36].reshape(3, 3, 4, 1)),
        constant("int32", "b", bias),
        "int8[4,1] one = {1, 2, 3, 4}, int32[1] first = {5}, int32[4] ms = {1073741824, 0, 1073741824, 0}",
        "int32[4] shifts = {34, 34, 34, 34}",
        "int64[2] sizes = {2, 2}, int32[1] m = {1073741824}, int32[1] s = {34}, int64[4] same = {1, 4, 4, 4}",
    ]
    return f"""g (int8[1,4,4,4] x, int8[4,4] k) => ({outputs}) <{", ".join(constants)}> {{
        a = edgegate.{layer_}
        {between}
        y, z = Split <axis = {axis}> (r, sizes)
    }}"""


SAME = "pads = [1, 1, 1, 1], strides = [1, 1], dilations = [1, 1], input_zero_point = 0"
CONV = f"Conv2d <{SAME}, group = 1> (x, w, b)"
SCALED = "r = " + rescale("a", "m, s")


@pytest.mark.parametrize(
    "text",
    [
        _split(CONV, SCALED, axis=2),
        _split(CONV, SCALED, outputs="r, y, z"),
        _split(CONV, SCALED, outputs="a, y, z"),
        _split(CONV, SCALED + " c = Concat <axis = 0> (a, a)", outputs="c, y, z"),
        _split(CONV, "c = Reshape (a, same) " + SCALED.replace("(a", "(c")),
        _split(CONV),
        _split(f"Conv2d <{SAME}, group = 2> (x, half, b)", SCALED),
        _split(f"DepthwiseConv2d <{SAME}, group = 4> (x, each, b)", SCALED),
        _split("MatMul <a_zero_point = 0, b_zero_point = 0> (x, k, b)", SCALED),
        _split("MatMul <a_zero_point = 0, b_zero_point = 0> (x, one, first)", "r = " + rescale("a", "ms, shifts")),
        _split("Sum <axes = [0], keepdims = 1, input_zero_point = 0> (x)", SCALED),
    ],
)
def test_what_stays(text):
    """Other axes and readers, moves between, groups, channels alone, weights of run time, one channel made many."""
    unchanged(split_layers, text)
