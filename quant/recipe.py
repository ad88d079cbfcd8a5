"""What a user can ask of quantization."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from edgegate.quant.layer_formats import layer_format
from edgegate.quant.product_storage import product_formats
from edgegate.quant.scheme import Option

METHODS = ("minmax", "percentile", "mse")
WEIGHT_METHODS = ("absmax", "mse")
TRANSFORMS = ("auto", "none", "hadamard", "wush-diag", "wush")
ROUNDINGS = ("nearest", "gptq")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How ranges are chosen, and which values get 16 bits.

    Attributes:
        method: "minmax" keeps everything seen, "percentile" cuts both tails, "mse" takes the range with the
            least squared error of storing what was seen. Without calibration data nothing is cut: synthetic
            inputs say too little of the tails.
        percentile: Share of the values kept by "percentile", in per cent, in (50, 100].
        activation_bits: 8, or 16 for every activation. None: 8, but in a model that is a step 16 for all but its
            queues (:func:`edgegate.quant.recurrence.in_a_step`).
        int16: Patterns (fnmatch) of layer or value names stored in 16 bits; each must match something.
        int16_below: Values whose 8-bit signal-to-noise ratio, over what was seen, is below this many dB get
            16 bits, if every op that reads them has a 16-bit form; so do, without calibration data and
            without ``input_range``, products of values whose scale is a guess. None: only what ``int16``
            names, and the inputs of layers whose sums would not fit int32.
        sqnr: Least signal-to-noise ratio of the integer outputs against float, in dB: ``int16_below`` rises, to 16
            bits for everything if need be, until half of the calibration data says so of the other half. None: as
            it comes.
        weight_method: "absmax", or "mse" for the clipping with the least squared error, per channel.
        bias_correction: Whether biases make up for the mean shift that rounding the weights causes.
        input_range: Least and greatest value of the model's inputs, if known. Without calibration data the
            inputs are drawn from it (uniform), or from N(0, 1).
        formats: What the layers are stored in: names of formats (:mod:`edgegate.quant.formats`), or "int8" for a
            scale per output channel and activations with static scales. "W:A" gives weights and activations
            formats of their own, "W:none" leaves the activations alone; names of
            :data:`edgegate.quant.layer_formats.PAIRS` stand for such.
            "PATTERN=FORMAT" (fnmatch, of a layer, its weight or its output) is for the layers that match; the
            last that matches counts.
        transform: What may stand before the layers in blocks: "none", "hadamard", "wush-diag", "wush", or
            "auto": for each the one with the least loss on held-out data, none where none helps.
        transform_bits: Bits of an integer transform's entries, 4 to 8; 0: powers of two, signed.
        transform_budget: An on-line transform costs at most this many times its readers' multiplications.
        rounding: Of weights in blocks: "nearest", or "gptq" (needs calibration data).
        keys: What queries and keys are stored in as attention multiplies them: "KEYS:QUERIES", one name for both,
            or "none". Channels of keys are scaled and sorted for it where that helps (K-sort).
        samples: Number of synthetic inputs without calibration data.
        seed: Of the synthetic inputs.

    Raises:
        ValueError: An attribute is impossible.
    """

    method: str = "mse"
    percentile: float = 99.99
    activation_bits: int | None = None
    int16: tuple[str, ...] = ()
    int16_below: float | None = 32.0
    sqnr: float | None = None
    weight_method: str = "mse"
    bias_correction: bool = True
    input_range: tuple[float, float] | None = None
    formats: tuple[str, ...] = ("int8",)
    transform: str = "auto"
    transform_bits: int = 6
    transform_budget: float = 0.5
    rounding: str = "nearest"
    keys: str = "none"
    samples: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        _one_of("method", self.method, METHODS)
        _one_of("weight_method", self.weight_method, WEIGHT_METHODS)
        _one_of("activation_bits", self.activation_bits, (None, 8, 16))
        self._check_blocks()
        self._check_range()
        if not 50 < self.percentile <= 100:
            raise ValueError(f"percentile must lie in (50, 100], got {self.percentile}")
        if isinstance(self.int16, str) or not all(isinstance(p, str) and p for p in self.int16):
            raise ValueError(f"int16 must be a tuple of patterns, got {self.int16!r}")
        for name, ratio in (("int16_below", self.int16_below), ("sqnr", self.sqnr)):
            if ratio is not None and not 0 <= ratio <= 100:
                raise ValueError(f"{name} must lie in [0, 100] dB, got {ratio}")
        if not 2 <= self.samples <= 100_000:
            raise ValueError(f"samples must lie in [2, 100000], got {self.samples}")
        if not 0 <= self.seed < 1 << 63:
            raise ValueError(f"seed must lie in [0, 2**63), got {self.seed}")

    def _check_range(self) -> None:
        if self.input_range is not None:
            low, high = self.input_range
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"input_range must be two numbers, least first, got {self.input_range}")

    def _check_blocks(self) -> None:
        _one_of("transform", self.transform, TRANSFORMS)
        _one_of("transform_bits", self.transform_bits, (0, 4, 5, 6, 7, 8))
        _one_of("rounding", self.rounding, ROUNDINGS)
        if not 0 <= self.transform_budget <= 1000:
            raise ValueError(f"transform_budget must lie in [0, 1000], got {self.transform_budget}")
        product_formats(self.keys)
        if isinstance(self.formats, str) or not self.formats:
            raise ValueError(f"formats must be a tuple of formats, got {self.formats!r}")
        for entry in self.formats:
            layer_format(entry)

    def options(self) -> dict[str, Option]:
        """What a Scheme records of it."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def _one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, got {value!r}")
