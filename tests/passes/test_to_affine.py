import json

from edgegate.passes.to_affine import NORM, to_affine
from tests.passes.text import check, unchanged


def test_batch_norm_leaves_its_moments():
    model = check(
        to_affine,
        """g (float[1,2,3,3] x) => (y) <float[2] gamma = {-2, 3}, float[2] beta = {1, 2}, float[2] mean = {4, 5},
            float[2] variance = {3, 8}> {
            y = BatchNormalization <epsilon = 1.0> (x, gamma, beta, mean, variance)
        }""",
        """g (float[1,2,3,3] x) => (y) <float[2,1,1] scale = {-1, 1}, float[2,1,1] bias = {5, -3}> {
            y = edgegate.Affine <axis = 1> (x, scale, bias)
        }""",
    )
    (node,) = model.graph
    assert json.loads(node.metadata_props[NORM]) == {"mean": [1, 2], "std": [2, 3]}


def test_arithmetic_with_a_constant_per_channel():
    check(
        to_affine,
        """g (float[1,2,3] x) => (a, b, c, d) <float[2,1] p = {2, 4}, float[3] q = {1, 2, 3}> {
            a = Mul (p, x)
            b = Add (x, q)
            c = Sub (x, q)
            d = Sub (q, x)
        }""",
        """g (float[1,2,3] x) => (a, b, c, d) <float[2,1] p = {2, 4}, float[2,1] zero2 = {0, 0},
            float[3] zero = {0, 0, 0}, float[3] one = {1, 1, 1}, float[3] q = {1, 2, 3}, float[3] n = {-1, -2, -3},
            float[3] minus = {-1, -1, -1}> {
            a = edgegate.Affine <axis = 1> (x, p, zero2)
            b = edgegate.Affine <axis = 2> (x, one, q)
            c = edgegate.Affine <axis = 2> (x, one, n)
            d = edgegate.Affine <axis = 2> (x, minus, q)
        }""",
    )


def test_numbers_maps_and_growing_shapes_stay():
    unchanged(
        to_affine,
        """g (float[1,2,3] x, float[1,1,3] z) => (a, b, c)
            <float n = {2}, float[2,3] map = {1, 2, 3, 4, 5, 6}, float[2,1] p = {2, 4}> {
            a = Mul (x, n)
            b = Add (x, map)
            c = Mul (z, p)
        }""",
    )
    unchanged(to_affine, "g (float[1,2,2,3] x) => (y) <float[2,1] rows = {2, 4}> { y = Mul (x, rows) }")
