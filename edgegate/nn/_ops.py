"""The operators of deployed logic gate networks and stages, as torch.library ops of the namespace ``edgegate``.

Registered when this module is imported. :mod:`edgegate.frontend` exports them as the ONNX nodes Lut, GroupSum,
Threshold and StageGate of the domain ``edgegate``.
"""

from __future__ import annotations

import torch
from torch import Tensor

WIDEST = 6
"""Most inputs of a look-up table."""


def _lut(x: Tensor, indices: Tensor, tables: Tensor) -> Tensor:
    size = _table_size(x, indices, tables)
    bits = (x != 0).to(torch.int32)
    address = torch.arange(len(indices), dtype=torch.int32, device=x.device) * size
    address = address.expand(*x.shape[:-1], len(indices)).clone()
    for j in range(indices.shape[1]):
        address += bits.index_select(-1, indices[:, j]) << j
    return tables.reshape(-1)[address].to(x.dtype)


def _lut_shape(x: Tensor, indices: Tensor, tables: Tensor) -> Tensor:
    _table_size(x, indices, tables)
    return x.new_empty(*x.shape[:-1], indices.shape[0])


def _table_size(x: Tensor, indices: Tensor, tables: Tensor) -> int:
    if x.ndim == 0 or not x.is_floating_point():
        raise ValueError(f"bits are 0.0 and 1.0 in at least one axis, not {x.dtype} of {x.ndim} axes")
    if indices.ndim != 2 or not 1 <= indices.shape[1] <= WIDEST:
        raise ValueError(f"indices must be [m, k] with k in 1..{WIDEST}, got {list(indices.shape)}")
    size = 1 << indices.shape[1]
    if list(tables.shape) != [indices.shape[0], size]:
        expected = [indices.shape[0], size]
        raise ValueError(f"tables of {indices.shape[1]} inputs must be {expected}, got {list(tables.shape)}")
    return size


def _group_sum(x: Tensor, groups: int, tau: float, beta: float) -> Tensor:
    size = _group_size(x, groups)
    padded = torch.nn.functional.pad(x, (0, groups * size - x.shape[-1]))
    return padded.reshape(*x.shape[:-1], groups, size).sum(-1).add(beta) / tau


def _group_sum_shape(x: Tensor, groups: int, tau: float, beta: float) -> Tensor:
    _group_size(x, groups)
    return x.new_empty(*x.shape[:-1], groups)


def _group_size(x: Tensor, groups: int) -> int:
    if groups < 1 or x.ndim == 0:
        raise ValueError(f"cannot sum {list(x.shape)} in {groups} groups")
    return -(-int(x.shape[-1]) // groups)


def _keep(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    x, groups, tau, _ = inputs
    ctx.bits, ctx.size, ctx.tau = x.shape[-1], _group_size(x, groups), tau


def _group_sum_gradient(ctx, gradient):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    spread = (gradient / ctx.tau).repeat_interleave(ctx.size, dim=-1)
    return spread[..., : ctx.bits], None, None, None


def _threshold(x: Tensor, thresholds: Tensor) -> Tensor:
    _check_thresholds(x, thresholds)
    return (x[..., None] > thresholds).to(x.dtype)


def _threshold_shape(x: Tensor, thresholds: Tensor) -> Tensor:
    _check_thresholds(x, thresholds)
    return x.new_empty(*x.shape, thresholds.shape[1])


def _check_thresholds(x: Tensor, thresholds: Tensor) -> None:
    if x.ndim == 0 or thresholds.ndim != 2 or thresholds.shape[0] not in (1, x.shape[-1]):
        what = f"{list(x.shape)} has no thresholds of shape {list(thresholds.shape)}"
        raise ValueError(f"{what}: expected [F, T] or [1, T] for the F features of the last axis")


def _stage_gate(x: Tensor, passed: Tensor) -> Tensor:
    _check_bits(x, passed)
    return x.clone()


def _stage_gate_shape(x: Tensor, passed: Tensor) -> Tensor:
    _check_bits(x, passed)
    return torch.empty_like(x)


def _check_bits(x: Tensor, passed: Tensor) -> None:
    if passed.dtype != torch.bool or x.ndim == 0 or passed.numel() != x.shape[0]:
        raise ValueError(f"one bool a sample says what passes, not {passed.dtype} {list(passed.shape)}")


def _stage_gate_gradient(ctx, gradient):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return gradient, None


lut = torch.library.custom_op("edgegate::lut", _lut, mutates_args=())
lut.register_fake(_lut_shape)
group_sum = torch.library.custom_op("edgegate::group_sum", _group_sum, mutates_args=())
group_sum.register_fake(_group_sum_shape)
group_sum.register_autograd(_group_sum_gradient, setup_context=_keep)
threshold = torch.library.custom_op("edgegate::threshold", _threshold, mutates_args=())
threshold.register_fake(_threshold_shape)
stage_gate = torch.library.custom_op("edgegate::stage_gate", _stage_gate, mutates_args=())
stage_gate.register_fake(_stage_gate_shape)
stage_gate.register_autograd(_stage_gate_gradient)
