"""From a float graph and the blocks of a Scheme to a float model of standard ops, for runtimes that know no more.

The weights become codes with a blocked DequantizeLinear; what a layer reads is quantized when it arrives. All that
the integer graph rounds and this one does not is what the Scheme stores as single values.
"""

from __future__ import annotations

from difflib import get_close_matches

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from edgegate.errors import CompileError, Problem
from edgegate.graph import DOMAIN, array, attribute, matches, replace, shape, where
from edgegate.passes._pipeline import Pass
from edgegate.passes.drop_unused import drop_unused
from edgegate.passes.to_qdq._build import FLOAT, Build, Names
from edgegate.passes.to_qdq.activations import quantized
from edgegate.passes.to_qdq.products import quantize_products
from edgegate.passes.to_qdq.transforms import by_matmul
from edgegate.passes.to_qdq.weights import dequantized
from edgegate.quant.formats import format_named
from edgegate.quant.scheme import Scheme
from edgegate.quant.storage import BlockStorage
from edgegate.quant.weights import Layer, layers

OPSETS = {"runtime": 21, "native": 25}
"""What ONNX Runtime reads, and the first that holds every type of the OCP formats."""


def to_qdq(scheme: Scheme, *, opset: str = "runtime") -> Pass:
    """The pass that stores the layers of ``scheme.blocks`` in blocks, and the operands of ``scheme.products``.

    Every weight is dropped as soon as it has codes. Values that layers read are quantized once for all layers that
    ask for the same format, over all of their values for formats with a tensor scale (NVFP4). Corrections of the
    scheme go into the biases of those layers; its other entries are not used.

    Args:
        scheme: For the model as it is: transforms are in it already.
        opset: "runtime": opset 21, which ONNX Runtime 1.32 runs: E2M1 and E2M3 codes are int8, E3M2 codes E4M3,
            scales float32. "native": opset 25: E2M1 codes are float4, scales that are powers of two E8M0, NVFP4's
            E4M3 with a tensor scale.

    Raises:
        ValueError: There is no such ``opset``.
        CompileError: On running it: the scheme names weights that no layer has, or that no blocks fit, or a
            product that is not there.
    """
    if opset not in OPSETS:
        raise ValueError(f"opset must be one of {', '.join(OPSETS)}, got {opset!r}")

    def apply(model: ir.Model) -> None:
        found = [layer for layer in layers(model) if str(layer.weight.name) in scheme.blocks]
        _check(scheme, model, found)
        names = Names.of(model)
        native = opset == "native"
        quantize_products(names, scheme, native=native)
        _quantize_inputs(names, scheme, found, native=native)
        _store_weights(names, scheme, found, native=native)
        _expand(names)
        common.InlinePass()(model)
        drop_unused(model)
        for domain in [d for d in model.opset_imports if d.split(".")[0] == DOMAIN]:
            del model.opset_imports[domain]
        model.opset_imports[""] = OPSETS[opset]
        model.ir_version = max(model.ir_version, {"runtime": 10, "native": 13}[opset])

    apply.__name__ = "to_qdq"
    return apply


def _check(scheme: Scheme, model: ir.Model, found: list[Layer]) -> None:
    """CompileError for names that are no layers' weights, and for layers whose channels form no blocks."""
    problems, axes = [], dict[str, int]()
    for layer in found:
        name = str(layer.weight.name)
        if layer.node.op_type == "Affine" or int(attribute(layer.node, "group", 1)) != 1:
            what = f"{name} is stored in blocks, but its output channels do not read all input channels"
            problems.append(Problem(where=where(layer.node), what=what, fix=f"take {name} out of the scheme's blocks"))
        if axes.setdefault(name, _input_axis(layer)) != _input_axis(layer):
            what = f"reads {name} along another axis than a layer before it"
            problems.append(Problem(where=where(layer.node), what=what, fix="give each layer its own weights"))
    for name in scheme.blocks.keys() - axes.keys():
        near = get_close_matches(name, [str(layer.weight.name) for layer in layers(model)], n=1)
        fix = f"it may mean {near[0]}" if near else "take it out, or quantize this model again"
        problems.append(Problem(where="the scheme", what=f"stores {name} in blocks, which no layer reads", fix=fix))
    if problems:
        raise CompileError.of(problems)


def _input_axis(layer: Layer) -> int:
    """The axis of the input channels in the weights."""
    return 1 if layer.node.op_type == "Conv" else len(shape(layer.weight)) - 2


def _quantize_inputs(names: Names, scheme: Scheme, found: list[Layer], *, native: bool) -> None:
    made: dict[tuple[str, int, str], ir.Value] = {}
    for layer in found:
        activations, source = scheme.blocks[str(layer.weight.name)].activations, layer.node.inputs[0]
        if activations is None or source is None:
            continue
        form = format_named(activations)
        key = (layer.source, layer.channel_axis, form.name)
        if key not in made:
            build = Build(names=names, anchor=layer.node, prefix=f"{layer.source}.{form.name}")
            made[key] = quantized(build, source, layer.channel_axis, form, native=native)
        layer.node.replace_input_with(0, made[key])


def _store_weights(names: Names, scheme: Scheme, found: list[Layer], *, native: bool) -> None:
    readers: dict[str, list[Layer]] = {}
    for layer in found:
        readers.setdefault(str(layer.weight.name), []).append(layer)
    for name, group in readers.items():
        _correct(names, scheme, group)
        _store(names, group, scheme.blocks[name], native=native)


def _store(names: Names, group: list[Layer], storage: BlockStorage, *, native: bool) -> None:
    """Give all layers of one weight its codes, and forget the weight."""
    value, name = group[0].weight, str(group[0].weight.name)
    data, axis = group[0].data(), _input_axis(group[0])
    for layer in group:
        layer.node.replace_input_with(1, None)
    if not (value.uses() or value.is_graph_output() or value.is_graph_input()):
        del names.model.graph.initializers[name]
        names.taken.discard(name)
        value.const_value = None  # the layers still hold the value
    build = Build(names=names, anchor=group[0].node, prefix=name)
    stored = dequantized(build, data, axis, storage, native=native, name=name)
    for layer in group:
        layer.node.replace_input_with(1, stored)


def _correct(names: Names, scheme: Scheme, group: list[Layer]) -> None:
    """Add the scheme's corrections to the biases of these layers."""
    for layer in group:
        bias = layer.bias
        if bias is not None and str(bias.name) in scheme.biases:
            data = layer.bias_data() + np.array(scheme.biases[str(bias.name)])
            fresh = names.constant(f"{bias.name}.corrected", data.astype(np.float32))
            layer.node.replace_input_with(2, fresh)


def _expand(names: Names) -> None:
    """Linear and Transform as standard ops with static shapes: inlined, they would compute shapes and add zeros."""
    for node in matches(names.model, "Linear", "Transform", domain=DOMAIN):
        build = Build(names=names, anchor=node, prefix=str(node.outputs[0].name))
        if node.op_type == "Transform":
            by_matmul(build, node)
            continue
        x, weight, bias = node.inputs
        assert x is not None and weight is not None and bias is not None, "a Linear has three inputs"
        dims = shape(node.outputs[0])
        result = build("MatMul", x, weight, dims=dims, dtype=FLOAT)
        zeros = array(bias)
        if zeros is None or zeros.any():
            result = build("Add", result, bias, dims=dims, dtype=FLOAT)
        replace(node, result)
