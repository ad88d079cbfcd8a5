"""Which nodes share a kernel, and which are left to the generic lowering."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from edgegate.targets.schedules import Cpu, kernel, partition
from tests.targets.schedules.kernels import one_group
from tests.targets.schedules.net import Net


def squeeze_excite() -> tuple[Net, ir.Value]:
    """An inverted bottleneck with squeeze-and-excite and a residual: what mobile nets are made of."""
    net = Net()
    x = net.given(net.bytes(2, 6, 6, 16))
    y = net.table(net.rescale(net.conv(x, 40)))
    y = net.table(net.rescale(net.depthwise(y)))
    z = net.rescale(net.op("Sum", y, axes=[1, 2], keepdims=1, input_zero_point=-3), per_channel=False)
    z = net.table(net.rescale(net.conv(z, 10)))
    z = net.table(net.rescale(net.conv(z, 40)), np.uint8)
    return net, net.add(x, net.rescale(net.conv(net.product(y, z, gate_zero_point=0), 16)))


def test_partition_puts_every_node_in_one_group_after_what_it_reads() -> None:
    net, output = squeeze_excite()
    model = net.model(output)
    groups = partition(model)
    names = [[n.op_type for n in g.nodes] for g in groups]
    assert names == [
        ["Conv2d", "Rescale", "Table"], ["DepthwiseConv2d", "Rescale", "Table"], ["Sum", "Rescale"],
        ["Conv2d", "Rescale", "Table"], ["Conv2d", "Rescale", "Table"], ["GatedProduct"], ["Conv2d", "Rescale", "Add"],
    ]  # fmt: skip
    assert sorted(id(n) for g in groups for n in g.nodes) == sorted(id(n) for n in model.graph)
    known = {id(v) for v in (*model.graph.inputs, *model.graph.initializers.values())}
    for group in groups:
        assert all(id(v) in known or group.inside(v) for n in group.nodes for v in n.inputs if v is not None)
        known.update(id(v) for n in group.nodes for v in n.outputs)


def test_a_value_that_others_read_stays_in_memory() -> None:
    net = Net()
    x = net.given(net.bytes(1, 4, 4, 16))
    y = net.rescale(net.conv(x, 16))
    groups = partition(net.model(net.table(y), net.add(y, x)))
    assert [[n.op_type for n in g.nodes] for g in groups] == [["Conv2d", "Rescale"], ["Table"], ["Add"]]


def test_a_side_input_that_is_not_there_yet_does_not_fuse() -> None:
    """A residual computed after the convolution: joining it would make the group wait for itself."""
    net = Net()
    x = net.given(net.bytes(1, 4, 4, 16))
    y = net.rescale(net.conv(x, 16))
    z = net.rescale(net.depthwise(net.table(x)))
    groups = partition(net.model(net.add(y, z)))
    assert [[n.op_type for n in g.nodes] for g in groups] == [
        ["Conv2d", "Rescale"], ["Table"], ["DepthwiseConv2d", "Rescale", "Add"],
    ]  # fmt: skip


REFUSED: dict[str, Callable[[Net], ir.Value]] = {
    "a grouped convolution": lambda net: net.op(
        "Conv2d", net.given(net.bytes(1, 4, 4, 8)), net.weights(8, 1, 1, 4), np.zeros(8, np.int32), pads=[0] * 4,
        strides=[1, 1], dilations=[1, 1], group=2, input_zero_point=0,
    ),
    "a product of two activations": lambda net: net.op(
        "MatMul", net.given(net.bytes(2, 4, 8)), net.given(net.bytes(2, 8, 4)), np.zeros(4, np.int32),
        a_zero_point=0, b_zero_point=0,
    ),
    "a gate per pixel": lambda net: net.product(net.given(net.bytes(1, 4, 4, 8)), net.given(net.bytes(1, 4, 4, 1))),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_schedule_fits_is_left_to_the_generic_lowering(what: str) -> None:
    net = Net()
    assert kernel(one_group(net, REFUSED[what](net)), Cpu()) is None


def test_products_in_blocks_take_what_follows_and_the_second_of_a_pair_the_gate() -> None:
    net = Net()
    given = net.given(net.bytes(2, 64)), net.given(np.ones((2, 2), np.int8))

    def layer() -> ir.Value:
        constants = net.weights(64, 8), np.ones((2, 8), np.int32), np.zeros(8, np.int64)
        return net.rescale(net.op("BlockMatMul", *given, *constants, block=32))

    gate = net.table(layer())
    groups = partition(net.model(net.product(layer(), gate)))
    found = [[n.op_type for n in g.nodes] for g in groups]
    assert found == [["BlockMatMul", "Rescale", "Table"], ["BlockMatMul", "Rescale", "GatedProduct"]]
