"""A ratio that is asked for is reached with as few bits as it takes, or refused."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

import edgegate
from edgegate import frontend, passes, stages
from edgegate.accuracy import MOST, Accuracy
from edgegate.compiler import integer
from edgegate.errors import CompileError
from edgegate.quant import Recipe, Scheme, execute, quantize_scheme
from tests.state.steps import EXAMPLE, STATE, Leaky, X

RNG = np.random.default_rng(0)
DATA = [{"x": RNG.standard_normal((1, 16), np.float32)} for _ in range(80)]


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 4)).eval()


def floating() -> ir.Model:
    model: ir.Model = frontend.load(net(), example=(torch.zeros(1, 16),))
    model.graph.inputs[0].name = "x"
    passes.run(model, passes.FLOAT, stages.floating)
    return model


def chosen(sqnr: float | None, **more: object) -> tuple[Scheme, list[Scheme]]:
    """The scheme, and all that were tried for it."""
    model, tried = floating(), []
    accuracy = Accuracy(DATA, integer)

    def measure(scheme: Scheme) -> float:
        tried.append(scheme)
        return accuracy(model, scheme)

    return quantize_scheme(model, DATA, Recipe(sqnr=sqnr, **more), measure=measure), tried  # type: ignore[arg-type]


def wide(scheme: Scheme) -> int:
    return sum(storage.dtype == "int16" for storage in scheme.values.values())


def test_more_is_asked_with_more_bits_and_no_more_than_that() -> None:
    found = {asked: chosen(asked) for asked in (20.0, 36.0, 38.0)}
    assert [len(tried) for _, tried in found.values()] == sorted(len(tried) for _, tried in found.values())
    for asked, (scheme, tried) in found.items():
        assert float(scheme.options["sqnr_reached"]) >= asked  # type: ignore[arg-type]
        assert wide(scheme) >= wide(tried[0])
    assert len(found[20.0][1]) == 1 and wide(found[20.0][0]) == 0
    assert len(found[38.0][1]) > 1 and wide(found[38.0][0]) > 0


def test_trials_see_one_half_and_the_scheme_sees_all() -> None:
    scheme, (trial,) = chosen(20.0)
    assert trial.values != scheme.values
    assert quantize_scheme(floating(), DATA, Recipe()).values == scheme.values


def test_what_cannot_be_reached_is_refused_with_what_can() -> None:
    with pytest.raises(CompileError, match=r"16 bits for every activation its integers have 4\d\.\d\d dB .* not 90"):
        chosen(90.0)


def test_nothing_to_measure_is_refused() -> None:
    model = floating()
    with pytest.raises(ValueError, match="give calibration data"):
        quantize_scheme(model, None, Recipe(sqnr=30.0), measure=lambda scheme: 0.0)
    with pytest.raises(ValueError, match="two at least"):
        quantize_scheme(model, DATA[:1], Recipe(sqnr=30.0), measure=lambda scheme: 0.0)
    for wrong in (-1.0, 101.0, float("nan")):
        with pytest.raises(ValueError, match="sqnr must lie"):
            Recipe(sqnr=wrong)
        with pytest.raises(ValueError, match="sqnr must lie"):
            edgegate.quantize(net(), None, calib={"": np.zeros((4, 16), np.float32)}, sqnr=wrong)
    data = {"": np.zeros((4, 16), np.float32)}
    for more, said in (({}, "give calibration data"), ({"calib": data, "form": "qdq"}, "the form integer"),
                       ({"calib": data, "scheme": "{}"}, "exclude each other")):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            edgegate.quantize(net(), (torch.zeros(1, 16),), sqnr=30.0, **more)


def test_the_ratio_is_numpys_over_every_other_batch() -> None:
    model, data = floating(), DATA * 2
    scheme = quantize_scheme(model, data, Recipe())
    lowered = ir.from_proto(ir.to_proto(model))
    integer(lowered, scheme)
    output = str(model.graph.outputs[0].name)
    odd = data[1::2][:MOST]
    wanted = np.stack([values[output] for values in execute.run(model, odd)]).astype(np.float64)
    found = np.stack([edgegate.interpreter.run(lowered, feed)[output] for feed in odd])
    ratio = 10 * np.log10(np.sum(wanted**2) / np.sum((wanted - found) ** 2))
    assert Accuracy(data, integer)(model, scheme) == pytest.approx(ratio, abs=1e-6)


def test_a_step_is_measured_over_time() -> None:
    torch.manual_seed(0)
    options = {"state": STATE, "calib": {"": X}, "activation_bits": 8}
    _, plain, _ = edgegate.quantize(Leaky(), EXAMPLE, **options)
    _, scheme, report = edgegate.quantize(Leaky(), EXAMPLE, **options, sqnr=45.0)
    assert report["sqnr"] >= 45 and wide(scheme) > wide(plain)
