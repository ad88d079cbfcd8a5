from edgegate.passes.global_pools import global_pools
from tests.passes.text import check, unchanged


def test_pools_over_everything_become_reductions():
    check(
        global_pools,
        """g (float[1,2,3,4] x) => (a, b, c) {
            a = GlobalAveragePool (x)
            b = GlobalMaxPool (x)
            c = AveragePool <kernel_shape = [3, 4]> (x)
        }""",
        """g (float[1,2,3,4] x) => (a, b, c) <int64[2] axes = {2, 3}> {
            a = ReduceMean <keepdims = 1> (x, axes)
            b = ReduceMax <keepdims = 1> (x, axes)
            c = ReduceMean <keepdims = 1> (x, axes)
        }""",
    )


def test_a_pool_over_less_or_with_pads_stays():
    unchanged(
        global_pools,
        """g (float[1,2,3,3] x) => (a, b) {
            a = AveragePool <kernel_shape = [3, 2]> (x)
            b = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [3, 3]> (x)
        }""",
    )
