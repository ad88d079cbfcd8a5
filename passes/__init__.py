"""The passes, in the order they run. Read from top to bottom; each is one file."""

from edgegate.passes._pipeline import Pass, run
from edgegate.passes.absorb_pad import absorb_pad
from edgegate.passes.blocks_to_conv import blocks_to_conv
from edgegate.passes.compose_tables import compose_tables
from edgegate.passes.dead_channels import dead_channels
from edgegate.passes.divide_by_constant import divide_by_constant
from edgegate.passes.divide_by_value import divide_by_value
from edgegate.passes.drop_identities import drop_identities
from edgegate.passes.drop_unread import drop_unread
from edgegate.passes.drop_unused import drop_unused
from edgegate.passes.explicit_axes import explicit_axes
from edgegate.passes.explicit_dft import explicit_dft
from edgegate.passes.explicit_einsum import explicit_einsum
from edgegate.passes.explicit_folds import explicit_folds
from edgegate.passes.explicit_reductions import explicit_reductions
from edgegate.passes.explicit_resize import explicit_resize
from edgegate.passes.explicit_scatters import explicit_scatters
from edgegate.passes.explicit_shapes import explicit_shapes
from edgegate.passes.explicit_shuffles import explicit_shuffles
from edgegate.passes.explicit_triangles import explicit_triangles
from edgegate.passes.explicit_windows import explicit_windows
from edgegate.passes.finite_fills import finite_fills
from edgegate.passes.flat_convs import flat_convs
from edgegate.passes.fold_affine import fold_affine
from edgegate.passes.fold_clips import fold_clips
from edgegate.passes.fold_constants import fold_constants
from edgegate.passes.global_pools import global_pools
from edgegate.passes.hard_gates import hard_gates
from edgegate.passes.join_moves import join_moves
from edgegate.passes.lift_constants import lift_constants
from edgegate.passes.mask_layers import mask_layers
from edgegate.passes.mask_softmax import mask_softmax
from edgegate.passes.masks_to_choices import masks_to_choices
from edgegate.passes.merge_convex import merge_convex
from edgegate.passes.merge_duplicates import merge_duplicates
from edgegate.passes.merge_logic import merge_logic
from edgegate.passes.name_gates import name_gates
from edgegate.passes.name_unary import name_unary
from edgegate.passes.open_branches import open_branches
from edgegate.passes.open_scans import open_scans
from edgegate.passes.optimise_logic import optimise_logic
from edgegate.passes.outer_masks import outer_masks
from edgegate.passes.rank_logits import rank_logits
from edgegate.passes.read_qdq import read_qdq
from edgegate.passes.resizes_to_products import resizes_to_products
from edgegate.passes.roll_loops import roll_loops
from edgegate.passes.settled_arithmetic import settled_arithmetic
from edgegate.passes.settled_choices import settled_choices
from edgegate.passes.share_equal import share_equal
from edgegate.passes.shrink_constants import shrink_constants
from edgegate.passes.signs_to_factors import signs_to_factors
from edgegate.passes.skip_expand import skip_expand
from edgegate.passes.skip_zeros import skip_zeros
from edgegate.passes.split_layers import split_layers
from edgegate.passes.split_slopes import split_slopes
from edgegate.passes.stage_gates import stage_gates
from edgegate.passes.sums_to_products import sums_to_products
from edgegate.passes.taps_to_conv import taps_to_conv
from edgegate.passes.to_affine import to_affine
from edgegate.passes.to_conv import to_conv
from edgegate.passes.to_linear import to_linear
from edgegate.passes.to_row_norm import to_row_norm
from edgegate.passes.to_softmax import to_softmax
from edgegate.passes.to_threshold import to_threshold
from edgegate.passes.trim_conv import trim_conv
from edgegate.passes.unfold_recurrent import unfold_recurrent
from edgegate.passes.whole_numbers import whole_numbers

__all__ = ["FLOAT", "INTEGER", "Pass", "run"]

FLOAT: tuple[Pass, ...] = (
    # One way to write everything: later passes need not know the others.
    lift_constants,
    read_qdq,  # before constants are folded: a folded quantizer has lost its scale
    fold_constants,  # transposed weights, computed shapes: nothing below looks behind a constant
    shrink_constants,
    open_branches,
    open_scans,
    unfold_recurrent,  # once their weights are constants; a step is like any other stretch from here on
    settled_choices,
    settled_arithmetic,
    drop_identities,
    merge_duplicates,
    explicit_axes,
    whole_numbers,
    explicit_dft,
    explicit_einsum,  # before all that knows matrix products
    explicit_folds,  # before to_conv, whose convolutions they become
    to_conv,  # after it, before explicit_windows, which says the same of its convolution as of any other
    explicit_scatters,
    explicit_shuffles,
    explicit_triangles,
    explicit_windows,
    flat_convs,  # after explicit_windows, which writes out their pads
    resizes_to_products,
    explicit_resize,
    explicit_shapes,
    drop_identities,  # again: reshapes to the same shape have shown themselves
    skip_expand,
    finite_fills,
    rank_logits,
    masks_to_choices,  # while what they compare is still a comparison
    to_softmax,
    mask_softmax,  # before constants are folded into what makes the scores
    outer_masks,  # after it: masks inside a softmax are its own
    to_row_norm,  # before sums of products become anything else
    explicit_reductions,  # after it, which knows them as norms
    merge_duplicates,  # again: norms of one value differ in their gains alone
    to_threshold,  # before name_unary, for which a comparison is a function like any other
    hard_gates,  # after it, before name_unary for the same reason
    stage_gates,
    global_pools,  # after explicit_windows, which tells how an AveragePool pads
    # Layers: all that belongs to a convolution or a matrix goes into it.
    taps_to_conv,  # while the constant taps are still a factor
    sums_to_products,  # after it: sums over taps are layers
    fold_constants,  # again: what a product takes of a constant is a constant
    blocks_to_conv,
    explicit_shapes,  # again: what is reshaped for a product may have been reshaped before
    drop_identities,
    absorb_pad,
    trim_conv,  # after absorb_pad, so that a cut sees all the pads
    to_linear,
    # Arithmetic with constants.
    signs_to_factors,
    divide_by_constant,
    divide_by_value,
    merge_convex,  # while 1 - t is still visible
    split_slopes,  # before to_affine: the slopes scale channels
    to_affine,
    name_unary,  # before any folding: x * relu6(x + 3) / 6 must not lose its 3 to the layer before it
    fold_affine,
    dead_channels,  # after it: what a norm scales by zero is zero
    # What the model is about.
    name_gates,  # after name_unary: x * sigmoid(x) is no gate
    drop_unused,
)
"""From the frontend's graph to the normal form that quantization and ``to_integer`` see."""

INTEGER: tuple[Pass, ...] = (
    share_equal,  # two values that are one have one reader each, and the passes below look at readers
    merge_logic,  # before any move of bits is joined with others: gates take its place
    join_moves,  # an identity between a layer and what follows it hides both from each other
    split_layers,  # before the clips and tables: those behind a Split then follow a layer of their own
    fold_clips,  # before the tables: a clip is free in a Rescale, while a Table costs a look-up
    compose_tables,
    mask_layers,  # after split_layers: the halves may be one layer and a chunk
    skip_zeros,  # after mask_layers: halves are full of zeros, but not of blocks of them
    share_equal,  # again: parts of layers and composed tables may be equal
    drop_unread,
    optimise_logic,  # last: no other pass looks into a network
    drop_unread,
    roll_loops,  # behind all: no other pass looks into the body of a Scan
)
"""From what ``to_integer`` writes to what targets see. Each pass keeps every bit of every graph output."""
