"""The float pipeline on real exports: same meaning, right names, normal form."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from edgegate import frontend, passes
from edgegate.graph import LAYER, array, attribute, shape
from edgegate.stages import floating
from tests.passes.zoo import NETS, Zoo

NAMES = list(NETS)


def outputs(model: ir.Model, inputs: list[np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    return session.run(None, {i.name: x for i, x in zip(session.get_inputs(), inputs, strict=True)})


@pytest.fixture(scope="module")
def zoo():
    """The model after the passes, the outputs before and after, and the names that values had before."""
    torch.manual_seed(1)
    module = Zoo().eval()
    for part in module.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.normal_(part.running_mean)
            torch.nn.init.uniform_(part.running_var, 0.5, 2)
            torch.nn.init.normal_(part.weight)
            torch.nn.init.normal_(part.bias)
    inputs = [torch.randn(net.shape) * 2 for net in NETS.values()]
    model = frontend.load(module, example=tuple(inputs))
    arrays = [x.numpy() for x in inputs]
    names = {v.name for node in model.graph for v in node.outputs}
    before = outputs(model, arrays)
    passes.run(model, passes.FLOAT, floating)
    return model, before, outputs(model, arrays), names


def nodes_of(model: ir.Model, name: str) -> list[ir.Node]:
    prefix = f"nets.{name}."
    return [n for n in model.graph if f"{n.metadata_props[LAYER]}.".startswith(prefix)]


@pytest.mark.parametrize("name", NAMES)
def test_meaning_is_kept(zoo, name):
    _, before, after, _ = zoo
    want, got = before[NAMES.index(name)], after[NAMES.index(name)]
    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("name", NAMES)
def test_unary_and_gate_nodes(zoo, name):
    found: Counter[str] = Counter()
    for node in nodes_of(zoo[0], name):
        if node.domain == "edgegate.unary":
            found[node.op_type.split("_")[0]] += 1
        elif node.domain == "edgegate.gate":
            found[f"{node.op_type}/{attribute(node, 'family')}"] += 1
        assert (node.domain, node.op_type) != ("", "Mul"), "a product without a name"
    assert found == Counter(NETS[name].nodes)


def test_every_node_keeps_its_layer(zoo):
    assert sum(len(nodes_of(zoo[0], name)) for name in NAMES) == len(list(zoo[0].graph))


def test_values_keep_their_names(zoo):
    model, _, _, names = zoo
    new = {v.name for node in model.graph for v in node.outputs} - names
    assert all(".step" in n or ".difference" in n for n in new), new  # merge_convex makes two


def test_normal_form_of_layers(zoo):
    model = zoo[0]
    for node in model.graph:
        if node.op_type in ("Conv", "Linear", "Affine"):
            assert all(array(v) is not None for v in node.inputs[1:])
            assert len(node.inputs) == 3
        if node.op_type == "Conv":
            assert set(node.attributes) == {"pads", "strides", "dilations", "group"}
        if node.op_type == "Linear":
            assert shape(node.inputs[1]) == (shape(node.inputs[0])[-1], shape(node.outputs[0])[-1])
    left = {n.op_type for n in model.graph if n.domain == ""}
    assert left <= {
        "Conv", "Add", "Sub", "Relu", "Clip", "ReduceMean", "ReduceMax", "AveragePool", "Concat", "Split", "Max",
        "Where", "Reshape", "Transpose", "Resize", "LayerNormalization",
    }  # fmt: skip


def test_causal_convolutions_pad_before(zoo):
    convs = [n for n in nodes_of(zoo[0], "wavenet") if n.op_type == "Conv"]
    assert sorted(tuple(attribute(n, "pads")) for n in convs) == [(0, 0), (4, 0), (4, 0)]


def test_gates_say_what_made_them(zoo):
    def said(name):
        (gate,) = [n for n in nodes_of(zoo[0], name) if n.domain == "edgegate.gate"]
        return attribute(gate, "activation"), attribute(gate, "value_activation")

    assert said("gated_conv") == ("Sigmoid", "ELU")
    assert said("wavenet") == ("Sigmoid", "Tanh")
    assert said("reglu") == ("ReLU", "")
    assert said("bilinear") == ("", "")
    assert said("swiglu") == ("SiLU", "")
    assert said("attention_gate") == ("Sigmoid", "")


def test_folded_norms_leave_their_moments(zoo):
    nodes = nodes_of(zoo[0], "residual")
    convs = [n for n in nodes if n.op_type == "Conv"]
    assert [n.op_type for n in nodes] == ["Conv", "Relu", "Conv", "Add", "Relu"]
    norm = NETS["residual"].module.norm2
    moments = json.loads(convs[1].metadata_props["edgegate.norm"])
    assert moments["mean"] == norm.bias.tolist()
    assert moments["std"] == norm.weight.abs().tolist()


def test_norms_without_a_layer_become_affine(zoo):
    kinds = [n.op_type for n in nodes_of(zoo[0], "norms")]
    assert kinds == ["Affine", "Conv", "Affine", "Relu", "Add", "ReduceMean", "Linear"]


def test_scales_go_into_the_layer(zoo):
    kinds = [n.op_type for n in nodes_of(zoo[0], "layer_scale")]
    assert kinds == ["Transpose", "Linear", "Transpose", "Add"]


def test_running_the_passes_again_changes_nothing(zoo):
    again = ir.from_proto(ir.to_proto(zoo[0]))
    passes.run(again, passes.FLOAT, floating)
    lines = [[(n.domain, n.op_type, *(v.name for v in n.outputs)) for n in m.graph] for m in (again, zoo[0])]
    assert lines[0] == lines[1]
