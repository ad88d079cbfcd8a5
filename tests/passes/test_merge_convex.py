from edgegate.passes.merge_convex import merge_convex
from tests.passes.text import check, unchanged

AFTER = """g (float[2] x, float[2] a, float[2] b) => (y) {
    t = Sigmoid (x)
    y_difference = Sub (a, b)
    y_step = Mul (y_difference, t)
    y = Add (b, y_step)
}"""


def _before(products: str, rest: str = "Sub (one, t)", more: str = "") -> str:
    return f"""g (float[2] x, float[2] a, float[2] b) => (y{more}) <float one = {{1}}, float two = {{2}}> {{
        t = Sigmoid (x)
        r = {rest}
        {products}
    }}"""


def test_in_any_order():
    check(merge_convex, _before("p = Mul (t, a) q = Mul (r, b) y = Add (p, q)"), AFTER)
    check(merge_convex, _before("p = Mul (b, r) q = Mul (a, t) y = Add (p, q)"), AFTER)


def test_other_sums_of_products_stay():
    unchanged(merge_convex, _before("p = Mul (t, a) q = Mul (r, b) y = Add (p, q)", rest="Sub (two, t)"))
    unchanged(merge_convex, _before("p = Mul (t, a) q = Mul (r, b) y = Add (p, q)", rest="Sub (t, one)"))
    unchanged(merge_convex, _before("p = Mul (t, a) q = Mul (r, b) y = Add (p, q)", more=", p"))
    unchanged(merge_convex, _before("p = Mul (t, a) q = Mul (t, b) y = Add (p, q)", more=", r"))
