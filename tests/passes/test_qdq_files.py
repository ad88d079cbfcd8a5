"""Files that ONNX Runtime's own quantizer wrote: their integers are what they compute, step for step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import edgegate

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((24, 3, 8, 8)).astype(np.float32)


class Reader(CalibrationDataReader):
    def __init__(self) -> None:
        self.left = iter(IMAGES)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self.left, None)
        return None if image is None else {"x": image[None]}


def network(path: Path) -> None:
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
        g (float[1, 3, 8, 8] x) => (float[1, 5] y) {
        c = Conv <pads = [1, 1, 1, 1]> (x, w, b)
        r = Relu(c)
        v = Conv(r, k)
        g = Conv(r, h)
        s = Sigmoid(g)
        p = Mul(v, s)
        m = GlobalAveragePool(p)
        f = Flatten(m)
        y = Gemm(f, l)
    }""")
    shapes = {"w": (6, 3, 3, 3), "b": (6,), "k": (8, 6, 3, 3), "h": (8, 6, 3, 3), "l": (8, 5)}
    for name, dims in shapes.items():
        data = (RNG.standard_normal(dims) * 0.3).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(data, name))
    onnx.save(model, path)


def run(model: bytes, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options)
    return np.concatenate([session.run(None, {"x": image[None]})[0] for image in images])


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8])
def test_a_file_of_onnx_runtime(tmp_path: Path, per_channel: bool, activations: QuantType) -> None:
    network(tmp_path / "float.onnx")
    quantize_static(
        tmp_path / "float.onnx", tmp_path / "q.onnx", Reader(), quant_format=QuantFormat.QDQ,
        activation_type=activations, weight_type=QuantType.QInt8, per_channel=per_channel,
    )  # fmt: skip
    given = onnx.load(tmp_path / "q.onnx")
    data, scheme, _ = edgegate.quantize(tmp_path / "q.onnx", input_range=(-4.0, 4.0))
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in given.graph.initializer}
    scales = {v.item() for k, v in constants.items() if k.endswith("_scale") and v.size == 1}
    assert {s.scale for s in scheme.values.values() if s.dtype != "int16"} <= scales
    stored = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load_from_string(data).graph.initializer}
    theirs = [v.ravel() for k, v in constants.items() if k.endswith("_quantized") and v.ndim > 1]
    ours = [v.ravel() for k, v in stored.items() if ".weight" in k]  # layers that read one input are one
    assert np.array_equal(np.sort(np.concatenate(ours)), np.sort(np.concatenate(theirs)))
    step = next(v.item() for k, v in constants.items() if k == "y_scale")
    assert np.abs(run(data, IMAGES) - run(given.SerializeToString(), IMAGES)).max() < 1.01 * step
