"""``torch.nn.RNN`` as ONNX RNN nodes: the exporter itself would write out every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from onnxscript.onnx_opset import opset21 as op


def translations() -> dict[Any, Callable[..., Any]]:
    """What the exporter makes of torch's operators."""
    import torch

    ops = torch.ops.aten
    found = {ops.rnn_tanh.input: _translation("Tanh"), ops.rnn_relu.input: _translation("Relu")}
    return dict(found)


def _translation(activation: str) -> Callable[..., Any]:
    def rnn(
        x: Any, hx: Any, params: Sequence[Any], has_biases: bool, num_layers: int, dropout: float, train: bool,
        bidirectional: bool, batch_first: bool,
    ) -> Any:  # fmt: skip
        """``aten::rnn_tanh.input`` and ``aten::rnn_relu.input``: one node for each layer."""
        turned = partial(op.Transpose, perm=[1, 0, 2])
        ways, x, finals = 1 + bidirectional, turned(x) if batch_first else x, []
        hidden = int(hx.shape[2])
        for layer in range(num_layers):
            initial = op.Slice(hx, [layer * ways], [(layer + 1) * ways], [0])
            weights = _weights(params, layer, ways, 4 if has_biases else 2)
            direction = "bidirectional" if bidirectional else "forward"
            names = [activation] * ways
            y, last = op.RNN(
                x, *weights, None, initial, hidden_size=hidden, direction=direction, activations=names
            )  # fmt: skip
            x = op.Reshape(op.Transpose(y, perm=[0, 2, 1, 3]), [0, 0, ways * hidden])
            finals.append(last)
        last = finals[0] if num_layers == 1 else op.Concat(*finals, axis=0)
        return turned(x) if batch_first else x, last

    return rnn


def _weights(params: Sequence[Any], layer: int, ways: int, count: int) -> list[Any]:
    """W [ways, H, I], R [ways, H, H] and, or None, B [ways, 2 H] of a layer from torch's list."""
    first = layer * ways * count
    each = [params[first + way * count : first + (way + 1) * count] for way in range(ways)]

    def stacked(parts: list[Any]) -> Any:
        raised = [op.Unsqueeze(p, [0]) for p in parts]
        return raised[0] if len(raised) == 1 else op.Concat(*raised, axis=0)

    biases = [op.Concat(p[2], p[3], axis=0) for p in each] if count == 4 else []
    return [stacked([p[0] for p in each]), stacked([p[1] for p in each]), stacked(biases) if biases else None]
