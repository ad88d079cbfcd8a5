"""Products by a constant matrix for each block become grouped convolutions."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgegate.graph import attribute
from edgegate.passes import run
from edgegate.passes.blocks_to_conv import blocks_to_conv
from edgegate.passes.drop_unused import drop_unused
from edgegate.stages import floating
from tests.passes.text import outputs, parse, unchanged


def constant(name: str, *dims: int) -> str:
    values = np.random.default_rng(len(dims)).normal(size=dims).astype(np.float32).ravel()
    return f"float[{','.join(map(str, dims))}] {name} = {{{', '.join(f'{v:.6f}' for v in values)}}}"


def after(text: str) -> list[ir.Node]:
    """The nodes behind the pass, which keeps what the model computes."""
    model = parse(text)
    wanted = outputs(model)
    run(model, [blocks_to_conv, drop_unused], floating)
    for got, want in zip(outputs(model), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    return list(model.graph)


@pytest.mark.parametrize(
    ("x", "weight", "groups"),
    [((4, 6, 5), (4, 5, 7), 4), ((2, 3, 4, 6, 5), (3, 4, 5, 7), 12), ((2, 3, 6, 5), (1, 3, 5, 1), 3)],
)
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_blocks(x, weight, groups, left, bias) -> None:
    if left:
        x, weight = (*x[:-2], x[-1], x[-2]), (*weight[:-2], weight[-1], weight[-2])
    lead = (1,) * (len(x) - len(weight)) + weight[:-2]
    each = (*lead, weight[-2], 1) if left else (*lead, 1, weight[-1])
    product, y = ("m = MatMul (w, x)" if left else "m = MatMul (x, w)"), ("y = Add (b, m)" if bias else "y = Relu (m)")
    constants = [constant("w", *weight), *([constant("b", *each)] if bias else [])]
    nodes = after(f"g (float{list(x)} x) => (y) <{', '.join(constants)}> {{ {product} {y} }}")
    (layer,) = [n for n in nodes if n.op_type == "Conv"]
    assert attribute(layer, "group") == groups
    kinds = {n.op_type for n in nodes} - {"Conv", "Reshape", "Transpose"}
    assert kinds == (set() if bias else {"Relu"})
    assert not left or "Transpose" not in {n.op_type for n in nodes}


@pytest.mark.parametrize(
    ("x", "weight"), [((2, 6, 5), (5, 7)), ((2, 6, 5), (1, 5, 7)), ((6, 5), (4, 5, 7)), ((1, 6, 5), (4, 5, 7))]
)
def test_one_matrix_for_all_and_one_input_for_all_stay(x, weight) -> None:
    unchanged(blocks_to_conv, f"g (float{list(x)} x) => (y) <{constant('w', *weight)}> {{ y = MatMul (x, w) }}")


def test_an_addend_that_differs_by_row_stays_behind() -> None:
    constants = f"{constant('w', 2, 3, 4)}, {constant('b', 2, 5, 4)}"
    nodes = after(f"g (float[2,5,3] x) => (y) <{constants}> {{ m = MatMul (x, w) y = Add (m, b) }}")
    assert [n.op_type for n in nodes if n.op_type in ("Conv", "Add")] == ["Conv", "Add"]
