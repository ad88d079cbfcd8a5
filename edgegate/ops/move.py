"""Standard ops that move elements and compute nothing: they carry no body."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import spread
from edgegate.ops._op import Bound, Interval, Op, Sample
from edgegate.ops._standard import same, union


def _ints(data: Any) -> list[int]:
    """A constant index input as Python integers."""
    return [int(v) for v in np.asarray(data).reshape(-1)]


def resolve(shape: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """The target of a Reshape: 0 copies the input's axis, -1 takes what is left."""
    dims = [shape[i] if d == 0 else d for i, d in enumerate(wanted)]
    if -1 in dims:
        known = int(np.prod([d for d in dims if d != -1]))
        dims[dims.index(-1)] = int(np.prod(shape)) // known
    return dims


def reshape(x: Array, shape: Array, *, allowzero: int = 0) -> Array:
    """ONNX Reshape to a constant shape."""
    return x.reshape(resolve(x.shape, _ints(shape)))


def lower_reshape(x: Any, shape: Array, *, allowzero: int = 0) -> Any:
    """``shape`` is the constant itself, not a tensor."""
    from tvm import topi

    return topi.reshape(x, resolve([int(d) for d in x.shape], _ints(shape)))


def transpose(x: Array, *, perm: Sequence[int]) -> Array:
    """ONNX Transpose."""
    return np.ascontiguousarray(x.transpose(perm))


def lower_transpose(x: Any, *, perm: Sequence[int]) -> Any:
    """As topi has it."""
    from tvm import topi

    return topi.transpose(x, list(perm))


def concat(*inputs: Array, axis: int) -> Array:
    """ONNX Concat."""
    return np.concatenate(inputs, axis)


def lower_concat(*inputs: Any, axis: int) -> Any:
    """As topi has it."""
    from tvm import topi

    return topi.concatenate(inputs, axis)


def split(x: Array, sizes: Array, *, axis: int = 0) -> tuple[Array, ...]:
    """ONNX Split with constant sizes."""
    return tuple(np.split(x, np.cumsum(_ints(sizes))[:-1], axis))


def lower_split(x: Any, sizes: Array, *, axis: int = 0) -> Any:
    """``sizes`` is the constant itself."""
    from tvm import topi

    return list(topi.split(x, [int(i) for i in np.cumsum(_ints(sizes))[:-1]], axis))


def gather(x: Array, indices: Array, *, axis: int = 0) -> Array:
    """ONNX Gather; negative indices count from the end."""
    return np.take(x, indices, axis)


def lower_gather(x: Any, indices: Any, *, axis: int = 0) -> Any:
    """Negative indices are taken from the axis's end; ``to_integer`` has seen that all lie in it."""
    from tvm import te, tirx

    axis, rank, size = axis % len(x.shape), len(indices.shape), int(x.shape[axis % len(x.shape)])
    dims = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])

    def element(*place: Any) -> Any:
        index = indices(*place[axis : axis + rank])
        return x(*place[:axis], tirx.Select(index < 0, index + size, index), *place[axis + rank :])

    return te.compute(dims, element, name="taken")


def _gather_bounds(x: Interval, indices: Interval, **_: Any) -> Bound:
    return same(x)


def _split_bounds(x: Interval, sizes: Interval, *, axis: int = 0) -> Bound:
    """Each part's own interval, where those of its channels are known."""
    if x.channels is None or sizes.data is None or axis % len(x.dims) != len(x.dims) - 1:
        return same(x)
    parts = np.split(x.channels, np.cumsum(_ints(sizes.data))[:-1], 1)
    each = [Interval(low=int(p[0].min()), high=int(p[1].max()), channels=p) if p.size else x for p in parts]
    return Bound(output=each[0], more=tuple(each[1:]))


def _move_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for dtype in (np.int8, np.int32):
        yield Sample(inputs=(spread(rng, dtype, (2, 6, 4)), np.array([0, -1], np.int64)), attributes={"allowzero": 0})


def _transpose_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for perm in ([0, 2, 3, 1], [0, 3, 1, 2], [3, 2, 1, 0]):
        yield Sample(inputs=(spread(rng, np.int8, (2, 3, 4, 5)),), attributes={"perm": perm})


def _concat_samples(rng: np.random.Generator) -> Iterator[Sample]:
    parts = [spread(rng, np.int8, (2, n, 3)) for n in (1, 4, 2)]
    yield Sample(inputs=tuple(parts), attributes={"axis": 1})
    yield Sample(inputs=tuple(p.transpose(0, 2, 1) for p in parts), attributes={"axis": -1})


def _split_samples(rng: np.random.Generator) -> Iterator[Sample]:
    yield Sample(inputs=(spread(rng, np.int8, (2, 9, 3)), np.array([2, 3, 4], np.int64)), attributes={"axis": 1})


def _gather_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for axis in (0, 2):
        index = np.array([[1, 0, -1], [0, -2, 1]], np.int64)
        yield Sample(inputs=(spread(rng, np.int8, (2, 3, 4)), index), attributes={"axis": axis})


def _row(name: str, reference: Any, lower: Any, samples: Any, bounds: Any = same, static: tuple[int, ...] = ()) -> Op:
    return Op(name=name, domain="", reference=reference, bounds=bounds, lower=lower, samples=samples, static=static)


RESHAPE = _row("Reshape", reshape, lower_reshape, _move_samples, static=(1,))
TRANSPOSE = _row("Transpose", transpose, lower_transpose, _transpose_samples)
CONCAT = _row("Concat", concat, lower_concat, _concat_samples, union)
SPLIT = _row("Split", split, lower_split, _split_samples, _split_bounds, static=(1,))
GATHER = _row("Gather", gather, lower_gather, _gather_samples, _gather_bounds)
MOVES = (RESHAPE, TRANSPOSE, CONCAT, SPLIT, GATHER)
