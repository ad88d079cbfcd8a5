import pytest

from edgegate.passes.explicit_shuffles import explicit_shuffles
from tests.passes.text import check


@pytest.mark.parametrize(
    ("op", "shape", "parts", "perm", "after"),
    [
        ("DepthToSpace <blocksize = 2, mode = 'CRD'>", "1,8,2,3", (1, 2, 2, 2, 2, 3), (0, 1, 4, 2, 5, 3), (1, 2, 4, 6)),
        ("DepthToSpace <blocksize = 2>", "1,8,2,3", (1, 2, 2, 2, 2, 3), (0, 3, 4, 1, 5, 2), (1, 2, 4, 6)),
        ("SpaceToDepth <blocksize = 2>", "1,3,4,6", (1, 3, 2, 2, 3, 2), (0, 3, 5, 1, 2, 4), (1, 12, 2, 3)),
    ],
)
def test_shuffles_are_moves(op, shape, parts, perm, after):
    def listed(numbers):
        return ", ".join(map(str, numbers))

    check(
        explicit_shuffles,
        f"g (float[{shape}] x) => (y) {{ y = {op.replace(chr(39), chr(34))} (x) }}",
        f"""g (float[{shape}] x) => (y)
            <int64[6] parts = {{{listed(parts)}}}, int64[4] after = {{{listed(after)}}}> {{
            y_parts = Reshape (x, parts)
            y_moved = Transpose <perm = [{listed(perm)}]> (y_parts)
            y = Reshape (y_moved, after)
        }}""",
    )
