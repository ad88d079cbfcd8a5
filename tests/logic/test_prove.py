"""The proof against an exhaustive check where that can be made, and against what is rare, deep or hard elsewhere."""

import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegate.errors import MismatchError, ToolchainError
from edgegate.logic import GroupSum, Netlist, blif, counts, evaluate
from edgegate.logic.circuit import Circuit
from edgegate.logic.prove import NotEqualError, NotProvedError, prove, prove_sums
from edgegate.passes.logic import optimise
from tests.logic.arithmetic import AND, XOR, Builder, multiplier, prefix_adder, ripple_adder
from tests.logic.circuits import every, layers, net, tables_of


def flipped(netlist, gate, address):
    """One entry of one gate's table changed."""
    tables = netlist.tables.copy()
    tables[gate] ^= np.uint64(1) << np.uint64(address)
    return replace(netlist, tables=tables)


def rewritten(netlist):
    """The same functions by other gates of up to six inputs."""
    return blif.read(blif.write(Circuit.of(netlist))).netlist


def verdict(one, other, claims):
    """Whether they are proved equal; a counterexample must be one."""
    claimed = replace(other, outputs=claims)
    try:
        found = None
        assert prove(one, other, claims).outputs == len(claims)
    except NotEqualError as error:
        found = error
    if found is not None:
        expected, got = (evaluate(n, found.bits[None])[0, found.output] for n in (one, claimed))
        assert expected != got and f"output {found.output} is {expected} as imported and {got} as" in str(found)
    return found is None


@given(seed=st.integers(0, 1 << 30), k=st.integers(1, 6), inputs=st.integers(1, 7), mutations=st.integers(0, 2))
def test_the_verdict_is_that_of_all_inputs(seed, k, inputs, mutations):
    """The second netlist is another form of the first, with at most two entries of tables changed; some silently."""
    rng = np.random.default_rng(seed)
    one = tables_of(rng, inputs, 20, k)
    other = rewritten(one)
    for _ in range(mutations):
        other = flipped(other, rng.integers(other.gates), rng.integers(1 << other.k))
    equal = (evaluate(one, every(inputs)) == evaluate(other, every(inputs))).all()
    assert verdict(one, other, other.outputs) == equal


@given(seed=st.integers(0, 1 << 30))
def test_rare_differences(seed):
    """A difference where nine given bits are as given, in a network that is otherwise of one form."""
    rng = np.random.default_rng(seed)
    one = layers(rng, 11, [40, 40, 20])
    build = Builder(11)
    build.fanins, build.tables = one.fanins.tolist(), one.tables.tolist()
    node = int(rng.integers(1, 12))
    for other in rng.permutation(11)[:9] + 1:
        node = build.gate(node, int(other), int(rng.choice([1, 2, 4, 8])))
    last = build.gate(int(one.outputs[0]) >> 1, node, XOR)
    other = build.netlist([last, *(one.outputs[1:] >> 1)])
    equal = (evaluate(one, every(11)) == evaluate(other, every(11))).all()
    assert verdict(one, other, other.outputs) == equal


@pytest.mark.parametrize("k", [2, 3, 4, 6])
def test_what_the_optimiser_makes(k):
    netlist = layers(np.random.default_rng(k), 64, [600, 600, 600])
    made = optimise(netlist, k=k)
    assert verdict(netlist, made.netlist, made.claims)


def test_every_mutation_of_what_the_optimiser_makes():
    """Silent ones are proved equal, all others are caught: some need an input in thousands."""
    rng = np.random.default_rng(0)
    netlist = layers(rng, 12, [60, 60, 30])
    made = optimise(netlist)
    verdicts = []
    for gate in range(made.netlist.gates):
        changed = flipped(made.netlist, gate, rng.integers(8))
        claimed = replace(changed, outputs=made.claims)
        verdicts.append((evaluate(netlist, every(12)) == evaluate(claimed, every(12))).all())
        assert verdict(netlist, changed, made.claims) == verdicts[-1]
    assert 0 < sum(verdicts) < len(verdicts)


def test_claims_are_what_is_proved():
    netlist = layers(np.random.default_rng(1), 64, [300, 300, 300])
    made = optimise(netlist, GroupSum.contiguous(300, 10))
    assert verdict(netlist, made.netlist, made.claims)
    wrong = made.claims.copy()
    wrong[17] ^= 1
    with pytest.raises(NotEqualError, match=r"^output 17 is [01] as imported and [01] as optimised where inputs"):
        prove(netlist, made.netlist, wrong)


def test_one_input_in_2_to_the_64():
    build = Builder(64)
    node = 1
    for i in range(2, 65):
        node = build.gate(node, i, AND)
    with pytest.raises(NotEqualError) as caught:
        prove(build.netlist([node]), net(64, [], [], [0]), np.zeros(1, np.int32))
    assert caught.value.bits.tolist() == [1] * 64


def test_adders_that_look_nothing_alike():
    one, other = ripple_adder(48), prefix_adder(48)
    assert verdict(one, other, other.outputs)
    assert not verdict(one, other, other.outputs ^ (np.arange(49) == 48))
    assert verdict(multiplier(5), multiplier(5, swapped=True), multiplier(5).outputs)


@pytest.mark.parametrize("limit", [0, 0.3])
def test_a_limit_is_told(limit):
    one, other = multiplier(16), multiplier(16, swapped=True)
    begun = time.monotonic()
    with pytest.raises(
        NotProvedError, match=r"^not proved within the limit: output \d+ and \d+ others of 32 are neither"
    ):
        prove(one, other, other.outputs, limit_s=limit)
    assert time.monotonic() - begun < 10


def test_deep_chains():
    rng = np.random.default_rng(0)
    build, node = Builder(8), 1
    for gate, i in zip(rng.choice([6, 9, 14, 13], 2000), rng.integers(1, 9, 2000), strict=True):
        node = build.gate(node, int(i), int(gate))
    one = build.netlist([node])
    assert verdict(one, one, one.outputs) and not verdict(one, one, one.outputs ^ 1)
    changed = flipped(one, 1990, 0)
    assert verdict(one, changed, one.outputs) == (evaluate(one, every(8)) == evaluate(changed, every(8))).all()


def test_networks_of_no_gates_and_of_no_outputs():
    wires = net(3, [], [], [0, 1, 2, 7])
    assert verdict(wires, wires, wires.outputs)
    assert not verdict(wires, wires, np.array([0, 1, 2, 6], np.int32))
    empty = net(0, [], [], [])
    assert prove(empty, empty, empty.outputs).outputs == 0


def test_what_cannot_be_asked():
    one, other = net(2, [], [], [2]), net(3, [], [], [2])
    with pytest.raises(ValueError, match="expected 2 inputs and 1 claims, got 3 inputs and 1"):
        prove(one, other, other.outputs)
    with pytest.raises(ValueError, match="got 2 inputs and 2 claims"):
        prove(one, one, np.array([2, 4], np.int32))
    with pytest.raises(ValueError, match="an output is the literal of a node that exists"):
        prove(one, one, np.array([6], np.int32))


def test_without_a_solver(monkeypatch):
    monkeypatch.setitem(sys.modules, "pysat.solvers", None)
    with pytest.raises(ToolchainError, match="python-sat is not installed"):
        prove(net(1, [], [], [2]), net(1, [], [], [2]), np.array([2], np.int32))


def sums_of(bits, terms, offset):
    group, member, weight = np.array(sorted(terms), np.int32).reshape(-1, 3).T
    return GroupSum(bits=bits, group=group, member=member, weight=weight, offset=np.array(offset, np.int32))


def shared(sums, claims):
    """The sums over distinct nodes, worked out term by term."""
    offset, weights = sums.offset.tolist(), dict[tuple[int, int], int]()
    for k, member, weight in zip(sums.group.tolist(), sums.member.tolist(), sums.weight.tolist(), strict=True):
        node, inverted = divmod(int(claims[member]), 2)
        offset[k] += weight * inverted
        weights[k, node] = weights.get((k, node), 0) + (-weight if inverted else weight)
    nodes = sorted({node for (_, node), w in weights.items() if node and w})
    terms = [(k, nodes.index(node), w) for (k, node), w in weights.items() if node and w]
    return sums_of(len(nodes), terms, offset), np.array([2 * node for node in nodes], np.int32)


@given(seed=st.integers(0, 1 << 30))
def test_sums(seed):
    """Duplicates, inverted duplicates and constants; then any one number changed."""
    rng = np.random.default_rng(seed)
    terms = [(k, m, int(rng.choice([-3, -1, 1, 2]))) for k in range(3) for m in rng.permutation(12)[:8].tolist()]
    sums, claims = sums_of(12, terms, [5, 0, -7]), rng.integers(0, 14, 12).astype(np.int32)
    better, outputs = shared(sums, claims)
    prove_sums(sums, better, claims, outputs)
    values = np.pad(every(6), ((0, 0), (1, 0)))
    assert (counts(sums, values[:, claims >> 1] ^ claims & 1) == counts(better, values[:, outputs >> 1])).all()
    if not better.weight.size:
        return
    weight, offset, at = better.weight.copy(), better.offset.copy(), rng.integers(better.weight.size)
    weight[at] += 1 if weight[at] != -1 else -1
    offset[1] += 1
    for wrong in (replace(better, weight=weight), replace(better, offset=offset)):
        with pytest.raises(MismatchError, match=r"^sum [012] "):
            prove_sums(sums, wrong, claims, outputs)
    with pytest.raises(MismatchError):
        prove_sums(sums, better, claims, np.roll(outputs, 1) ^ 1)


def test_sums_of_other_sizes():
    one, outputs = GroupSum.contiguous(4, 2), np.array([2, 4, 6, 8], np.int32)
    prove_sums(one, one, outputs, outputs)
    with pytest.raises(MismatchError, match="2 sums were imported, there are 1"):
        prove_sums(one, GroupSum.contiguous(4, 1), outputs, outputs)
    with pytest.raises(ValueError, match="3 claims and 4 outputs for 4 and 4 bits"):
        prove_sums(one, one, outputs[:3], outputs)


def test_sums_are_exact_where_32_bits_are_not():
    most = (1 << 31) - 1
    one = sums_of(3, [(0, m, most) for m in range(3)], [0])
    claims = np.array([2, 2, 2], np.int32)
    with pytest.raises(MismatchError, match=r"^sum 0 counts node 1 by 4294967296 more"):
        prove_sums(one, sums_of(1, [(0, 0, most - 2)], [0]), claims, np.array([2], np.int32))


def test_a_netlist_reads_nothing_that_the_proof_changes():
    netlist = layers(np.random.default_rng(2), 16, [50, 50])
    before = [netlist.fanins.copy(), netlist.tables.copy(), netlist.outputs.copy()]
    prove(netlist, netlist, netlist.outputs)
    for name, data in zip(("fanins", "tables", "outputs"), before, strict=True):
        assert (getattr(netlist, name) == data).all()
    assert isinstance(netlist, Netlist)
