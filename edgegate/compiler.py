"""The straight line: a model in, an artifact out. Everything else is a stage of this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import onnx_ir as ir

from edgegate import frontend, gates, stages
from edgegate.accuracy import Accuracy
from edgegate.calibration import calibration
from edgegate.options import CompileOptions
from edgegate.passes import FLOAT, INTEGER, run
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Recipe, Scheme, quantize
from edgegate.quant.apply import apply_scheme
from edgegate.quant.product_storage import no_integers
from edgegate.report import report
from edgegate.stages import Proof
from edgegate.stages.scans import roll
from edgegate.staging import staged
from edgegate.targets import SEQUENCES, names, target

if TYPE_CHECKING:
    from edgegate.artifact import Artifact


Findings: TypeAlias = dict[str, Any]
"""What a report says, as plain JSON values."""


def compile_model(source: Any, example: Any, options: CompileOptions) -> Artifact:
    """Turn a trained network into an integer-only program for ``options.target``.

    Args:
        source: A torch module, an exported program, or a path.
        example: Example inputs, where the source does not hold them.
        options: What is asked for.

    Raises:
        ValueError: A wrong argument, the target's name among them.
        CompileError: The model cannot be compiled; every reason is listed.
        ToolchainError: What the target builds with is missing.
    """
    if options.target not in names():
        raise ValueError(f"target must be one of {', '.join(names())}, got {options.target!r}")
    if options.form != "integer":
        raise ValueError(f"a program is made of integers: form must be integer, got {options.form!r}")
    if options.steps is not None and options.target not in SEQUENCES:
        raise ValueError(f"steps is for {', '.join(sorted(SEQUENCES))}, not {options.target}: it goes step by step")
    build = staged(options) if options.stage_targets else target(options.target)(options)
    given = None if options.gate_data is None else gates.labelled(options.gate_data)
    model, _, proof = integer_model(source, example, options)
    if given is not None:
        gates.calibrate(model, given, options.recall)
    return build(model, proof)


def quantize_model(source: Any, example: Any, options: CompileOptions) -> tuple[bytes, Scheme, Findings]:
    """The model as ONNX in the form that ``options.form`` asks for, its scheme, and the report on both."""
    model, scheme, findings = quantized_model(source, example, options)
    if options.form == "integer":
        findings = {**findings, **report(model, integer(model, scheme))}
    else:
        from edgegate.passes.to_qdq import to_qdq

        to_qdq(scheme, opset="native" if options.form == "qdq-native" else "runtime")(model)
        roll(model)
    return ir.to_proto(model).SerializeToString(deterministic=True), scheme, findings


def integer_model(source: Any, example: Any, options: CompileOptions) -> tuple[ir.Model, Scheme, Proof]:
    """The front half: export, normalise, quantize, lower, prove."""
    model, scheme, _ = quantized_model(source, example, options)
    return model, scheme, integer(model, scheme)


def integer(model: ir.Model, scheme: Scheme) -> Proof:
    """Turn a float model that has its transforms into integers, and prove that they do not overflow."""
    to_integer(scheme)(model)
    run(model, INTEGER, stages.integer)
    return stages.prove(model)


def quantized_model(source: Any, example: Any, options: CompileOptions) -> tuple[ir.Model, Scheme, Findings]:
    """The float model with the changes of its scheme, the scheme, and the report on its layers if it is new."""
    whole = options.form == "integer"
    if whole and options.keys != "none":
        raise no_integers(f"keys {options.keys}")
    model = frontend.load(
        source, example=example, model=options.model, batch=options.batch, states=options.states
    )  # fmt: skip
    run(model, FLOAT, stages.floating)
    if options.scheme is not None:
        scheme = Scheme.from_json(options.scheme)
        apply_scheme(model, scheme)
        findings: Findings = {}
    else:
        batches = None if options.calib is None else calibration(model, options.calib, options.batch)
        measure = None if batches is None else Accuracy(batches, integer)
        _, scheme, layers = quantize(model, recipe(options), batches, integer=whole, measure=measure)
        findings = layers.document()
        if "sqnr_reached" in scheme.options:
            findings["sqnr"] = scheme.options["sqnr_reached"]
    stages.floating(model)
    return model, scheme, findings


def recipe(options: CompileOptions) -> Recipe:
    """What the options ask of quantization."""
    return Recipe(
        method=options.calib_method, activation_bits=options.activation_bits, int16=options.int16, sqnr=options.sqnr,
        input_range=options.input_range, formats=options.formats,
        transform=options.transform, transform_bits=options.transform_bits, rounding=options.rounding,
        keys=options.keys,
    )  # fmt: skip
