"""What quantization did to each product of queries and keys, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AttentionReport:
    """One product.

    Attributes:
        name: Of the value that it makes.
        queries: Torch module that makes the queries, or "".
        keys: Torch module that makes the keys, or "".
        query_format: Of the queries; "float": as they were.
        key_format: Of the keys; "float": as they were.
        groups: For each head of keys "none", "scale", "sort" or "scale+sort"; empty where nothing could be changed.
        ratios: For each head of keys the error of its held-out logits over what it was before the change.
        rotary: Which channels a rotary embedding pairs afterwards; "" where that is not known.
        sqnr_before: Signal to quantization noise of the held-out logits of all heads, in dB, without a change; None
            where it was not measured.
        sqnr_after: With it.
        bits_per_key: Stored bits per value of a cached key: scales, and what fills the last block of a head,
            included.
        vectors: Where the queries and keys came from: "calibration", "gamma" (the norm before the layers) or
            "synthetic"; "" where there are none.
        reason: Why nothing could be changed, or "".
    """

    name: str
    queries: str = ""
    keys: str = ""
    query_format: str = "float"
    key_format: str = "float"
    groups: tuple[str, ...] = ()
    ratios: tuple[float, ...] = ()
    rotary: str = ""
    sqnr_before: float | None = None
    sqnr_after: float | None = None
    bits_per_key: float = 32.0
    vectors: str = ""
    reason: str = ""
