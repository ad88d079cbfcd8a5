"""From the registers of a tile, rows by columns, to the epilogue."""

from __future__ import annotations

from dataclasses import dataclass

from edgegate.graph import Array
from edgegate.targets.schedules._geometry import Tiles, merge
from edgegate.targets.schedules._kernel import Block, Run
from edgegate.targets.schedules._registers import Expr, bind
from edgegate.targets.schedules._stages import Epilogue, Lanes


@dataclass(frozen=True, kw_only=True)
class Place:
    """Some rows by a tile of columns.

    Attributes:
        tiles: What the tile is one of.
        number: Which.
        rows: How many rows (pixels of a convolution).
        row: The first of them, in the whole output.
    """

    tiles: Tiles
    number: Expr
    rows: int
    row: Expr

    @property
    def first(self) -> Expr:
        """First register of the tile's columns, among all."""
        return self.tiles.first + self.number * self.tiles.vectors


class Places:
    """Hands tiles to an epilogue.

    Args:
        epilogue: What follows the sums.
        starts: First column of each register.
        columns: How many there are.
        one_image: Whether side inputs per image have one row.
    """

    def __init__(self, epilogue: Epilogue, starts: Array, columns: int, *, one_image: bool) -> None:
        self.epilogue, self.starts, self.columns, self.one_image = epilogue, starts, columns, one_image
        self.lanes = epilogue.builder.registers.lanes

    def finish(self, place: Place, sums: dict[int, list[Expr]], kind: str) -> None:
        """Four registers at a time through the epilogue.

        Args:
            place: The tile.
            sums: Per anchor (id of its output), row by row, register by register.
            kind: Their dtype.
        """
        places = [(r, j) for r in range(place.rows) for j in range(place.tiles.vectors)]
        for first in range(0, len(places), 4):
            padded = [min(first + i, len(places) - 1) for i in range(4)]
            blocks = {key: Lanes(dtype=kind, registers=[s[i] for i in padded]) for key, s in sums.items()}
            self.epilogue.finish(self._block(place, places[first : first + 4]), blocks)

    def _block(self, place: Place, places: list[tuple[int, int]]) -> Block:
        """Where the registers at these (row, register) places of a tile go."""
        lanes, tiles = self.lanes, place.tiles
        starts = [int(self.starts[tiles.first + j]) for _, j in places]
        linear = [r * self.columns + s for (r, _), s in zip(places, starts, strict=True)]
        moved = place.number * (tiles.vectors * lanes)
        runs = [
            Run(
                offset=bind(place.row * self.columns + (linear[i] + moved)),
                image=starts[i] + moved if self.one_image else None,
                lanes=n * lanes,
                count=n * lanes if self.columns >= lanes else self.columns,
            )
            for i, n in merge([v if self.columns >= lanes else i * 2 * lanes for i, v in enumerate(linear)], lanes)
        ]
        empty = [Run(offset=0, image=0, lanes=lanes, count=0)] * (4 - len(places))
        slots = [(place.first + j) * lanes for _, j in places]
        return Block(runs=[*runs, *empty], slots=slots + slots[-1:] * (4 - len(places)), packed=False)
