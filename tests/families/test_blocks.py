"""Every family in block floating point: transforms change nothing in float, integers have one answer, near to float."""

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from edgegate import interpreter, stages
from edgegate.passes import INTEGER, run
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Recipe, execute, quantize
from tests.families.bench import floating, inputs
from tests.families.table import NETS

LEAST = 18.0
"""dB, of 8-bit blocks of 8 with 8 bits for all that no block is made of."""


@pytest.mark.parametrize("name", NETS)
def test_blocks(name: str) -> None:
    source = floating(name)[1]
    model, feeds = ir.from_proto(ir.to_proto(source)), inputs(source, 1, 16)
    output = str(source.graph.outputs[0].name)
    wanted = np.stack([values[output] for values in execute.run(source, feeds)])
    _, scheme, _ = quantize(model, Recipe(formats=("bfp16_b8",)), feeds)
    again = np.stack([values[output] for values in execute.run(model, feeds)])
    np.testing.assert_allclose(again, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    to_integer(scheme)(model)
    run(model, INTEGER, stages.integer)
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    found = np.stack([session.run(None, feed)[0] for feed in feeds])
    for feed, answer in zip(feeds[:2], found, strict=False):
        np.testing.assert_array_equal(next(iter(interpreter.run(model, feed).values())), answer)
    assert 10 * np.log10(np.square(wanted).sum() / np.square(found - wanted).sum()) > LEAST
