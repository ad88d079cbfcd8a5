"""Writes the trained networks and calibration data as files for the command line.

python -m examples.export build/examples
edgegate compile build/examples/gated_conv.pt --calib build/examples/calib.npz -o gated_conv.egate
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from examples import digits
from examples.train import RECIPES, trained


def export(folder: Path) -> list[Path]:
    """Write ``<network>.pt`` for every example and ``calib.npz`` to ``folder``; the paths written."""
    import edgegate

    folder.mkdir(parents=True, exist_ok=True)
    images = digits.calibration()
    written = []
    for name in RECIPES:
        path = folder / f"{name}.pt"
        edgegate.save(trained(name), (torch.from_numpy(images[:2]),), path)
        written.append(path)
    calibration = folder / "calib.npz"
    np.savez(calibration, x=images)  # x is what the networks call their input
    return [*written, calibration]


def main() -> None:
    """Export to the folder named on the command line, ``build/examples`` if none is."""
    for path in export(Path(*sys.argv[1:2] or ["build/examples"])):
        print(path)


if __name__ == "__main__":
    main()
