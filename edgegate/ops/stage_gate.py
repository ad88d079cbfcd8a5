"""StageGate: where a network is cut into stages. What crosses the cut passes as it is; a bit says whether to go on.

    y = x

In a program of one piece nothing depends on the bit, which goes out beside the result. A program of stages runs what
reads ``y`` only for samples whose bit is set. No pass looks through the node, so the integers on both sides of the cut
are the same in both programs.

Source: Li et al., Enhancing Always-On Sensing with Gated Compression (arXiv 2303.08970): a layer that stops negative
samples early, between a sub-network on one core and the next one on another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgegate.graph import Array
from edgegate.ops._elementwise import spread
from edgegate.ops._op import Bound, Interval, Op, Sample
from edgegate.ops._standard import same

BODY = """
<domain: "edgegate", opset_import: ["" : 21]>
StageGate (x, passed) => (y) {
    y = Identity (x)
}
"""


def reference(x: Array, passed: Array) -> Array:
    """The features.

    Args:
        x: Any stored type, any shape: what crosses the cut.
        passed: bool, one a sample: whether the next stage runs.

    Returns:
        ``x``.
    """
    return x.copy()


def lower(x: Any, passed: Any) -> Any:
    """A copy."""
    from tvm import te

    return te.compute(x.shape, lambda *index: x(*index), name="crossing")


def bounds(x: Interval, passed: Interval) -> Bound:
    """Nothing changes."""
    return same(x)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Bytes and words, samples that go on and samples that do not."""
    for dtype, dims in ((np.int8, (3, 4, 5)), (np.int16, (2, 7)), (np.uint8, (1, 2, 2, 3))):
        yield Sample(inputs=(spread(rng, dtype, dims), rng.integers(0, 2, (dims[0], 1)).astype(np.bool_)))


STAGE_GATE = Op(name="StageGate", body=BODY, reference=reference, bounds=bounds, lower=lower, samples=samples)
