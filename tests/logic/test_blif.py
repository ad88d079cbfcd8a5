"""BLIF files: what the format says, round trips, and files that mean harm."""

import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegate.errors import FileError
from edgegate.logic import blif, evaluate
from edgegate.logic.circuit import Circuit
from tests.logic.circuits import error_of, every, layers, net, random_bits, tables_of


def read(*lines):
    return blif.read("\n".join(lines).encode())


def values(*lines):
    circuit = read(*lines)
    return evaluate(circuit.netlist, every(circuit.netlist.inputs)).T.tolist()


def test_a_full_adder():
    """Rows in any order, comments, lines that go on, signals used before they are driven."""
    circuit = read(
        "# full adder", ".model add # a comment", ".inputs a \\", "b", ".inputs c", ".outputs s \\", "  carry",
        ".names t c s", "10 1", "01 1", ".names a b c carry", "11- 1", "1-1 1", "-11 1",
        ".names a b t", "11 0", "00 0", ".end", "",
    )  # fmt: skip
    assert (circuit.inputs, circuit.outputs) == (("a", "b", "c"), ("s", "carry"))
    total = every(3).sum(1)
    assert (evaluate(circuit.netlist, every(3)) == np.stack([total & 1, total >> 1], 1)).all()


def test_constants():
    head = (".model m", ".inputs a", ".outputs x")
    assert values(*head, ".names x") == [[0, 0]]
    assert values(*head, ".names x", "1") == [[1, 1]]
    assert values(*head, ".names x", "0") == [[0, 0]]
    assert values(*head, ".names a x") == [[0, 0]]
    assert values(*head, ".names a x", "- 0") == [[0, 0]]
    assert values(*head, ".names a x", "- 1") == [[1, 1]]


@pytest.mark.parametrize("column", ["1", "0"])
@settings(max_examples=40)
@given(rows=st.lists(st.text("01-", min_size=9, max_size=9), max_size=9))
def test_wide_covers(column, rows):
    """Nine inputs: some rows are all don't-care, some covers are empty."""
    names = " ".join("abcdefghi")
    circuit = read(".model m", f".inputs {names}", ".outputs x", f".names {names} x", *(f"{r} {column}" for r in rows))
    hit = [any(all(c in (str(v), "-") for c, v in zip(r, bits, strict=True)) for r in rows) for bits in every(9)]
    expected = np.array(hit) ^ (column == "0" and bool(rows))
    assert (evaluate(circuit.netlist, every(9))[:, 0] == expected).all()
    assert circuit.netlist.k <= 6


@pytest.mark.parametrize(("words", "reset"), [("0", 0), ("1", 1), ("re clk 0", 0), ("re NIL 1", 1)])
def test_latches(words, reset):
    circuit = read(".model m", ".inputs d", ".outputs q", f".latch n q {words}", ".names d q n", "1- 1", "-1 1", ".end")
    assert (circuit.latches, circuit.resets) == (("q",), (reset,))
    assert evaluate(circuit.netlist, every(2)).T.tolist() == [[0, 0, 1, 1], [0, 1, 1, 1]]


@settings(max_examples=40)
@given(seed=st.integers(0, 1 << 30), k=st.integers(1, 6), latches=st.integers(0, 3))
def test_round_trips(seed, k, latches):
    rng = np.random.default_rng(seed)
    netlist = tables_of(rng, 5, 12, k)
    names = [f"n{i}" for i in range(13)]  # as the writer would call its own
    circuit = Circuit(
        netlist=netlist, inputs=tuple(names[: 5 - latches]), latches=tuple(f"nc{i}" for i in range(latches)),
        outputs=tuple(names[5 : 13 - latches]), resets=tuple(rng.integers(0, 2, latches).tolist()),
    )  # fmt: skip
    back = blif.read(blif.write(circuit))
    assert replace(back, netlist=netlist).__dict__ == circuit.__dict__
    assert (evaluate(back.netlist, every(5)) == evaluate(netlist, every(5))).all()


def test_an_output_may_be_an_input_by_its_own_name_only():
    wire = net(2, [], [], [2])
    same = Circuit(netlist=wire, inputs=("a", "b"), outputs=("a",))
    assert blif.read(blif.write(same)).netlist.outputs.tolist() == [2]
    with pytest.raises(ValueError, match="output 'b' has the name of an input"):
        blif.write(replace(same, outputs=("b",)))


def test_gates_stay_gates():
    netlist = layers(np.random.default_rng(0), 400, [1000] * 3)
    bits = random_bits(np.random.default_rng(1), 400)
    back = blif.read(blif.write(Circuit.of(netlist)))
    assert back.netlist.gates == netlist.gates
    assert (evaluate(back.netlist, bits) == evaluate(netlist, bits)).all()


def test_a_large_file_is_read_fast():
    data = blif.write(Circuit.of(layers(np.random.default_rng(0), 400, [8000] * 3)))
    begun = time.process_time()
    blif.read(data)
    assert time.process_time() - begun < 1.5


def test_a_chain_written_backwards():
    n = 5001
    gates = [f".names {f's{i + 1}' if i + 1 < n else 'a'} s{i}\n0 1" for i in range(n)]
    circuit = read(".model deep", ".inputs a", ".outputs s0", *gates, ".end")
    assert circuit.netlist.depth == n
    assert evaluate(circuit.netlist, every(1)).tolist() == [[1], [0]]


HEAD = ".model m\n.inputs a b\n.outputs x\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "line 1: no BLIF model"),
        ("\xff\xfe", "line 1: neither a command"),
        ("hello", "line 1: neither a command"),
        (HEAD + ".names a b x\n111 1", "line 5: no row of a cover of 2"),
        (HEAD + ".names a b x\n12 1", "line 5: no row of a cover of 2"),
        (HEAD + ".names a b x\n11 -", "line 5: no row of a cover of 2"),
        (HEAD + ".names a b x\n11", "line 5: no row of a cover of 2"),
        (HEAD + ".names x\n1 1", "line 5: no row of a cover of 0"),
        (HEAD + ".names a b x\n11 1\n00 0", "line 6: a cover is of ones or of zeros"),
        (HEAD + ".names", "line 4: .names without a signal"),
        (HEAD + ".names a b x\n.names a x", "line 5: signal 'x' is driven twice, first in line 4"),
        (HEAD + ".names b a", "line 4: signal 'a' is driven twice, first in line 2"),
        (HEAD, "line 3: signal 'x' is driven by nothing"),
        (HEAD + ".names c x", "line 4: signal 'c' is driven by nothing"),
        (HEAD + ".names y x\n.names x y", "line [45]: signal '[xy]' depends on itself"),
        (HEAD + ".names x x\n1 1", "line 4: signal 'x' depends on itself"),
        (HEAD + ".latch a x", "line 4: latch 'x' starts as '3'"),
        (HEAD + ".latch a x re c", "line 4: latch 'x' starts as '3'"),
        (HEAD + ".latch a x 2", "line 4: latch 'x' starts as '2'"),
        (HEAD + ".latch a", "line 4: .latch has 2 to 5 words"),
        (HEAD + ".latch a x ah c 0", "line 4: a latch of type 'ah'"),
        (HEAD + ".latch a x re c 0\n.latch a y re d 0", "line 5: a second clock, 'd' beside 'c'"),
        (HEAD + ".subckt other p=a q=x", "line 4: '.subckt' is not read; write it as one flat model"),
        (HEAD + ".gate nand2 A=a B=b O=x", "line 4: '.gate' is not read"),
        (HEAD + ".exdc", "line 4: '.exdc' is not read"),
        (HEAD + ".names a x\n.end\n.names b y", "line 6: '.names' after .end"),
        (HEAD + ".model other", "line 4: a second model"),
        (HEAD + ".outputs x\n.names x", "line 4: output 'x' is listed twice"),
        (HEAD + ".names \xe9 x\n1 1", r"line 4: '\\xe9' is no name"),
        (HEAD + ".names a\\\n b x\n1 1", "line 6: no row of a cover of 2"),
        (".model m\n.inputs " + "a" * 5000, "line 2: 'aaaa"),
    ],
)
def test_broken_files(text, what):
    with pytest.raises(FileError, match=f"^{what}"):
        blif.read(text.encode("latin-1"))


LONG = {
    "lines that go on": HEAD + "\\\n" * 100_000,
    "a comment": "#" * 100_000,
    "empty lines": "\n" * 100_000,
    "many inputs": ".inputs" + " a" * 50_000,
    "many rows": HEAD + ".names a x\n" + "1 1\n" * 25_000,
    "a wide cover": HEAD + ".names" + " a" * 50_000 + " x\n" + "1" * 50_000 + " 1\n",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_memory_stays_near_the_file(text):
    tracemalloc.start()
    error_of(blif.read, text.encode())
    assert tracemalloc.get_traced_memory()[1] < 200 * len(text)
    tracemalloc.stop()


@given(data=st.binary(max_size=60), at=st.integers(0, 400), byte=st.integers(0, 255))
def test_damage_is_told_or_read(data, at, byte):
    good = blif.write(Circuit.of(tables_of(np.random.default_rng(3), 3, 6, 2, 3)))
    for bad in (HEAD.encode() + data, good[:at], good[:at] + bytes([byte]) + good[at + 1 :]):
        assert error_of(blif.read, bad).isprintable()
