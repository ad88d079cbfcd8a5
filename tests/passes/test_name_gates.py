import pytest

from edgegate.passes.name_gates import name_gates
from edgegate.passes.name_unary import name_unary
from edgegate.passes.to_linear import to_linear
from tests.passes.text import check, unchanged

NAMES = "family, activation, value_activation"


def whole(model):
    to_linear(model)
    name_unary(model)
    name_gates(model)


def _gate(kind: str, family: str, activation: str = "Sigmoid", value: str = "") -> str:
    return f'edgegate.gate.{kind} <family = "{family}", activation = "{activation}", value_activation = "{value}">'


@pytest.mark.parametrize("order", ["s, x", "x, s"])
def test_the_smaller_factor_is_the_gate(order):
    check(
        whole,
        f"g (float[1,2,3] x, float[1,2,1] z) => (y) {{ s = Sigmoid (z) y = Mul ({order}) }}",
        f"""g (float[1,2,3] x, float[1,2,1] z) => (y) {{
            s = edgegate.unary.Sigmoid (z)
            y = {_gate("Reduce", "F4")} (x, s)
        }}""",
    )


def test_two_small_factors_are_a_product():
    check(
        whole,
        "g (float[1,2,1] x, float[1,1,3] z) => (y) { y = Mul (x, z) }",
        f"g (float[1,2,1] x, float[1,1,3] z) => (y) {{ y = {_gate('Product', '', '')} (x, z) }}",
    )


@pytest.mark.parametrize(("functions", "order"), [("Sigmoid Tanh", "b, a"), ("Tanh Sigmoid", "a, b")])
def test_halves_of_a_projection_are_a_pair_and_the_bounded_one_is_the_gate(functions, order):
    first, second = functions.split()
    weights = "float[2,4] w = {1, 2, 3, 4, 5, 6, 7, 8}"
    check(
        whole,
        f"""g (float[1,2] x) => (y) <{weights}, int64[2] n = {{2, 2}}> {{
            m = MatMul (x, w)
            u, v = Split <axis = 1> (m, n)
            a = {first} (u)
            b = {second} (v)
            y = Mul (a, b)
        }}""",
        f"""g (float[1,2] x) => (y) <{weights}, float[4] z = {{0, 0, 0, 0}}, int64[2] n = {{2, 2}}> {{
            m = edgegate.Linear (x, w, z)
            u, v = Split <axis = 1> (m, n)
            a = edgegate.unary.{first} (u)
            b = edgegate.unary.{second} (v)
            y = {_gate("Paired", "F2", value="Tanh")} ({order})
        }}""",
    )


@pytest.mark.parametrize(("other", "kind"), [("0, 2, 3, 0", ("Masked", "F3")), ("0, 2, 3, 1", ("Paired", "F2"))])
def test_masked_halves_of_one_matrix_are_a_pair_of_their_own(other, kind):
    weights = f"float[2,2] w = {{1, 0, 0, 4}}, float[2,2] v = {{{other}}}, float[2] z = {{0, 0}}"
    check(
        whole,
        f"""g (float[1,2] x) => (y) <{weights}> {{
            m = MatMul (x, w)
            n = MatMul (x, v)
            s = Sigmoid (n)
            y = Mul (m, s)
        }}""",
        f"""g (float[1,2] x) => (y) <{weights}> {{
            m = edgegate.Linear (x, w, z)
            n = edgegate.Linear (x, v, z)
            s = edgegate.unary.Sigmoid (n)
            y = {_gate(*kind)} (m, s)
        }}""",
    )


@pytest.mark.parametrize(("product", "gate"), [("s, u", "u, s"), ("v, u", "v, u")])
def test_a_gate_made_from_the_value_is_no_pair(product, gate):
    weights = "float[2,2] w = {1, 2, 3, 4}, float[2] z = {0, 0}"
    check(
        whole,
        f"""g (float[1,2] x) => (y, s) <{weights}> {{
            u = MatMul (x, w)
            v = MatMul (u, w)
            s = Sigmoid (v)
            y = Mul ({product})
        }}""",
        f"""g (float[1,2] x) => (y, s) <{weights}> {{
            u = edgegate.Linear (x, w, z)
            v = edgegate.Linear (u, w, z)
            s = edgegate.unary.Sigmoid (v)
            y = {_gate("Product", "", "Sigmoid" if "s" in gate else "")} ({gate})
        }}""",
    )


def test_an_ancestor_far_back_makes_no_pair():
    weights = "float[2,2] w = {1, 2, 3, 4}, float[2] z = {0, 0}"
    layers = (
        "\n".join(f"{b}{i + 1} = MatMul ({b}{i}, w)" for b in "uv" for i in range(3))
        .replace("u0", "x")
        .replace("v0", "x")
    )
    check(
        whole,
        f"g (float[1,2] x) => (y) <{weights}> {{ {layers} y = Mul (u3, v3) }}",
        f"""g (float[1,2] x) => (y) <{weights}> {{
            {layers.replace("MatMul", "edgegate.Linear").replace("w)", "w, z)")}
            y = {_gate("Product", "", "")} (u3, v3)
        }}""",
    )


def test_a_normed_value():
    check(
        whole,
        """g (float[1,2] x, float[1,2] z) => (y) <float[2] k = {1, 2}> {
            n = LayerNormalization (x, k)
            s = Sigmoid (z)
            y = Mul (n, s)
        }""",
        f"""g (float[1,2] x, float[1,2] z) => (y) <float[2] k = {{1, 2}}> {{
            n = LayerNormalization (x, k)
            s = edgegate.unary.Sigmoid (z)
            y = {_gate("Product", "F14")} (n, s)
        }}""",
    )


def test_constants_and_integers_are_no_gates():
    unchanged(
        name_gates,
        """g (float[1,2] x, float[1,2] z) => (y, i) <float[2,2] map = {1, 2, 3, 4}> {
            y = Mul (x, map)
            n = Cast <to = 6> (x)
            i = Mul (n, n)
        }""",
    )
