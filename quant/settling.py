"""States that calibration was too short for: they still grew when it ended, and would be cut off later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from edgegate.graph import Array
from edgegate.quant.long_memory import Recurrence

GROWTH = 1.25
"""A state still grows if it reached so much further in the second half than in the first one."""
SETTLED = 2.0
"""Calibration is long enough if a state forgets it so many times over, whatever it did meanwhile."""


class Peaks:
    """How far each state reached in each step of a run that is looked at.

    Args:
        recurrences: Of the model.
    """

    def __init__(self, recurrences: Sequence[Recurrence]) -> None:
        self._recurrences = recurrences
        self._peaks: dict[str, list[float]] = {str(r.values[-1].name): [] for r in recurrences}

    def watch(self, steps: Iterable[Mapping[str, Array]]) -> Iterator[Mapping[str, Array]]:
        """``steps``, looked at as they pass."""
        for values in steps:
            for name, peaks in self._peaks.items():
                if name in values:
                    peaks.append(float(np.abs(values[name]).max(initial=0)))
            yield values

    def warnings(self, means: Mapping[str, Array]) -> list[str]:
        """A sentence about each state that remembers more than it was shown, and was still growing.

        Args:
            means: Per channel, of every factor that is computed, by name.
        """
        found = []
        for recurrence in self._recurrences:
            peaks = self._peaks[str(recurrence.values[-1].name)]
            leak, half = max(recurrence.leak(means), 0.0) if recurrence.factors else 0.0, len(peaks) // 2
            if half and leak * len(peaks) < SETTLED and max(peaks[half:]) > GROWTH * max(peaks[:half]):
                memory = f"about {1 / leak:,.0f} steps" if leak > 1e-9 else "all that was"
                found.append(
                    f"the state {recurrence.values[0].name!r} remembers {memory} and was still growing at the end of "
                    f"the {len(peaks):,} steps of calibration: give longer sequences, or it may be cut off later"
                )
        return found
