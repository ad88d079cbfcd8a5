"""The straight line: a model in, an artifact out. Everything else is a stage of this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from edgegate import frontend, stages
from edgegate.errors import CompileError
from edgegate.graph import Array
from edgegate.options import CompileOptions
from edgegate.passes import FLOAT, run
from edgegate.passes.to_integer import to_integer
from edgegate.quant import Recipe, Scheme, quantize_scheme
from edgegate.stages import Proof
from edgegate.targets import TARGETS

if TYPE_CHECKING:
    from edgegate.artifact import Artifact


def compile_model(source: Any, example: Any, options: CompileOptions) -> Artifact:
    """Turn a trained network into an integer-only program for ``options.target``.

    Args:
        source: A torch module, an exported program, or a path.
        example: Example inputs, where the source does not hold them.
        options: What is asked for.

    Raises:
        CompileError: The model, or the target, does not allow it; every reason is listed.
    """
    machine = TARGETS.get(options.target)
    if machine is None:
        known = ", ".join(sorted(TARGETS)) or "none yet"
        raise CompileError(options.target, "is not a target", f"choose one of: {known}")
    model, scheme, proof = integer_model(source, example, options)
    return machine(model, scheme, proof, options)


def quantize_model(source: Any, example: Any, options: CompileOptions) -> tuple[bytes, Scheme, dict[str, Any]]:
    """The integer graph as ONNX bytes, the scheme that it follows, and what was proved of it."""
    model, scheme, proof = integer_model(source, example, options)
    report = {
        "accumulators": [
            {"node": name, "low": low, "high": high, "bits": bits} for name, low, high, bits in proof.accumulators
        ],
        "rescales": proof.rescales,
        "values": {name: {"low": low, "high": high} for name, (low, high) in proof.values.items()},
    }
    return ir.to_proto(model).SerializeToString(deterministic=True), scheme, report


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
