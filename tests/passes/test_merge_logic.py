"""All logic of a graph in one node: what the networks of layers, moves, pools and comparisons become."""

import numpy as np
import onnx_ir as ir
import pytest

from edgegate import interpreter, stages
from edgegate.graph import shape
from edgegate.logic import Netlist
from edgegate.ops.logic import layered, netlist_of
from edgegate.passes.merge_logic import merge_logic
from tests.integer_logic import gates
from tests.integer_net import Net


def merged(net: Net, *outputs: ir.Value) -> list[str]:
    """The types of the nodes that ``merge_logic`` leaves of ``net``, whose values must stay."""
    net.graph.outputs.extend(outputs)
    model = ir.Model(net.graph, ir_version=10)
    feeds = [{str(v.name): net.samples[v][i] for v in model.graph.inputs} for i in range(len(net.samples[outputs[0]]))]
    before = [interpreter.run(model, feed) for feed in feeds]
    stages.integer(model)
    merge_logic(model)
    stages.integer(model)
    for feed, wanted in zip(feeds, before, strict=True):
        found = interpreter.run(model, feed)
        assert list(found) == list(wanted)
        for name, array in wanted.items():
            np.testing.assert_array_equal(found[name], array)
    return [n.op_type for n in model.graph]


def bits(net: Net, *dims: int) -> ir.Value:
    """A graph input of bits, some of them bytes other than 1."""
    value = net._value("x", [net.data.choice([0, 1, 200], dims).astype(np.uint8) for _ in range(3)])
    net.graph.inputs.append(value)
    return value


@pytest.fixture(params=[1, 4], ids="batch{}".format)
def batch(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_layers_are_one_network(batch: int) -> None:
    net = Net(1)
    x = gates(net, gates(net, gates(net, bits(net, batch, 9))))
    assert merged(net, x) == ["Logic"]


def test_one_network_stays_as_it_is(batch: int) -> None:
    net = Net(2)
    x = gates(net, bits(net, batch, 9))
    node = x.producer()
    assert merged(net, x) == ["Logic"]
    assert x.producer() is node


def test_moves_between_layers_go(batch: int) -> None:
    net = Net(3)
    x = gates(net, net.reshape(bits(net, batch, 2, 3, 4), batch, 6, 4))
    turned = net.move("Transpose", [x], perm=[0, 2, 1])
    both = net.move("Concat", [turned, turned], axis=2)
    x = gates(net, net.reshape(both, batch, 12 * shape(x)[2]))
    assert set(merged(net, x)) <= {"Logic", "Reshape"}


def test_pools_of_bits_are_gates(batch: int) -> None:
    net = Net(4)
    x = gates(net, bits(net, batch, 5, 6, 4))
    settings = {"kernel": [3, 3], "pads": [1, 1, 0, 0], "strides": [2, 2], "dilations": [1, 1]}
    pooled = net.one("MaxPool2d", [x], settings)
    least = net.one("ReduceMin", [pooled], {"axes": [1, 2], "keepdims": 0})
    assert set(merged(net, gates(net, least), pooled)) <= {"Logic", "Reshape", "Split"}


def test_a_pool_of_an_input_is_none() -> None:
    """Its bytes may be other than 0 and 1, and the greatest of them is an output as well."""
    net = Net(5)
    x = bits(net, 1, 5, 6, 4)
    settings = {"kernel": [2, 2], "pads": [0, 0, 0, 0], "strides": [2, 2], "dilations": [1, 1]}
    pooled = net.one("MaxPool2d", [x], settings)
    assert "MaxPool2d" in merged(net, gates(net, pooled), pooled)


def test_constant_bits_are_constants(batch: int) -> None:
    net = Net(6)
    zeros = net.constant(np.zeros((batch, 2), np.uint8))
    x = net.move("Concat", [gates(net, bits(net, batch, 4)), zeros], axis=1)
    assert merged(net, gates(net, x)) == ["Logic"]


def test_bits_that_differ_between_samples_go_in() -> None:
    net = Net(7)
    odd = net.constant(np.array([[0, 1], [1, 1], [1, 0]], np.uint8))
    x = net.move("Concat", [gates(net, bits(net, 3, 4)), odd], axis=1)
    assert merged(net, gates(net, x)) == ["Logic", "Concat", "Logic"]


def test_moves_across_samples_stay() -> None:
    net = Net(8)
    x = gates(net, bits(net, 4, 6))
    back = net.move("Gather", [x, net.constant(np.array([3, 2, 1, 0], np.int64))], axis=0)
    assert merged(net, gates(net, back)) == ["Logic", "Gather", "Logic"]


def test_what_stands_between_keeps_networks_apart(batch: int) -> None:
    """Counts of one network's bits, compared, are read by the other; bits that pass by go around."""
    net = Net(9)
    first = gates(net, gates(net, bits(net, batch, 9)))
    size = shape(first)[1]
    zero, one = np.zeros(size, np.int32), np.ones(size, np.int32)
    terms = [zero, np.arange(size, dtype=np.int32), one, np.zeros(1, np.int32)]
    counts = net.one("GroupSum", [first, *map(net.constant, terms)])
    above = net.reshape(net.one("Threshold", [counts, net.constant(np.array([[2, 4]], np.int32))]), batch, 2)
    x = gates(net, net.move("Concat", [above, first], axis=1))
    kinds = merged(net, x)
    assert kinds.count("Logic") == 2 and "GroupSum" in kinds


def test_inverted_and_constant_literals_change_tables() -> None:
    """A network whose outputs are inverted, constant and passed through, and one that reads all of them."""
    net = Net(10)
    x = bits(net, 1, 2)
    one = np.array([[1, 2]], np.int32)
    inner = Netlist(inputs=2, fanins=one, tables=np.array([8], np.uint64), outputs=np.array([7, 1, 0, 3, 4], np.int32))
    every = np.array([[1, 2, 3], [3, 4, 5], [5, 1, 2]], np.int32)
    tables, outputs = np.array([0x1E, 0xCA, 0x35], np.uint64), np.array([12, 14, 16], np.int32)
    outer = Netlist(inputs=5, fanins=every, tables=tables, outputs=outputs)
    made = net.one("Logic", [x, *map(net.constant, layered(inner))])
    y = net.one("Logic", [made, *map(net.constant, layered(outer))])
    assert merged(net, y) == ["Logic"]
    (node,) = net.graph
    assert netlist_of(node).gates == 4
