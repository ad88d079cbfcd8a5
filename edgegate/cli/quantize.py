"""``edgegate quantize``: a model in, as ONNX out: its integer graph, or a float one with blocks that are quantized."""

from __future__ import annotations

import json as json_format
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgegate.cli import model as arguments
from edgegate.cli.output import Debug, Json, document, note, progress, writable
from edgegate.cli.table import table

if TYPE_CHECKING:
    from edgegate.options import CompileOptions
    from edgegate.quant.scheme import Scheme


Output = Annotated[str | None, typer.Option("--output", "-o", help="The quantized model, an .onnx file.")]
Form = Annotated[
    str | None,
    typer.Option(
        "--form",
        metavar="NAME",
        help="integer; qdq: float, with standard blocked QuantizeLinear and DequantizeLinear; qdq-native: the same "
        "with FLOAT4E2M1. Unless named, qdq for block formats and integer without.",
    ),
]
ReportPath = Annotated[str | None, typer.Option("--report", metavar="FILE", help="Write a report (JSON) here.")]
Plot = Annotated[str | None, typer.Option("--plot", metavar="FILE", help="Draw the report: a .png, .svg or .pdf file.")]
SchemeOut = Annotated[str | None, typer.Option("--scheme-out", metavar="FILE", help="Write the scheme (JSON) here.")]


def quantize(
    source: arguments.Source,
    calib: arguments.Calib = "none",
    output: Output = None,
    form: Form = None,
    report: ReportPath = None,
    plot: Plot = None,
    scheme_out: SchemeOut = None,
    calib_method: arguments.Method = "mse", input_range: arguments.Range = None,
    scheme: arguments.SchemePath = None,
    activation_bits: arguments.Bits = None, int16: arguments.Int16 = None, sqnr: arguments.Sqnr = None,
    format: arguments.Format = None,
    transform: arguments.Transform = "auto",
    transform_bits: arguments.TransformBits = 6,
    rounding: arguments.Rounding = "nearest",
    keys: arguments.Keys = "none",
    model: arguments.Factory = None,
    shape: arguments.Shape = None,
    batch: arguments.Batch = 1,
    state: arguments.State = None,
    json: Json = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Quantize a model, as a graph that ONNX Runtime runs."""
    form = form or ("integer" if set(format or ()) <= {"int8"} and keys == "none" else "qdq")
    ending = ".int.onnx" if form == "integer" else ".qdq.onnx"
    path = output or os.path.splitext(os.path.basename(source))[0] + ending
    writable(path, report, scheme_out, plot, keep=(source, calib, scheme))
    options = arguments.options(
        model=model, shape=shape, batch=batch, form=form, state=state or (), activation_bits=activation_bits, sqnr=sqnr,
        calib=calib, calib_method=calib_method, input_range=input_range, scheme=scheme, int16=int16, format=format,
        transform=transform, transform_bits=transform_bits, rounding=rounding, keys=keys,
    )  # fmt: skip
    graph, chosen, findings = _quantized(source, options, drawn=plot)
    _write({report: _text(findings), scheme_out: chosen.to_json().encode(), path: graph})
    if json:
        document("quantize", output=path, scheme=scheme_out, report=findings)
    for line in (*table(findings), f"{path}: {len(graph)} bytes"):
        note(line)


def _quantized(source: str, options: CompileOptions, drawn: str | None) -> tuple[bytes, Scheme, dict[str, Any]]:
    """The model, its scheme, and the report on both, which is drawn to a file if one is named."""
    from edgegate.api import extra_needed

    with extra_needed(), progress(f"quantizing {source}"):
        from edgegate.compiler import quantize_model

        if drawn is not None:
            from edgegate.plots import draw, kind_of

            kind = kind_of(drawn)
        graph, scheme, findings = quantize_model(source, options.example(), options)
        if drawn is not None:
            _write({drawn: draw(findings, kind)})
    return graph, scheme, findings


def _text(findings: dict[str, Any]) -> bytes:
    return (json_format.dumps(findings, allow_nan=False, indent=1) + "\n").encode()


def _write(outputs: dict[str | None, bytes]) -> None:
    from edgegate import files

    for path, data in outputs.items():
        if path is not None:
            files.write(path, [data])
