"""What a proof is made of, piece by piece, against truth tables over all inputs."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgegate.logic import _cones, _sweep
from edgegate.logic._cones import UNKNOWN, by_sat, by_table
from edgegate.logic._sweep import PATTERNS, Miter, Sweep
from edgegate.logic.aig import to_aig
from edgegate.logic.prove import NotProvedError, prove
from tests.logic.arithmetic import prefix_adder, ripple_adder
from tests.logic.circuits import tables_of

INPUTS = 5


def miter_of(seed):
    """A graph of five inputs, and the truth tables of its nodes."""
    miter = Miter(INPUTS)
    _, ands, outputs = to_aig(tables_of(np.random.default_rng(seed), INPUTS, 30, 3))
    miter.add(ands, outputs.tolist())
    return miter, miter.simulate(_cones.tables(INPUTS), (1 << 32) - 1)


def pair_of(rng, values):
    """Two literals: of the same function if there are such, every other time."""
    nodes = rng.permutation(len(values)).tolist()
    one, other = nodes[:2]
    if rng.integers(2):
        classes = dict[int, list[int]]()
        for node in nodes:
            classes.setdefault(min(values[node], values[node] ^ 0xFFFFFFFF), []).append(node)
        one, other = next((c[:2] for c in classes.values() if len(c) > 1), (one, other))
    return 2 * one + int(rng.integers(2)), 2 * other + int(rng.integers(2))


def table(values, literal):
    return values[literal >> 1] ^ (0xFFFFFFFF if literal & 1 else 0)


def check(answer, values, a, b):
    """An answer says nothing that is not so."""
    differ = table(values, a) ^ table(values, b)
    assert not (answer.equal and differ)
    if answer.cut is None:
        return
    for i in range(1 << INPUTS):
        if all(bool(i >> (node - 1) & 1) == value for node, value in answer.cut.items()):
            assert differ >> i & 1


@given(seed=st.integers(0, 1 << 30))
@example(seed=163)  # two literals above more nodes than a table is looked for below
def test_answers_are_true_and_complete(seed):
    """A table may stop above the inputs where there are many nodes; SAT goes on."""
    miter, values = miter_of(seed)
    a, b = pair_of(np.random.default_rng(seed), values)
    for answer in (by_table(miter.graph, a, b), by_sat(miter.graph, a, b, deadline=None, most=None)):
        check(answer, values, a, b)
        if answer != UNKNOWN or len(miter.graph.left) - INPUTS <= _cones.NEAR:
            assert answer.equal == (table(values, a) == table(values, b)) and (answer.equal or answer.cut is not None)
    assert answer != UNKNOWN


@given(seed=st.integers(0, 1 << 30), near=st.integers(1, 12), leaves=st.integers(1, 4))
def test_a_cut_above_the_inputs_shows_no_difference(seed, near, leaves):
    miter, values = miter_of(seed)
    a, b = pair_of(np.random.default_rng(seed), values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_cones, "NEAR", near)
        patch.setattr(_cones, "LEAVES", leaves)
        patch.setattr(_cones, "FAR", near)
        check(by_table(miter.graph, a, b), values, a, b)
        answer = by_sat(miter.graph, a, b, deadline=None, most=None)
    check(answer, values, a, b)
    assert answer.equal == (table(values, a) == table(values, b))


def test_no_answer_where_no_effort_is_allowed():
    miter, _ = miter_of(0)
    last = 2 * len(miter.graph.left) - 2
    assert by_sat(miter.graph, last, last - 2, deadline=None, most=0) == UNKNOWN
    assert by_sat(miter.graph, last, last - 2, deadline=0, most=None) == UNKNOWN


def test_what_is_not_known_is_not_equal(monkeypatch):
    one, other = ripple_adder(8), prefix_adder(8)
    monkeypatch.setattr(_sweep, "by_table", lambda *_: UNKNOWN)
    monkeypatch.setattr(_sweep, "by_sat", lambda *_, **__: UNKNOWN)
    with pytest.raises(NotProvedError, match=r"^not proved within the limit: output 3 and 5 others of 9"):
        prove(one, other, other.outputs)


@given(seed=st.integers(0, 1 << 30))
def test_merged_nodes_have_the_same_function_and_come_before(seed):
    """Also where a node becomes, by what it reads, one that comes later in the file."""
    miter, _ = miter_of(seed)
    first = len(miter.graph.left)
    rng = np.random.default_rng(seed + 1)
    _, ands, outputs = to_aig(tables_of(rng, INPUTS, 60, 3, 60))
    found = miter.add(ands, outputs.tolist())
    values = miter.simulate(_cones.tables(INPUTS), (1 << 32) - 1)
    few = [value & 0xF for value in values]  # candidates that are not equal are then found too
    sweep = Sweep(miter, first, [value | value << PATTERNS - 4 for value in few], None)
    sweep.run(found)
    assert miter.simulate(_cones.tables(INPUTS), (1 << 32) - 1) == values
    for node, literal in enumerate(sweep.merged):
        assert table(values, literal) == values[node] and literal <= 2 * node
    for node in range(INPUTS + 1, len(values)):
        assert max(miter.graph.left[node], miter.graph.right[node]) < 2 * node
