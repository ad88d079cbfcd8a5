"""The integer op table: to add an op, write its file and name it here."""

from __future__ import annotations

from edgegate.ops._op import Bound, Interval, Op, Sample
from edgegate.ops.add import ADD
from edgegate.ops.arg_max import ARG_MAX
from edgegate.ops.arithmetic import ARITHMETIC
from edgegate.ops.block_matmul import BLOCK_MATMUL
from edgegate.ops.block_quantize import BLOCK_QUANTIZE
from edgegate.ops.block_transform import BLOCK_TRANSFORM
from edgegate.ops.booleans import BOOLEANS
from edgegate.ops.by_index import BY_INDEX
from edgegate.ops.cast import CAST
from edgegate.ops.conv1d import CONV1D
from edgegate.ops.conv2d import CONV2D
from edgegate.ops.conv2d16x8 import CONV2D16X8
from edgegate.ops.cum_sum import CUM_SUM
from edgegate.ops.depthwise_conv2d import DEPTHWISE_CONV2D
from edgegate.ops.divide import DIVIDE
from edgegate.ops.gated_product import GATED_PRODUCT
from edgegate.ops.group_sum import GROUP_SUM
from edgegate.ops.hadamard import HADAMARD
from edgegate.ops.log_softmax import LOG_SOFTMAX
from edgegate.ops.logic import LOGIC
from edgegate.ops.masked_matmul import MASKED_MATMUL
from edgegate.ops.masked_softmax import MASKED_SOFTMAX
from edgegate.ops.matmul import MATMUL
from edgegate.ops.matmul16 import MATMUL16
from edgegate.ops.matmul16x8 import MATMUL16X8
from edgegate.ops.max_pool2d import MAX_POOL2D
from edgegate.ops.move import MOVES
from edgegate.ops.reduce_extremes import REDUCE_EXTREMES
from edgegate.ops.rescale import RESCALE
from edgegate.ops.resize_linear import RESIZE_LINEAR
from edgegate.ops.row_norm import ROW_NORM
from edgegate.ops.softmax import SOFTMAX
from edgegate.ops.stage_gate import STAGE_GATE
from edgegate.ops.sum import SUM
from edgegate.ops.sum_pool2d import SUM_POOL2D
from edgegate.ops.table import TABLE
from edgegate.ops.table16 import TABLE16
from edgegate.ops.threshold import THRESHOLD
from edgegate.ops.top_k import TOP_K

OWN = (
    ADD,
    BLOCK_MATMUL,
    BLOCK_QUANTIZE,
    BLOCK_TRANSFORM,
    CONV1D,
    CONV2D,
    CONV2D16X8,
    DEPTHWISE_CONV2D,
    DIVIDE,
    GATED_PRODUCT,
    GROUP_SUM,
    HADAMARD,
    LOGIC,
    LOG_SOFTMAX,
    MASKED_MATMUL,
    MASKED_SOFTMAX,
    MATMUL,
    MATMUL16,
    MATMUL16X8,
    MAX_POOL2D,
    *REDUCE_EXTREMES,
    RESCALE,
    RESIZE_LINEAR,
    ROW_NORM,
    SOFTMAX,
    STAGE_GATE,
    SUM,
    SUM_POOL2D,
    TABLE,
    TABLE16,
    THRESHOLD,
)
"""The ops of the project's own domain."""
STANDARD = (ARG_MAX, CAST, CUM_SUM, TOP_K, *ARITHMETIC, *BOOLEANS, *BY_INDEX, *MOVES)
"""Ops of the standard domain that are exact on integers as they are."""
OPS: dict[tuple[str, str], Op] = {(op.domain, op.name): op for op in (*OWN, *STANDARD)}
"""Every op by (domain, op type)."""

__all__ = ["OPS", "OWN", "STANDARD", "Bound", "Interval", "Op", "Sample"]
