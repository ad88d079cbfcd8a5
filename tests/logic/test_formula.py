"""Formulas say what their tables do, in few operations."""

import numpy as np

from edgegate.logic.formula import COLUMNS, columns, formulas, operations, written

NAMES = ("a", "b", "c")
VALUES = dict(zip(NAMES, COLUMNS, strict=True))


def test_every_formula_is_its_table():
    for table, formula in enumerate(formulas()):
        assert eval(written(formula, NAMES, "0", "255"), {**VALUES}) & 0xFF == table


def test_formulas_are_short():
    counts = [operations(formula) for formula in formulas()]
    assert [counts[t] for t in (0, 0xAA, 0x55, 0x88, 0x96, 0xE8, 0xCA, 0x16)] == [0, 0, 1, 1, 2, 4, 3, 4]
    assert max(counts) == 5 and np.mean(counts) < 3.1


def test_formulas_read_only_what_they_need():
    for table, formula in enumerate(formulas()):
        text = written(formula, NAMES)
        assert columns(table) == tuple(j for j, name in enumerate(NAMES) if name in text)
