"""Transforms of activations that cost nothing: they go into the constants of the layers before."""

from edgegate.quant.folds.block import fold_blocks, tied_blocks
from edgegate.quant.folds.diagonal import fold_diagonal, tied

__all__ = ["fold_blocks", "fold_diagonal", "tied", "tied_blocks"]
