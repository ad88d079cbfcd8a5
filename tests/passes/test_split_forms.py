"""Every op over all steps at once is what it is step by step: on the samples of the op table."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgegate.graph import Array
from edgegate.ops import OPS, Op
from edgegate.passes.split_loops._forms import Form, batch, form

T = 3
KINDS = sorted(OPS, key=str)
NEVER = {("edgegate", "Threshold"), ("edgegate", "StageGate")}
"""Ops without a form: they stand at the edges of a graph."""


def samples(op: Op) -> Iterator[tuple[list[Array], dict[str, Any]]]:
    """Those of the op, and what they are as one sample of a batch."""
    for sample in op.samples(np.random.default_rng(0)):
        whole = [np.asarray(x) for x in sample.inputs]
        yield whole, dict(sample.attributes)
        first = whole[0].shape[:1]
        cut = [x[:1] if x.ndim == whole[0].ndim and x.shape[:1] == first else x for x in whole]
        try:
            op.reference(*cut, **sample.attributes)
        except (ValueError, IndexError):
            continue
        yield cut, dict(sample.attributes)


def node_of(op: Op, inputs: list[Array], attributes: dict[str, Any]) -> tuple[ir.Node, list[Array]]:
    """The node, its inputs constants, and what it makes."""
    made = op.reference(*inputs, **attributes)
    made = [np.asarray(y) for y in (made if isinstance(made, tuple) else (made,))]
    given = [ir.Value(name=f"x{i}", shape=ir.Shape(x.shape), const_value=ir.tensor(x)) for i, x in enumerate(inputs)]
    outputs = [ir.Value(name=f"y{i}", shape=ir.Shape(y.shape)) for i, y in enumerate(made)]
    return ir.node(op.name, given, attributes, domain=op.domain, outputs=outputs), made


def read(form: Form, inputs: list[Array], steps: list[list[Array]]) -> list[Array]:
    """The inputs as the form has them."""
    found: list[Array] = []
    for i, to in enumerate(form.inputs):
        if isinstance(to, np.ndarray):
            found.append(to)
        elif to is None:
            found.append(inputs[i])
        else:
            found.append(np.stack([step[i] for step in steps]).reshape(to))
    return found


def check(op: Op, inputs: list[Array], attributes: dict[str, Any], varying: set[int]) -> bool:
    """Whether the op has a form for these inputs; what it makes is right."""
    node, made = node_of(op, inputs, attributes)
    found = form(node, varying, T)
    if found is None:
        return False
    rng = np.random.default_rng(0)
    steps = [
        [rng.permutation(x.reshape(-1)).reshape(x.shape) if i in varying else x for i, x in enumerate(inputs)]
        for _ in range(T)
    ]
    every = [op.reference(*step, **attributes) for step in steps]
    at_once = op.reference(*read(found, inputs, steps), **attributes | dict(found.attributes))
    at_once = at_once if isinstance(at_once, tuple) else (at_once,)
    for i, (y, dims) in enumerate(zip(made, found.outputs, strict=True)):
        wanted = np.stack([step[i] if isinstance(step, tuple) else step for step in every])
        assert at_once[i].shape == dims and int(np.prod(dims)) == int(np.prod(batch(y.shape, T)))
        np.testing.assert_array_equal(at_once[i].reshape(wanted.shape), wanted)
    return True


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[1])
def test_all_steps_at_once_are_the_steps(kind):
    op, count = OPS[kind], 0
    for inputs, attributes in samples(op):
        for chosen in product((True, False), repeat=min(len(inputs), 3)):
            varying = {i for i, yes in enumerate(chosen) if yes and i not in op.static}
            count += bool(varying) and check(op, inputs, attributes, varying)
    assert bool(count) == (kind not in NEVER)
