"""What is off by the square of a guessed input scale; and that 16 bits make up for the guess."""

import numpy as np
import pytest

from edgegate.quant import Recipe, quantize_scheme
from edgegate.quant.guesses import compounded
from tests.quant.gated_nets import model

TEXT = """
g (float[1,6] x) => (float[1,6] y)
<float[1,6] a, float[1,6] s, float[1,6] b, float[1,6] opened, float[1,6] p, float[1,6] r, float[1,6] q>
{
    a = edgegate.Linear (x, w, c)
    s = edgegate.unary.SiLU (a)
    b = edgegate.Linear (x, w, c)
    opened = edgegate.unary.Sigmoid (b)
    p = edgegate.gate.Paired (a, opened)
    r = edgegate.gate.Paired (b, s)
    q = Add (p, r)
    y = edgegate.Linear (q, w, c)
}
"""
EYE = {"w": np.eye(6, dtype=np.float32), "c": np.zeros(6, np.float32)}


def test_a_product_of_two_guesses_compounds_and_a_gate_does_not() -> None:
    assert compounded(model(TEXT, EYE), Recipe(), {"opened"}) == {"r", "q", "y"}
    assert compounded(model(TEXT, EYE), Recipe(input_range=(0, 1)), {"opened"}) == set()
    assert "p" in compounded(model(TEXT, EYE), Recipe(), set())


def test_a_norm_ends_the_guessing() -> None:
    net = model(TEXT, EYE)
    for node in net.graph:
        if node.outputs[0].name == "b":
            node.metadata_props["edgegate.norm"] = '{"mean": [0, 0, 0, 0, 0, 0], "std": [1, 1, 1, 1, 1, 1]}'
    assert compounded(net, Recipe(), {"opened"}) == set()


@pytest.mark.parametrize(("options", "wide"), [
    ({}, {"r", "q", "y"}), ({"input_range": (-4.0, 4.0)}, set()), ({"int16_below": None}, set()),
])  # fmt: skip
def test_only_a_synthetic_run_guesses(options: dict, wide: set[str]) -> None:  # type: ignore[type-arg]
    recipe = Recipe(samples=8, **options)
    made = quantize_scheme(model(TEXT, EYE), None, recipe)
    assert {name for name, s in made.values.items() if s.dtype == "int16"} == wide
    data = [{"x": np.random.default_rng(i).standard_normal((1, 6))} for i in range(8)]
    made = quantize_scheme(model(TEXT, EYE), data, recipe)
    assert {s.dtype for s in made.values.values()} == {"int8", "uint8"}
