"""Modules with brevitas quantizers: every scale they were trained with goes into the graph, exactly.

brevitas' own export to ONNX refuses quantized biases, A2Q weights and scales per group, and its integers are looked
up by memory address. Here each quantizer runs once, on the example, and then stands in the graph as what it
said: weights and biases as integers with a DequantizeLinear, activations as QuantizeLinear, Clip and
DequantizeLinear. :mod:`edgegate.passes.read_qdq` takes these out again.

Source: A. Pappalardo et al., "QONNX: Representing Arbitrary-Precision Quantized Neural Networks", 2022, section 4,
for QCDQ.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from edgegate.errors import CompileError, Problem
from edgegate.frontend import _groupwise, _torch
from edgegate.frontend._names import layer_of
from edgegate.frontend._quiet import quiet

_ROUNDS = ("ROUND",)
"""Rounding of activations that a program has: to the nearest."""

Replay = Callable[..., Any]
Problems = list[Problem]


def is_quantized(module: torch.nn.Module) -> bool:
    """Whether brevitas quantizes something in ``module``; does not import brevitas for it."""
    return "brevitas.proxy" in sys.modules and any(True for _ in _quantizers(module))


def plain(module: torch.nn.Module, example: Sequence[torch.Tensor]) -> torch.nn.Module:
    """A copy of ``module``, to be exported in eval mode, whose quantizers are those of ONNX.

    Args:
        module: Holds quantizers of brevitas; it stays as it is.
        example: Its inputs.

    Raises:
        CompileError: A quantizer that integers cannot follow, with the name of its module and the reason; all such
            at once. Or the module does not run on the example.
    """
    from brevitas.graph.calibrate import QuantizationStatusManager

    with _torch.translating(type(module).__name__), quiet(), torch.no_grad():
        twin = copy.deepcopy(module).eval()
        said = _listen(twin, example)
        QuantizationStatusManager.disable_return_quant_tensor(twin)
    problems: Problems = []
    turns: list[list[int]] = []
    for name, proxy in _quantizers(twin):
        replay = _replay(name, proxy, said[name], turns, problems) if said[name] else None
        proxy.skip_create_quant_tensor = True
        if replay is not None:
            proxy.forward = replay
    if problems:
        raise CompileError.of(problems)

    def rewind(*_: Any) -> None:
        for turn in turns:
            turn[0] = 0

    twin.register_forward_pre_hook(rewind)
    return twin


def _quantizers(module: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """The proxies that quantize, by dotted name; one that several modules share comes once."""
    from brevitas.proxy.quant_proxy import QuantProxyFromInjector

    for name, part in module.named_modules():
        if isinstance(part, QuantProxyFromInjector) and part.is_quant_enabled:
            yield name, part


def _listen(module: torch.nn.Module, example: Sequence[torch.Tensor]) -> dict[str, list[Any]]:
    """What every quantizer gets and gives, call by call, when ``module`` runs on the example."""
    said: dict[str, list[Any]] = {}
    hooks = []
    for name, proxy in _quantizers(module):
        calls = said.setdefault(name, [])
        hooks.append(proxy.register_forward_hook(lambda _m, given, out, calls=calls: calls.append((given[0], out))))
    module(*example)
    for hook in hooks:
        hook.remove()
    return said


def _replay(name: str, proxy: Any, calls: list[Any], turns: list[list[int]], problems: Problems) -> Replay | None:
    """What stands for a quantizer in the graph, or None with a problem more."""
    from brevitas.proxy.parameter_quant import BiasQuantProxyFromInjectorBase, WeightQuantProxyFromInjectorBase

    try:
        if isinstance(proxy, (WeightQuantProxyFromInjectorBase, BiasQuantProxyFromInjectorBase)):
            turns.append([0])
            return _constants([_constant(proxy, out) for _, out in calls], turns[-1])
        if _groupwise.is_groupwise(calls[0][1]):
            return _activation_in_blocks(proxy, calls)
        return _activation(proxy, [out for _, out in calls])
    except _Unfit as error:
        problems.append(Problem(where=f"{layer_of(name)} ({name.split('.')[-1]})", what=error.what, fix=error.fix))
        return None


class _Unfit(Exception):
    """A quantizer that integers cannot follow."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.fix = what, fix


def _constants(parts: list[Callable[[], torch.Tensor]], turn: list[int]) -> Replay:
    """Gives the constants in turn: modules that share a quantizer call it one after the other."""

    def forward(*_: Any) -> torch.Tensor:
        part = parts[min(turn[0], len(parts) - 1)]
        turn[0] += 1
        return part()

    return forward


def _constant(proxy: Any, out: Any) -> Callable[[], torch.Tensor]:
    """The DequantizeLinear that makes what a quantizer of weights or biases gave, or the constant in blocks."""
    if _groupwise.is_groupwise(out):
        return _constant_in_blocks(proxy, out)
    _check_integers(out)
    scale, offset = out.scale.detach().float(), out.zero_point.detach().float()
    stored = torch.round(out.value.detach().double() / scale.double() + offset.double())
    if not bool(torch.isfinite(stored).all()):
        raise _Unfit("its scale or its values are not finite", "check the training run")
    kind = next((k for k in (torch.int8, torch.uint8, torch.int32) if _holds(k, stored)), None)
    if kind is None:
        raise _Unfit(f"reaches {float(stored.abs().max()):.3g} steps", "train it with fewer bits")
    wide = [axis for axis, size in enumerate(scale.shape) if size > 1]
    if len(wide) > 1:
        raise _Unfit(f"has scales of shape {list(scale.shape)}", "give one scale, or one per channel")
    attributes = {"axis": _axis(wide, scale, out.value)} if wide else {}
    steps = scale.flatten() if wide else scale.reshape(-1)[0].clone()
    zero = torch.broadcast_to(offset, scale.shape).flatten() if wide else offset.reshape(-1)[0].clone()
    inputs = (stored.to(kind), steps, zero.to(kind))
    return lambda: _op("DequantizeLinear", inputs, torch.float32, attributes)


def _constant_in_blocks(proxy: Any, out: Any) -> Callable[[], torch.Tensor]:
    value, found = out.value.detach().float().clone(), _groupwise.weight_format(proxy, out)
    if found is None:
        fix = "use symmetric integers of 2 to 8 bits in groups of a multiple of 16, or MXFloat8e4m3Weight and its like"
        raise _Unfit("no block format stores what it makes", fix)
    inputs = (value,) if found[1] is None else (value, found[1])
    return lambda: _op("edgegate::InBlocks", inputs, torch.float32, {"format": found[0]})


def _activation_in_blocks(proxy: Any, calls: list[Any]) -> Replay:
    seen = [getattr(given, "value", given).detach() for given, _ in calls]
    name = _groupwise.activation_format(proxy, calls[0][1], seen)
    if name is None:
        fix = "use MXInt8Act, or MXFloat8e4m3Act and its like"
        raise _Unfit("no block format does to activations what it does", fix)
    function = getattr(proxy.fused_activation_quant_proxy, "activation_impl", None)

    def forward(x: torch.Tensor, *_: Any) -> torch.Tensor:
        y = x if function is None else function(x)
        return _op("edgegate::InBlocks", (y,), torch.float32, {"format": name})

    return forward


def _axis(wide: list[int], scale: torch.Tensor, value: torch.Tensor) -> int:
    """The axis of ``value`` that ``scale`` varies along; a bias may have a scale with more axes than it has."""
    return 0 if value.ndim == 1 else wide[0] + value.ndim - scale.ndim


def _holds(kind: torch.dtype, stored: torch.Tensor) -> bool:
    limits = torch.iinfo(kind)
    return bool(((stored >= limits.min) & (stored <= limits.max)).all())


def _activation(proxy: Any, calls: list[Any]) -> Replay:
    """QuantizeLinear, Clip and DequantizeLinear behind the activation function that the quantizer may hold."""
    from brevitas.function.ops import max_int, min_int
    from brevitas.proxy.runtime_quant import DynamicActQuantProxyFromInjector, TruncQuantProxyFromInjector

    if isinstance(proxy, TruncQuantProxyFromInjector):
        raise _Unfit("truncates what it gets", "put a QuantIdentity behind an average pool of torch instead")
    if isinstance(proxy, DynamicActQuantProxyFromInjector):
        raise _Unfit("computes its scale from each input", "train with a static scale, such as Int8ActPerTensorFloat")
    if str(proxy.rounding_mode).upper() not in _ROUNDS:
        raise _Unfit(f"rounds by {proxy.rounding_mode}", "train with float_to_int_impl_type = FloatToIntImplType.ROUND")
    out = calls[0]
    _check_integers(out)
    scale, offset = out.scale.detach().float().reshape(-1), out.zero_point.detach().float().reshape(-1)
    if scale.numel() > 1 or any(not torch.equal(scale, c.scale.detach().float().reshape(-1)) for c in calls[1:]):
        raise _Unfit("has more than one scale", "give activations one scale, scaling_per_output_channel=False")
    low, high = (int(f(bool(out.signed), proxy.is_narrow_range, out.bit_width)) for f in (min_int, max_int))
    kind = next((k for k in (torch.int8, torch.uint8, torch.int16) if _spans(k, low, high)), None)
    if kind is None:
        raise _Unfit(f"has {int(out.bit_width)} bits", "train activations with at most 16 bits, 15 without a sign")
    ends = [torch.tensor(end, dtype=kind) for end in (low, high)]
    step, zero = scale[0].clone(), offset[0].to(kind)
    function = getattr(proxy.fused_activation_quant_proxy, "activation_impl", None)

    def forward(x: torch.Tensor, *_: Any) -> torch.Tensor:
        y = x if function is None else function(x)
        stored = _op("QuantizeLinear", (y, step, zero), kind, {})
        return _op("DequantizeLinear", (_op("Clip", (stored, *ends), kind, {}), step, zero), torch.float32, {})

    return forward


def _spans(kind: torch.dtype, low: int, high: int) -> bool:
    return torch.iinfo(kind).min <= low and high <= torch.iinfo(kind).max


def _check_integers(out: Any) -> None:
    from brevitas.quant_tensor import IntQuantTensor

    if not isinstance(out, IntQuantTensor):
        raise _Unfit(f"makes a {type(out).__name__}", "use a quantizer to integers with one scale, or one per channel")
    if int(out.bit_width) < 2 and not bool(torch.isfinite(out.scale).all()):
        raise _Unfit("has a scale that is not finite", "check the training run")


def _op(name: str, inputs: tuple[torch.Tensor, ...], dtype: torch.dtype, attributes: dict[str, Any]) -> torch.Tensor:
    """One node of standard ONNX, of the shape of its first input."""
    made = torch.onnx.ops.symbolic(name, inputs, attributes, dtype=dtype, shape=inputs[0].shape, version=None)
    assert isinstance(made, torch.Tensor), "one output was asked for"
    return made
