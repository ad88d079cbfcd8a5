"""The straight line: a model in, an artifact out. Everything else is a stage of this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from edgegate import frontend, stages
from edgegate.graph import Array
from edgegate.options import CompileOptions
from edgegate.passes import FLOAT, INTEGER, run
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Recipe, Scheme, quantize_scheme
from edgegate.report import report
from edgegate.stages import Proof
from edgegate.targets import names, target

if TYPE_CHECKING:
    from edgegate.artifact import Artifact


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
    build = target(options.target)(options)
    model, _, proof = integer_model(source, example, options)
    return build(model, proof)


def quantize_model(source: Any, example: Any, options: CompileOptions) -> tuple[bytes, Scheme, dict[str, Any]]:
    """The integer graph as ONNX bytes, the scheme that it follows, its gates and what was proved."""
    model, scheme, proof = integer_model(source, example, options)
    return ir.to_proto(model).SerializeToString(deterministic=True), scheme, report(model, proof)


def integer_model(source: Any, example: Any, options: CompileOptions) -> tuple[ir.Model, Scheme, Proof]:
    """The front half: export, normalise, quantize, lower, prove."""
    model = frontend.load(source, example=example, model=options.model, batch=options.batch)
    run(model, FLOAT, stages.floating)
    if options.scheme is not None:
        scheme = Scheme.from_json(options.scheme)
    else:
        recipe = Recipe(method=options.calib_method, int16=options.int16, input_range=options.input_range)
        scheme = quantize_scheme(model, _batches(model, options), recipe)
    to_integer(scheme)(model)
    run(model, INTEGER, stages.integer)
    return model, scheme, stages.prove(model)


def _batches(model: ir.Model, options: CompileOptions) -> Iterator[dict[str, Array]] | None:
    """The calibration data in batches of the model's own size; a rest that fills no batch is left out."""
    if options.calib is None:
        return None
    names = [str(v.name) for v in model.graph.inputs]
    given = {names[0] if key == "" else key: data for key, data in options.calib.items()}
    count = len(next(iter(given.values())))
    starts = range(0, count - options.batch + 1, options.batch)
    return ({k: v[i : i + options.batch] for k, v in given.items()} for i in starts)
