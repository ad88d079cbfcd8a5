"""Weights that are parts of one matrix by several masks become the same integers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.quant.masked import families
from edgegate.quant.storage import Storage
from edgegate.quant.weights import choose_weights, layers
from tests.passes.text import parse

DEPTH, WIDTH = 16, 6


def model(masks: int) -> ir.Model:
    """A Linear for each half, the weights' columns of very different size."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(DEPTH, WIDTH)) * np.geomspace(0.01, 10, WIDTH)
    nodes, constants = [], []
    for i in range(masks):
        mask = rng.random((DEPTH, WIDTH)) < 0.5
        for j, part in enumerate((np.where(mask, weight, 0), np.where(mask, 0, weight))):
            numbers = ", ".join(f"{float(v)!r}" for v in part.astype(np.float32).ravel())
            constants.append(f"float[{DEPTH},{WIDTH}] w{i}{j} = {{{numbers}}}")
            nodes.append(f"y{i}{j} = edgegate.Linear (x, w{i}{j}, z)")
    outputs = ", ".join(line.split(" ")[0] for line in nodes)
    zeros = ", ".join(["0"] * WIDTH)
    text = f"g (float[2,{DEPTH}] x) => ({outputs}) <{', '.join(constants)}, float[{WIDTH}] z = {{{zeros}}}>"
    return parse(f"{text} {{ {' '.join(nodes)} }}")


def test_parts_of_one_matrix_are_the_same_integers():
    found = layers(model(3))
    (family,) = families(found)
    assert [str(layer.weight.name) for layer in family] == ["w00", "w01", "w10", "w11", "w20", "w21"]
    storages = choose_weights(found, {"x": Storage(dtype="int8", scale=0.1)}, "mse", families(found))
    whole = []
    for i in range(3):
        halves = [layer.data() for layer in found[2 * i : 2 * i + 2]]
        stored = [storages[f"w{i}{j}"].quantize(half) for j, half in enumerate(halves)]
        whole.append(stored[0] + stored[1])
    np.testing.assert_array_equal(whole[0], whole[1])
    np.testing.assert_array_equal(whole[0], whole[2])


def test_one_pair_needs_no_common_scale():
    assert families(layers(model(1))) == []
