import onnx
import onnx_ir as ir

from edgegate.ops import OWN
from edgegate.passes.drop_unread import drop_unread
from tests.passes.integer_text import check, parse, rescale, unchanged

FACTOR = "int32[1] m = {1073741824}, int32[1] s = {33}"


def test_what_no_output_needs_goes():
    model = check(
        drop_unread,
        f"""g (int8[2,4] x) => (y) <{FACTOR}, int32[1] n = {{1073741824}}, int8[2] lost = {{1, 2}}> {{
            a = {rescale("x", "m, s")}
            b = {rescale("x", "n, s", at=1)}
            c = Max (a, b)
            y = Max (a, x)
        }}""",
        f"g (int8[2,4] x) => (y) <{FACTOR}> {{ a = {rescale('x', 'm, s')} y = Max (a, x) }}",
    )
    assert list(model.graph.initializers) == ["m", "s"]


def test_once_is_enough():
    model = parse("g (int8[4] x) => (y) { a = Max (x, x) b = Max (a, a) c = Max (b, b) y = Max (x, x) }")
    drop_unread(model)
    assert len(model.graph) == 1


def test_the_edge_of_an_unread_input_stays():
    """It says how the input is stored; a QuantizeLinear is an input's alone."""
    edge = "<float scale = {0.5}, int8 zero = {3}>"
    before = f"""g (float[2] x, float[2] u) => (float[2] y) {edge} {{
        a = QuantizeLinear (x, scale, zero) b = QuantizeLinear (u, scale, zero) y = DequantizeLinear (a, scale, zero)
    }}"""
    model = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : 21]> {before}')
    drop_unread(model)
    assert [n.op_type for n in model.graph] == ["QuantizeLinear", "QuantizeLinear", "DequantizeLinear"]


def test_one_output_of_several_is_read():
    unchanged(
        drop_unread,
        "g (int8[2,4] x) => (y) <int64[2] n = {1, 3}> { y, z = Split <axis = 1> (x, n) }",
    )


def test_functions_that_no_node_needs_go():
    """A GatedProduct's body needs Rescale."""
    model = parse(
        f"""g (int8[2,4] x) => (y) <{FACTOR}> {{
            y = edgegate.GatedProduct <value_zero_point = 0, gate_zero_point = 0, output_zero_point = 0, low = -128,
                high = 127, to = 3> (x, x, m, s)
        }}"""
    )
    for op in OWN:
        function = ir.serde.deserialize_function(onnx.parser.parse_function(op.body))
        model.functions[function.identifier()] = function
    drop_unread(model)
    assert {name for _, name, _ in model.functions} == {"GatedProduct", "Rescale"}
