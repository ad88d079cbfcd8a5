"""AIGER files: what the format says, round trips, and files that mean harm."""

import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.errors import FileError, UnsafeError
from edgegate.logic import aiger, evaluate
from edgegate.logic.circuit import Circuit
from tests.logic.circuits import error_of, every, layers, random_bits, tables_of

HALF_ADDER = b"aag 7 2 0 2 3\n2\n4\n6\n12\n6 13 15\n12 2 4\n14 3 5\ni0 x\ni1 y\no0 s\no1 c\nc\nany \xff text\n"
"""From the format's own report, section 2; its ANDs read ones that come later."""
TOGGLE = b"aag 7 2 1 2 4\n2\n4\n6 8\n6\n7\n8 4 10\n10 13 15\n12 2 6\n14 3 7\n"
"""A flip-flop with enable and reset, same source."""


def test_a_half_adder():
    circuit = aiger.read(HALF_ADDER)
    assert (circuit.inputs, circuit.outputs, circuit.latches) == (("x", "y"), ("s", "c"), ())
    assert evaluate(circuit.netlist, every(2)).tolist() == [[0, 0], [1, 0], [1, 0], [0, 1]]


def test_a_latch():
    circuit = aiger.read(TOGGLE)
    assert (circuit.latches, circuit.resets, circuit.outputs) == (("l0",), (0,), ("o0", "o1"))
    enable, reset, state = every(3).T
    expected = np.stack([state, 1 - state, reset & (state ^ enable)], 1)
    assert (evaluate(circuit.netlist, every(3)) == expected).all()


def test_bytes_of_the_binary_format():
    """A half adder by hand: differences 2 2, 3 2 and 1 2 as single bytes."""
    circuit = aiger.read(b"aig 5 2 0 2 3\n10\n6\n\x02\x02\x03\x02\x01\x02i0 x\ni1 y\n")
    assert evaluate(circuit.netlist, every(2)).tolist() == [[0, 0], [1, 0], [1, 0], [0, 1]]


@pytest.mark.parametrize("reset", [b"", b" 0", b" 1"])
def test_resets(reset):
    text, bits = (
        aiger.read(b"aag 1 0 1 1 0\n2 3" + reset + b"\n2\n"),
        aiger.read(b"aig 1 0 1 1 0\n3" + reset + b"\n2\n"),
    )
    assert text.resets == bits.resets == (int(reset or 0),)
    assert evaluate(text.netlist, every(1)).tolist() == evaluate(bits.netlist, every(1)).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("binary", [True, False])
@settings(max_examples=40)
@given(seed=st.integers(0, 1 << 30), k=st.integers(1, 6), latches=st.integers(0, 3))
def test_round_trips(binary, seed, k, latches):
    rng = np.random.default_rng(seed)
    netlist = tables_of(rng, 5, 12, k)
    names = [f"a[{i}]" for i in range(8)]
    circuit = Circuit(
        netlist=netlist, inputs=tuple(names[: 5 - latches]), latches=tuple(f"r.{i}" for i in range(latches)),
        outputs=tuple(names[: 8 - latches]), resets=tuple(rng.integers(0, 2, latches).tolist()),
    )  # fmt: skip
    data = aiger.write(circuit, binary=binary, comment="made\nhere")
    back = aiger.read(data)
    assert replace(back, netlist=netlist).__dict__ == circuit.__dict__
    assert (evaluate(back.netlist, every(5)) == evaluate(netlist, every(5))).all()
    assert aiger.write(back, binary=binary, comment="made\nhere") == data


def test_a_large_file_is_read_fast():
    rng = np.random.default_rng(0)
    netlist = layers(rng, 400, [13_000] * 4)
    bits = random_bits(rng, 400, 1)
    for binary in (True, False):
        data = aiger.write(Circuit.of(netlist), binary=binary)
        begun = time.process_time()
        circuit = aiger.read(data)
        assert circuit.netlist.gates > 38_000 and time.process_time() - begun < 1
        assert (evaluate(circuit.netlist, bits) == evaluate(netlist, bits)).all()


def test_a_chain_written_backwards():
    """100,000 gates deep, each line reads the next: no recursion, no quadratic time."""
    n = 100_000
    lines = [f"{2 * i} {2 * (i + 1)} {2 * (i + 1)}" for i in range(2, n + 2)]
    circuit = aiger.read(f"aag {n + 2} 1 0 1 {n}\n{2 * (n + 2)}\n4\n".encode() + "\n".join(lines).encode() + b"\n")
    assert circuit.netlist.depth == n


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "line 1: no AIGER header"),
        (b"\x00\xff", "line 1: no AIGER header"),
        (b"aag 1 1 0 0\n", "line 1: no AIGER header"),
        (b"aag 1 1 0 0 0 0 0 0 0 0\n", "line 1: no AIGER header"),
        (b"aag 1 1 0 0 0 2\n2\n", "line 1: 2 bad states"),
        (b"aag 1 1 0 0 0 0 0 0 1\n2\n", "line 1: 1 fairness constraints"),
        (b"aag 9999999999 1 0 0 0\n2\n", "line 1: a largest variable"),
        (b"aag 0 1 0 0 0\n2\n", "line 1: a largest variable"),
        (b"aig 3 1 0 0 1\n\x01\x01", "line 1: binary files number without gaps"),
        (b"aag 2 2 0 0 0\n2\n 4\n", "line 3: expected 1 numbers"),
        (b"aag 2 2 0 0 0\n2\n2\n", "literal 2 is defined twice"),
        (b"aag 2 2 0 0 0\n2\n3\n", "literal 3 defines no variable"),
        (b"aag 2 2 0 0 0\n2\n0\n", "literal 0 defines no variable"),
        (b"aag 2 2 0 0 0\n2\n8\n", "literal 8 defines no variable"),
        (b"aag 2 2 0 0 0\n2\n9999999999\n", "line 3: literals end"),
        (b"aag 3 1 0 2 0\n2\n2\n6\n", "line 4: literal 6 is of a variable that nothing defines"),
        (b"aag 3 1 0 0 2\n2\n4 2 2\n6 4 8\n", "line 4: literal 8 is of a variable that nothing defines"),
        (b"aag 3 1 0 0 2\n2\n4 2 6\n6 4 2\n", "line [34]: this AND gate reads itself"),
        (b"aag 2 1 0 0 1\n2\n4 2 5\n", "line 3: this AND gate reads itself"),
        (b"aag 1 0 1 0 0\n2 2 2\n", "line 2: a latch must start as 0 or 1, not as 2"),
        (b"aag 1 0 1 0 0\n2\n   \n", "line 2: no latch"),
        (b"aag 1 1 0 1 0\n2\n2", None),
        (b"aag 1 1 0 1 0\n2\n\n\n", "line 3: expected 1 numbers"),
        (b"aag 3 1 0 0 2\n2\n4 2 2\naaaaaaaa", "line 4: expected 3 numbers"),
        (b"aag 1 1 0 0 0\n2\ni1 x\n", "line 3: no symbol"),
        (b"aag 1 1 0 0 0\n2\ni0 x\ni0 y\n", "line 4: no symbol"),
        (b"aag 1 1 0 0 0\n2\ni0 \xc3\xa9\n", "line 3: a name is printable ASCII"),
        (b"aag 1 1 0 0 0\n2\ni0 a b\n", "line 3: a name is printable ASCII"),
        (b"aag 2 2 0 0 0\n2\n4\ni0 x\ni1 x\n", "two signals are named 'x'"),
        (b"aag 2 2 0 0 0\n2\n4\ni0 i1\n", "two signals are named 'i1'"),
        (b"aig 2 1 0 0 1\n\x82\x80", "byte 14: truncated: 0 of 1 AND"),
        (b"aig 2 1 0 0 1\n\x80\x80\x80\x80\x80\x01\x01", "byte 14: AND gate 0: a difference of more"),
        (b"aig 2 1 0 0 1\n\x00\x01", "byte 14: AND gate 0 reads"),
        (b"aig 2 1 0 0 1\n\x01\x7f", "byte 14: AND gate 0 reads"),
        (b"aig 2 1 0 0 1\n\x01\x01what\n", "byte 21: no symbol"),
    ],
)
def test_broken_files(data, what):
    if what is None:
        assert aiger.read(data).netlist.inputs == 1
        return
    with pytest.raises(FileError, match=f"^{what}"):
        aiger.read(data)


@pytest.mark.parametrize(
    "header",
    ["aag 1000000000 1000000000 0 0 0", "aig 900000000 900000000 0 0 0", "aig 900000000 1 0 0 899999999",
     "aag 900000000 0 900000000 0 0", "aig 1 1 0 1000000000 0"],
)  # fmt: skip
def test_claims_are_not_believed(header):
    tracemalloc.start()
    with pytest.raises(UnsafeError, match=r"^line 1: the header claims more than"):
        aiger.read(header.encode() + b"\n2\n")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_gaps_cost_nothing():
    tracemalloc.start()
    circuit = aiger.read(b"aag 1000000000 1 0 1 0\n2000000000\n2000000001\n")
    assert evaluate(circuit.netlist, every(1)).tolist() == [[1], [0]]
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@given(data=st.binary(max_size=40), cut=st.integers(0, 60), at=st.integers(0, 60), byte=st.integers(0, 255))
def test_damage_is_told_or_read(data, cut, at, byte):
    good = aiger.write(Circuit.of(tables_of(np.random.default_rng(3), 3, 6, 2, 3)))
    for bad in (b"aig " + data, b"aag 3 1 1 1 1\n" + data, good[:cut], good[:at] + bytes([byte]) + good[at + 1 :]):
        assert error_of(aiger.read, bad).isprintable()
