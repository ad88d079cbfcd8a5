"""Col2Im, which adds overlapping blocks where they lie in an image, is a transposed convolution with ones.

torch.nn.functional.fold is exported as such; VOLO's outlook attention ends with it.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import array, attribute, constant, insert, matches, shape
from edgegate.passes._rewrite import operand, put


def explicit_folds(model: ir.Model) -> None:
    """Write each Col2Im as a ConvTranspose of groups, one for each channel: a block's element goes to its own place."""
    for node in matches(model, "Col2Im"):
        image, block = (array(v) for v in node.inputs[1:3])
        if image is not None and block is not None:
            _rewrite(model, node, [int(i) for i in image], [int(k) for k in block])


def _rewrite(model: ir.Model, node: ir.Node, image: list[int], block: list[int]) -> None:
    source, rank, name = operand(node), len(image), str(node.outputs[0].name)
    (samples, elements, _), taps = shape(source), int(np.prod(block))
    pads = list(attribute(node, "pads", [0] * 2 * rank))
    strides, dilations = (list(attribute(node, key, [1] * rank)) for key in ("strides", "dilations"))
    reach = [d * (k - 1) + 1 for k, d in zip(block, dilations, strict=True)]
    room = [i + pads[a] + pads[a + rank] - r for a, (i, r) in enumerate(zip(image, reach, strict=True))]
    dims = (samples, elements, *(r // s + 1 for r, s in zip(room, strides, strict=True)))
    assert source.dtype is not None, "every value has a type"
    target = constant(model, f"{name}.dims", np.array(dims, np.int64))
    blocks = insert(
        node, "Reshape", [source, target], {"allowzero": 0}, domain="", name=f"{name}.blocks", dtype=source.dtype,
        dims=dims,
    )  # fmt: skip
    places = np.tile(np.eye(taps, dtype=source.dtype.numpy()), (elements // taps, 1)).reshape(elements, 1, *block)
    settings = {
        "strides": strides, "dilations": dilations, "pads": pads, "group": elements // taps,
        "output_padding": [r % s for r, s in zip(room, strides, strict=True)],
    }  # fmt: skip
    put(node, "ConvTranspose", [blocks, constant(model, f"{name}.places", places)], settings)
