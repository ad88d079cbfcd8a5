# mypy: disable-error-code="misc, union-attr, arg-type"
"""Keys and queries in blocks from a torch module to ONNX Runtime: the logits keep more when channels are sorted."""

import json
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgegate import stages
from edgegate.errors import CompileError
from edgegate.quant import Recipe, Scheme, quantize
from edgegate.quant.apply import apply_scheme
from tests.quant.blocks.nets import floats
from tests.quant.kvsort.loud import DIMS, FITTED, KEYS, decibels, graph, in_blocks, logits, net, unsorted
from tests.quant.kvsort.test_kv_sites import Odd

A: dict[str, Any] = {"power": 1.0}
D: dict[str, Any] = {"power": 0.5, "style": "none", "kv": 1, "normed": False}


def quantized(module, calibration=None, keys=KEYS, **options):
    recipe = Recipe(keys=keys, transform="none", samples=16, **options)
    return quantize(graph(module), recipe, calibration, integer=False)


@pytest.mark.parametrize("blind", [True, False])
@pytest.mark.parametrize(
    ("module", "gain"),
    [(A, 12), ({"power": 0.5, "sdpa": True}, 10), ({"power": 0.5, "style": "interleaved parts", "kv": 4}, 10), (D, 10)],
)
def test_logits_keep_more_through_onnx_runtime(module, gain, blind):
    module = net(**module)
    model, scheme, report = quantized(module, None if blind else FITTED)
    stages.floating(model)
    ((name, storage),) = scheme.products.items()
    wanted = logits(graph(module), name)
    same = logits(model, name)
    assert np.abs(same - wanted).max() < 2e-6 * np.abs(wanted).max()
    before = decibels(logits(unsorted(module, name), name), wanted)
    after = decibels(logits(in_blocks(model, scheme), name), wanted)
    (entry,) = report.attention
    assert after > before + gain
    assert abs(entry.sqnr_before - before) < 3 and abs(entry.sqnr_after - after) < 3
    assert storage.scale and all("scale" in kind for kind in entry.groups)


def test_sorting_comes_with_scaling_where_it_pays():
    _, scheme, report = quantized(net(**A), FITTED)
    (entry,), (storage,) = report.attention, scheme.products.values()
    assert (entry.groups, entry.rotary) == (("scale+sort", "scale+sort"), "interleaved")
    assert sorted(storage.order[:32]) == list(range(32)) and storage.rotary == "interleaved"


def test_where_the_vectors_come_from():
    found = {quantized(net(**module), data)[2].attention[0].vectors for module in (A, D) for data in (None, FITTED)}
    assert found == {"gamma", "synthetic", "calibration"}


@pytest.mark.parametrize("keys", ["mxfp4:mxint8", "int4_g32:none", "bfp11_b8"])
@pytest.mark.parametrize("module", [A, D])
def test_never_worse_than_leaving_it(keys, module):
    for calibration in (None, FITTED):
        (entry,) = quantized(net(**module), calibration, keys=keys)[2].attention
        assert entry.sqnr_after >= entry.sqnr_before
        assert all(ratio <= 1 for ratio in entry.ratios)


def test_a_scheme_repeats_it_to_the_byte():
    module = net(**A)
    model, scheme, _ = quantized(module, FITTED, formats=("bfp12",))
    read = Scheme.from_json(scheme.to_json())
    assert read == scheme and any(p.order or p.scale for p in read.products.values())
    again = graph(module)
    apply_scheme(again, read)
    first, second = (ir.to_proto(in_blocks(m, read)).SerializeToString(deterministic=True) for m in (model, again))
    assert first == second


def test_the_report():
    module = net(**A)
    document = quantized(module, FITTED, keys="bfp12_b64:bfp16")[2].document()
    assert json.loads(json.dumps(document, allow_nan=False))["attention"] == json.loads(
        json.dumps(document["attention"])
    )
    (entry,) = document["attention"]
    assert (entry["queries"], entry["keys"]) == ("attention.q", "attention.k")
    assert (entry["query_format"], entry["key_format"]) == ("bfp16", "bfp12_b64")
    assert len(entry["groups"]) == len(entry["ratios"]) == 2
    assert entry["bits_per_key"] == 2 * (4 + 8 / 64)  # half of a block is padding
    assert quantize(graph(module), Recipe(), integer=False)[2].document()["attention"] == []


def test_what_is_not_understood_is_in_blocks_too():
    model = floats(Odd("activation").eval(), 2, 5, 16)
    model, scheme, report = quantize(model, Recipe(keys="bfp12:bfp16"), integer=False)
    (entry,) = report.attention
    assert "Tanh" in entry.reason and entry.sqnr_after is None and not entry.groups
    assert scheme.products[entry.name].keys == "bfp12" and not scheme.products[entry.name].order
    nodes = {node.op_type for node in in_blocks(model, scheme).graph}
    assert {"ReduceMax", "Round"} <= nodes


def test_values_that_are_not_finite():
    loud = [{"x": np.full(DIMS, 3e38, np.float32)}]
    with pytest.raises(CompileError, match="NaN or infinity"):
        quantized(net(**D), loud)
    with pytest.raises(ValueError, match="no batch"):
        quantized(net(**A), [])


@pytest.mark.parametrize("keys", ["", "bfp99", "bfp12:", "none:bfp16", "bfp12:what", "bfp12:bfp16:bfp16"])
def test_formats_that_are_none(keys):
    with pytest.raises(ValueError, match="no block format"):
        Recipe(keys=keys)


def test_no_integers():
    model = graph(net(**A))
    with pytest.raises(CompileError, match=r"no integer form.*leave keys at none"):
        quantize(model, Recipe(keys="bfp12"))
