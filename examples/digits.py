"""The data: 1,797 handwritten digits of 8x8 pixels, which scikit-learn carries with it.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998 (its test part). No download is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

Array = np.ndarray[Any, np.dtype[Any]]

TRAIN, TEST = 1297, 500
CALIBRATION = 128


@dataclass(frozen=True, kw_only=True)
class Digits:
    """One part of the data.

    Attributes:
        images: float32 [N, 1, 8, 8] in [0, 1], steps of 1/16.
        labels: int64 [N] in [0, 9].
    """

    images: Array
    labels: Array

    def __post_init__(self) -> None:
        if self.images.shape != (len(self.labels), 1, 8, 8):
            raise ValueError(f"{len(self.labels)} labels, but images of shape {self.images.shape}")


def load() -> tuple[Digits, Digits]:
    """The training and the test part: the same 1,297 and 500 images on every machine."""
    data = load_digits()
    images = (data.images / 16).astype(np.float32)[:, None]
    labels = data.target.astype(np.int64)
    # RandomState, because numpy promises that its stream never changes (NEP 19).
    order = np.random.RandomState(2026).permutation(TRAIN + TEST)
    train, test = order[:TRAIN], order[TRAIN:]
    return Digits(images=images[train], labels=labels[train]), Digits(images=images[test], labels=labels[test])


def calibration() -> Array:
    """The images that calibration sees, float32 [128, 1, 8, 8]: training images, never test images."""
    return load()[0].images[:CALIBRATION]
