"""Every op means one thing: the numpy reference, the ONNX body in ONNX Runtime, and the TVM lowering, bit for bit."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tvm
from onnx import helper, parser
from tvm import te

from edgegate.ops import OWN, STANDARD
from edgegate.ops._op import Op, Sample


def expected(op: Op, sample: Sample) -> tuple[np.ndarray, ...]:
    result = op.reference(*sample.inputs, **sample.attributes)
    return result if isinstance(result, tuple) else (result,)


def functions() -> list[onnx.FunctionProto]:
    return [parser.parse_function(op.body) for op in OWN if op.body]


def run_onnx(op: Op, sample: Sample) -> list[np.ndarray]:
    names = [f"x{i}" for i in range(len(sample.inputs))]
    outputs = [f"y{i}" for i in range(len(expected(op, sample)))]
    node = helper.make_node(op.name, names, outputs, domain=op.domain, **sample.attributes)
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for n, x in zip(names, sample.inputs, strict=True)
    ]
    results = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(y.dtype), y.shape)
        for n, y in zip(outputs, expected(op, sample), strict=True)
    ]
    graph = helper.make_graph([node], "op", inputs, results)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("edgegate", 1)]
    model = helper.make_model(graph, functions=functions(), opset_imports=opsets, ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip(names, sample.inputs, strict=True)))


def run_tvm(op: Op, sample: Sample) -> list[np.ndarray]:
    inputs = [te.placeholder(x.shape, x.dtype.name, name=f"x{i}") for i, x in enumerate(sample.inputs)]
    arguments = [x if i in op.static else t for i, (x, t) in enumerate(zip(sample.inputs, inputs, strict=True))]
    inputs = [t for i, t in enumerate(inputs) if i not in op.static]
    lowered = op.lower(*arguments, **sample.attributes)
    outputs = list(lowered) if isinstance(lowered, list | tuple) else [lowered]
    library = tvm.compile(te.create_prim_func([*inputs, *outputs]), target="llvm")
    results = [tvm.runtime.tensor(np.full_like(y, 77 % 2 if y.dtype == bool else 77)) for y in expected(op, sample)]
    given = [np.ascontiguousarray(x) for i, x in enumerate(sample.inputs) if i not in op.static]
    library["main"](*map(tvm.runtime.tensor, given), *results)
    return [r.numpy() for r in results]


@pytest.mark.parametrize("op", [*OWN, *STANDARD], ids=lambda op: op.name + ("" if op.domain else " (ONNX)"))
@pytest.mark.parametrize("run", [run_onnx, run_tvm])
def test_one_meaning(op: Op, run) -> None:
    for sample in op.samples(np.random.default_rng(0)):
        for got, want in zip(run(op, sample), expected(op, sample), strict=True):
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got, want)


BITS = ("Logic", "Threshold")
"""Ops whose results are bits, which have no magnitude."""


@pytest.mark.parametrize("op", [op for op in OWN if op.name not in BITS], ids=lambda op: op.name)
def test_samples_do_not_saturate(op: Op) -> None:
    """Samples that only hit the clip would hide every rounding error."""
    for sample in op.samples(np.random.default_rng(0)):
        for result in expected(op, sample):
            assert np.unique(result).size > 4
