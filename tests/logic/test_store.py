"""The file of imported netlists in an artifact."""

import io

import numpy as np
import pytest

from edgegate import _npz
from edgegate.errors import FileError, UnsafeError
from edgegate.logic import GroupSum, store
from tests.logic.circuits import layers, tables_of

NAME = "/net/0/inputs/Logic"


def nodes():
    first, second = layers(np.random.default_rng(0), 8, [10, 10]), tables_of(np.random.default_rng(1), 4, 9, 6)
    sums = GroupSum.contiguous(10, 3)
    return {
        NAME: store.Imported(netlist=first, claims=first.outputs, sums=sums),
        "b": store.Imported(netlist=second, claims=second.outputs),
    }


def arrays():
    return _npz.unpack(store.pack(nodes()))


def fields(value):
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(value).items()}


def test_a_round_trip():
    before, data = nodes(), store.pack(nodes())
    after = store.unpack(data)
    assert [*after] == [*before] and store.pack(after) == data
    for name, node in before.items():
        assert fields(after[name].netlist) == fields(node.netlist)
        assert after[name].claims.tolist() == node.claims.tolist()
    assert fields(after[NAME].sums) == fields(before[NAME].sums) and after["b"].sums is None
    assert store.unpack(store.pack({})) == {}


@pytest.mark.parametrize("key", [*store.NETLIST, *store.SUMS])
def test_a_missing_array(key):
    left = {name: array for name, array in arrays().items() if name != f"{NAME}/{key}"}
    with pytest.raises(FileError, match=r"is missing|belongs to no node"):
        store.unpack(_npz.pack(left))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("inputs", np.int64(-1)),
        ("inputs", np.int64(1 << 40)),
        ("inputs", np.float64(8)),
        ("inputs", np.zeros(1, np.int64)),
        ("fanins", np.full((20, 2), 99, np.int32)),
        ("fanins", np.zeros((20, 2), ">i4")),
        ("fanins", np.zeros((20, 7), np.int32)),
        ("tables", np.full(20, 16, np.uint64)),
        ("outputs", np.full(10, 1000, np.int32)),
        ("claims", np.full(10, -1, np.int32)),
        ("claims", np.zeros(9, np.int32)),
        ("claims", np.zeros((10, 1), np.int32)),
        ("claims", np.zeros(10)),
        ("sums/bits", np.int64(9)),
        ("sums/member", np.full(10, 10, np.int32)),
        ("sums/weight", np.zeros(10, np.int32)),
    ],
)
def test_values_that_no_netlist_has(key, value):
    with pytest.raises(FileError, match=f"^node '{NAME}': "):
        store.unpack(_npz.pack(arrays() | {f"{NAME}/{key}": np.asarray(value)}))


def test_arrays_left_over():
    with pytest.raises(FileError, match="array 'b/sums/group' belongs to no node"):
        store.unpack(_npz.pack(arrays() | {"b/sums/group": np.zeros(1, np.int32)}))


def test_no_such_file():
    with pytest.raises(FileError):
        store.unpack(b"PK\x03\x04")
    with pytest.raises(FileError):
        store.unpack(store.pack(nodes())[:-100])


def test_objects_are_refused():
    stream = io.BytesIO()
    np.savez(stream, inputs=np.array([{}], object))
    with pytest.raises(UnsafeError):
        store.unpack(stream.getvalue())
