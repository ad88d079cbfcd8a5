"""The overflow proof: it accepts what fits, refuses what does not, and its bounds are reached by real inputs."""

import numpy as np
import onnx_ir as ir
import pytest

from edgegate import interpreter
from edgegate.errors import CompileError
from edgegate.stages.integer import integer, prove


def matmul(depth: int, weight: int, bias: int = 0) -> ir.Model:
    """x[1, depth] int8 times a constant column."""
    model = ir.from_onnx_text(
        f"""<ir_version: 10, opset_import: ["" : 21, "edgegate" : 1]>
        g (int8[1, {depth}] x) => (int32[1, 1] y)
        <int8[{depth}, 1] w = {{{", ".join([str(weight)] * depth)}}}, int32[1] b = {{{bias}}}>
        {{ y = edgegate.MatMul <a_zero_point: int = 0, b_zero_point: int = 0> (x, w, b) }}"""
    )
    return model


def test_bound_is_reached() -> None:
    """The bound is tight: the worst input attains it."""
    model = matmul(1000, -127, 55)
    proof = prove(model)
    _, low, high, bits = proof.accumulators[0]
    worst = interpreter.run(model, {"x": np.full((1, 1000), -128, np.int8)})["y"]
    assert (high, bits) == (int(worst[0, 0]), 32)
    assert proof.values["y"][0] == 55 - 127 * 127 * 1000
    assert low == -127 * 127 * 1000


def test_one_past_int32_is_refused() -> None:
    """2**31 - 1 is accepted and 2**31 is not."""
    fits = 2**31 - 1 - 127 * 128 * 1000
    prove(matmul(1000, -127, fits))
    with pytest.raises(CompileError, match=r"accumulator reaches .*2147483648.* int32 cannot hold"):
        prove(matmul(1000, -127, fits + 1))


def test_every_foreign_node_is_listed() -> None:
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 21]>
        g (float[4] x) => (float[4] z) { y = Sigmoid (x)  z = Softplus (y) }"""
    )
    with pytest.raises(CompileError) as caught:
        prove(model)
    assert [p.what for p in caught.value.problems] == ["is not in the integer op table"] * 2


def test_rescale_outside_its_domain_is_refused() -> None:
    """A shift of 20 admits values below 2**19 only."""
    text = """<ir_version: 10, opset_import: ["" : 21, "edgegate" : 1]>
        g (int32[4] x) => (int8[4] y) <int32[1] m = {{1073741824}}, int32[1] s = {{{shift}}}>
        {{ y = edgegate.Rescale <input_zero_point: int = 0, output_zero_point: int = 0, low: int = -128,
            high: int = 127, to: int = 3> (x, m, s) }}"""
    assert prove(ir.from_onnx_text(text.format(shift=32))).rescales == 1
    with pytest.raises(CompileError, match="rescaled with shift 31"):
        prove(ir.from_onnx_text(text.format(shift=31)))


WIDE = """<ir_version: 10, opset_import: ["" : 21, "edgegate" : 1]>
    g (int16[1, 4] x) => (int16[1, 1] y)
    <int8[4, 1] w = {{127, 127, 127, 127}}, int64[1] b = {{{bias}}}, int32[1] m = {{32767}}, int32[1] s = {{{shift}}},
     int64[1, 1] a>
    {{ a = edgegate.MatMul16x8 (x, w, b)
       y = edgegate.Rescale <input_zero_point: int = 0, output_zero_point: int = 0, low: int = -32768,
           high: int = 32767, to: int = 5> (a, m, s) }}"""


def test_a_wide_accumulator_may_pass_its_shift_and_saturate() -> None:
    """TOSA bounds a 48-bit accumulator by 48 bits, not by its shift; the clip takes what is too much."""
    model = ir.from_onnx_text(WIDE.format(bias=0, shift=20))
    assert prove(model).accumulators[0][1:3] == (-127 * 32768 * 4, 127 * 32767 * 4)
    (most,) = interpreter.run(model, {"x": np.full((1, 4), 32767, np.int16)}).values()
    (some,) = interpreter.run(model, {"x": np.array([[1000, 0, 0, 0]], np.int16)}).values()
    assert (int(most[0, 0]), int(some[0, 0])) == (32767, (127_000 * 32767 + (1 << 19)) >> 20)


@pytest.mark.parametrize(("bias", "shift", "said"), [
    (1 << 47, 40, r"accumulator reaches .* int48 cannot hold"),
    (0, 7, r"the rescaled value reaches .* int32 cannot hold"),
])  # fmt: skip
def test_a_wide_accumulator_is_refused_past_48_bits_and_its_result_past_32(bias: int, shift: int, said: str) -> None:
    prove(ir.from_onnx_text(WIDE.format(bias=min(bias, 1 << 46), shift=max(shift, 8))))
    with pytest.raises(CompileError, match=said):
        prove(ir.from_onnx_text(WIDE.format(bias=bias, shift=shift)))


def test_small_values_of_16_bits_are_added_in_64() -> None:
    """The width of a sum follows the types, as the programs have it, not the values."""
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 21, "edgegate" : 1]>
        g (int16[4] a, int16[4] b) => (int16[4] z) <int32[1] m = {1073741824}, int32[1] s = {37}> {
            x = edgegate.Rescale <input_zero_point = 0, output_zero_point = 0, low = -100, high = 100, to = 5> (a, m, s)
            y = edgegate.Rescale <input_zero_point = 0, output_zero_point = 0, low = -100, high = 100, to = 5> (b, m, s)
            z = edgegate.Add <a_zero_point = 0, b_zero_point = 0, a_multiplier = 536870912, b_multiplier = 536870912,
                shift = 30, output_zero_point = 0, low = -32768, high = 32767, to = 5> (x, y)
        }"""
    )
    for node, kind in zip(model.graph, (5, 5, 5), strict=True):
        node.outputs[0].dtype, node.outputs[0].shape = ir.DataType(kind), ir.Shape([4])
    (accumulator,) = prove(model).accumulators
    assert accumulator[3] == 64


def test_a_graph_that_cannot_run_in_order_is_no_integer_graph() -> None:
    model = matmul(3, 1)
    integer(model)
    model.graph.outputs[0].name = "x"
    with pytest.raises(CompileError, match="'x': is no name of its own"):
        integer(model)
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 21]>
        g (int8[1] x) => (int8[1] y) { y = Transpose <perm = [0]> (a) a = Transpose <perm = [0]> (x) }"""
    )
    with pytest.raises(CompileError, match="reads a, which nothing before it makes"):
        integer(model)
