from edgegate.passes.share_equal import share_equal
from tests.passes.integer_text import check, ints, rescale, unchanged

TABLE = ints(range(-128, 128))
LAYER = "int8[2,2] {0} = {{1, 2, 3, -4}}, int32[2] {0}b = {{5, 6}}"
ZEROS = "a_zero_point = 3, b_zero_point = 0"


def test_equal_tables_and_weights_are_one():
    """Unlike floats, which are quantized one by one, stored weights may be shared; then two layers are one."""
    model = check(
        share_equal,
        f"""g (int8[128,2] x) => (y)
        <{LAYER.format("v")}, {LAYER.format("w")}, int32[1] m = {{1073741824}}, int32[1] s = {{34}},
         int32[1] n = {{1073741824}}, int8[256] f = {TABLE}, int8[256] g = {TABLE}> {{
            a = edgegate.MatMul <{ZEROS}> (x, v, vb)
            b = edgegate.MatMul <{ZEROS}> (x, w, wb)
            c = {rescale("a", "m, s", at=1)}
            d = {rescale("b", "n, s", at=2)}
            e = edgegate.Table <offset = 128> (c, f)
            h = edgegate.Table <offset = 128> (d, g)
            y = Max (e, h)
        }}""",
        f"""g (int8[128,2] x) => (y)
        <{LAYER.format("v")}, int32[1] m = {{1073741824}}, int32[1] s = {{34}}, int8[256] f = {TABLE}> {{
            a = edgegate.MatMul <{ZEROS}> (x, v, vb)
            c = {rescale("a", "m, s", at=1)}
            d = {rescale("a", "m, s", at=2)}
            e = edgegate.Table <offset = 128> (c, f)
            h = edgegate.Table <offset = 128> (d, f)
            y = Max (e, h)
        }}""",
    )
    assert list(model.graph.initializers) == ["v", "vb", "m", "s", "f"]


def test_nodes_of_several_outputs():
    check(
        share_equal,
        """g (int8[2,6] x) => (y) <int64[2] s = {2, 4}, int64[2] t = {2, 4}> {
            a, b = Split <axis = 1> (x, s)
            c, d = Split <axis = 1> (x, t)
            y = Concat <axis = 1> (a, d)
        }""",
        """g (int8[2,6] x) => (y) <int64[2] s = {2, 4}> {
            a, b = Split <axis = 1> (x, s)
            y = Concat <axis = 1> (a, b)
        }""",
    )


def test_the_name_of_an_output_stays():
    check(
        share_equal,
        "g (int8[2] x, int8[2] z) => (b, c) { a = Max (x, z) b = Max (x, z) c = Max (a, z) }",
        "g (int8[2] x, int8[2] z) => (b, c) { b = Max (x, z) c = Max (b, z) }",
    )


def test_what_differs_stays():
    """Types, shapes, attributes, the order of inputs."""
    unchanged(
        share_equal,
        f"""g (int16[256,2] x, int16[256,2] z) => (y) <int32[1] m = {{1073741824}}, int32[1] s = {{34}}> {{
            a = {rescale("x", "m, s", at=1)}
            b = {rescale("x", "m, s", at=1, low=-127)}
            c = Concat <axis = 1> (x, z)
            d = Concat <axis = 1> (z, x)
            e = Concat <axis = 1> (a, b)
            f = Max (c, d)
            h = {rescale("f", "m, s")}
            y = Max (e, h)
        }}""",
    )
    unchanged(
        share_equal,
        """g (int8[1,4] x) => (y, z, w) <int64[1] i = {1}, int64[1,1] j = {1}, int32[1] k = {1}> {
            y = Gather <axis = 1> (x, i) z = Gather <axis = 1> (x, j) w = Gather <axis = 1> (x, k)
        }""",
    )


def test_two_outputs_stay_two_nodes():
    unchanged(share_equal, "g (int8[2,3] x) => (y, z) { y = Max (x, x) z = Max (x, x) }")
