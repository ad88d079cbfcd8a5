"""What quantization did to each layer, in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgegate.graph import LAYER, SOURCE, shape
from edgegate.quant.attention_report import AttentionReport
from edgegate.quant.formats import format_named
from edgegate.quant.selection import Choice
from edgegate.quant.weights import Layer


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """One layer.

    Attributes:
        name: Of the value that it makes.
        layer: The torch module's dotted name, or "".
        source: The line of the user's code, or "".
        weight: Name of its weights.
        shape: Of its float weights.
        format: Of its weights; "int8" has a scale per output channel.
        activations: Format of its input; "int8" and "int16" are static, "float" is as it was.
        transform: "identity", "hadamard", "wush_diag" or "wush".
        folded: How much of the transform costs nothing: "", "diagonal" or "all".
        rho: Predicted loss of WUSH over that of Hadamard, in [1/d, 1]; None in int8.
        sqnr_before: Signal to quantization noise of the layer's output on held-out vectors, in dB, without a
            transform; None in int8. Layers that share a transform are measured together.
        sqnr_after: With it.
        sqnr: By transform, of all that were tried.
        multiplications: Of the layer per inference.
        operations: Multiplications per inference that the transform adds (additions, for Hadamard); counted once
            among layers that share it.
        weight_bytes: Of the stored weights, their scales included.
        transform_bytes: Of the transform's matrices; counted once.
        bits_per_value: Of the weights.
        padding: Channels of zeros that fill the last block.
        reason: Why the transform, or why it is in int8.
    """

    name: str
    layer: str
    source: str
    weight: str
    shape: tuple[int, ...]
    format: str
    activations: str
    transform: str = "identity"
    folded: str = ""
    rho: float | None = None
    sqnr_before: float | None = None
    sqnr_after: float | None = None
    sqnr: Mapping[str, float] | None = None
    multiplications: int
    operations: int = 0
    weight_bytes: int
    transform_bytes: int = 0
    bits_per_value: float
    padding: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """All layers, in graph order.

    Attributes:
        layers: One entry each.
        moments: By source of a transform: where its moments came from ("calibration", "gamma", "synthetic").
        attention: One entry for each product of queries and keys, if they were asked for.
        warnings: What may be less exact than the formats promise, a sentence each.
    """

    layers: tuple[LayerReport, ...]
    moments: Mapping[str, str]
    attention: tuple[AttentionReport, ...] = ()
    warnings: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Plain JSON values."""
        float_bytes = sum(4 * math.prod(layer.shape) for layer in self.layers)
        return {
            "layers": [asdict(layer) for layer in self.layers],
            "moments": dict(self.moments),
            "attention": [asdict(product) for product in self.attention],
            "warnings": list(self.warnings),
            "totals": {
                "float_bytes": float_bytes,
                "weight_bytes": sum(layer.weight_bytes for layer in self.layers),
                "transform_bytes": sum(layer.transform_bytes for layer in self.layers),
                "operations": sum(layer.operations for layer in self.layers),
            },
        }


def decibels(loss: float) -> float:
    """``-10 log10(loss)``, at most 200: a loss of zero has no logarithm."""
    return 200.0 if loss <= 1e-20 else -10 * math.log10(loss)


def described(choice: Choice) -> list[LayerReport]:
    """The layers of a site; the transform's cost stands with the first."""
    site, taken = choice.site, choice.candidate
    weights, size = site.weights, site.block
    positions = math.prod(shape(site.source)) // site.channels
    stored = 0
    if not taken.folded and taken.transform.kind in ("wush_diag", "wush"):
        stored = taken.transform.matrices.size * taken.transform.dtype.itemsize
    sqnr = {kind: decibels(loss) for kind, loss in choice.losses.items()}
    made = []
    for index, layer in enumerate(site.layers):
        data = layer.data()
        padding = -site.channels % size
        columns = data.size // site.channels
        made.append(LayerReport(
            **identity_of(layer), format=site.storage.weights, activations=site.storage.activations or "float",
            transform=taken.transform.kind, folded=taken.folded, rho=choice.rho, sqnr=sqnr,
            sqnr_before=sqnr["identity"], sqnr_after=decibels(taken.loss),
            operations=taken.multiplications * positions if index == 0 else 0,
            transform_bytes=stored if index == 0 else 0,
            weight_bytes=math.ceil(columns * (site.channels + padding) * weights.bits_per_value / 8),
            bits_per_value=format_named(site.storage.weights).bits_per_value, padding=padding, reason=choice.reason,
        ))  # fmt: skip
    return made


def in_int8(layer: Layer, reason: str) -> LayerReport:
    """A layer with a scale per output channel."""
    count = layer.data().size
    return LayerReport(
        **identity_of(layer), format="int8", activations="int8", weight_bytes=count, bits_per_value=8.0, reason=reason
    )


def identity_of(layer: Layer) -> dict[str, Any]:
    """The names and the shape of a layer."""
    props = layer.node.metadata_props
    return {
        "name": layer.output, "layer": props.get(LAYER, ""), "source": props.get(SOURCE, ""),
        "weight": str(layer.weight.name), "shape": layer.data().shape, "multiplications": products(layer),
    }  # fmt: skip


def products(layer: Layer) -> int:
    """The multiplications of a layer per inference: each output value is a sum over the weights of its channel."""
    data = layer.data()
    if layer.node.op_type == "Affine":
        return math.prod(shape(layer.node.outputs[0]))
    return math.prod(shape(layer.node.outputs[0])) * (data.size // data.shape[layer.axis])
