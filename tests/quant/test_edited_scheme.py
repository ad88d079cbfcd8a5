"""A scheme that was written, edited and given back; and one that is not for this model."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from edgegate import interpreter
from edgegate.errors import CompileError
from edgegate.graph import array
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Recipe, Scheme, quantize_scheme
from edgegate.stages import prove
from tests.quant.gated_nets import batches, gated

DOCUMENT = json.loads(quantize_scheme(gated(), batches(), Recipe()).to_json())


def followed(document: dict[str, Any]) -> ir.Model:
    """The integer model of the gated net under an edited scheme, proved."""
    model = gated()
    to_integer(Scheme.from_json(json.dumps(document)))(model)
    prove(model)
    return ir.serde.deserialize_model(onnx.load_from_string(ir.to_proto(model).SerializeToString()))


def edited(part: str, name: str, **changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(DOCUMENT))
    document[part][name].update(changes)
    return document


def logits(model: ir.Model) -> np.ndarray:
    outputs = [interpreter.run(model, feed)["logits"] for feed in batches(4, seed=5)]
    return np.concatenate(outputs)


def test_a_scheme_given_back_gives_the_same_model() -> None:
    model = gated()
    to_integer(quantize_scheme(model, batches(), Recipe()))(model)
    again = gated()
    to_integer(Scheme.from_json(json.dumps(DOCUMENT)))(again)
    assert ir.to_proto(again).SerializeToString(deterministic=True) == ir.to_proto(model).SerializeToString(
        deterministic=True
    )


def coarser(entry: dict[str, Any]) -> dict[str, Any]:
    return {"scale": entry["scale"] * 1.5}


def moved(entry: dict[str, Any]) -> dict[str, Any]:
    """By so much that values saturate: nothing else of a zero point shows."""
    return {"zero_point": entry["zero_point"] + (90 if entry["zero_point"] < 0 else -90)}


def widened(entry: dict[str, Any]) -> dict[str, Any]:
    return {"dtype": "int16", "zero_point": 0, "scale": entry["scale"] / 256}


@pytest.mark.parametrize("edit", [coarser, moved, widened])
@pytest.mark.parametrize("name", ["x", "value", "product", "pooled", "logits"])
def test_an_edit_is_followed(name: str, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Another answer, near to that of the unedited scheme, and the same in ONNX Runtime."""
    model = followed(edited("values", name, **edit(DOCUMENT["values"][name])))
    before, after = logits(followed(DOCUMENT)), logits(model)
    assert not np.array_equal(before, after)
    assert 10 * np.log10(np.sum(before**2) / np.sum((before - after) ** 2)) > 8
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(after, np.concatenate([session.run(None, x)[0] for x in batches(4, seed=5)]))


def test_the_graph_stores_what_the_edit_says() -> None:
    model = followed(edited("values", "x", scale=0.25, zero_point=-7))
    node = next(n for n in model.graph if n.op_type == "QuantizeLinear")
    scale, zero_point = (array(v) for v in node.inputs[1:])
    assert scale == np.float32(0.25)
    assert zero_point == np.int8(-7)


@pytest.mark.parametrize(("document", "said"), [
    (edited("values", "x", zero_point=500), r"values\['x'\]: a zero point of int8"),
    (edited("values", "gate", dtype="int16", zero_point=3), r"values\['gate'\]: a zero point of int16"),
    (edited("values", "gate", scale=0), r"values\['gate'\]: a scale must lie"),
    (edited("weights", "wm", bits=9), r"weights\['wm'\]: bits must be"),
])  # fmt: skip
def test_an_impossible_entry_is_named(document: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        followed(document)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("document", "said"), [
    (edited("values", "logits", scale=2.0**-60), r"to make logits; its inputs and its output differ too much in scale"),
    (edited("values", "value", scale=1e-8), r"\(value value\); check its scales in the scheme"),
    (edited("weights", "wv", axis=1), r"has 8 scales on axis 1 of wv, which is \[8, 3, 3, 3\]; give 8 .* axis 0"),
    (edited("weights", "wm", axis=1), r"has 8 scales on axis 1 of wm, which is \[8, 8, 1, 1\]"),  # would fit axis 1 too
    (edited("weights", "wl", scales=[0.1] * 3), r"has 3 scales on axis 1 of wl, which is \[8, 10\]"),
    ({**DOCUMENT, "biases": {"bv": [0.5, 0.5]}}, r"has 2 corrections for bv, which belongs to 8 channels"),
    ({**DOCUMENT, "biases": {"bw": [0.5]}}, r"names bw, which the model does not have"),
    ({**DOCUMENT, "values": {**DOCUMENT["values"], "gaet": DOCUMENT["values"]["x"]}}, r"names gaet, .* may mean gate"),
])  # fmt: skip
def test_an_edit_that_does_not_fit_the_model_is_named_in_one_line(document: dict[str, Any], said: str) -> None:
    with pytest.raises(CompileError, match=said) as caught:
        followed(document)
    assert "\n" not in str(caught.value)


def test_all_that_a_scheme_of_another_model_lacks_is_told_at_once() -> None:
    document = json.loads(json.dumps(DOCUMENT))
    for part, name in (("values", "x"), ("values", "gate"), ("weights", "wv"), ("weights", "wl")):
        del document[part][name]
    document["values"]["conv_7"] = DOCUMENT["values"]["x"]
    with pytest.raises(CompileError) as caught:
        followed(document)
    missing, unknown = caught.value.problems
    assert missing.what == "does not say how to store values x, gate and weights wv, wl"
    assert unknown.what == "names conv_7, which the model does not have"


def test_a_long_list_is_cut() -> None:
    document = {**DOCUMENT, "values": {**DOCUMENT["values"], **{f"v{i}": DOCUMENT["values"]["x"] for i in range(40)}}}
    with pytest.raises(CompileError, match=r"names v0, .*, v11 and 28 more, which"):
        followed(document)
