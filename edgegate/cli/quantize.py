"""``edgegate quantize``: a model in, its integer graph as ONNX out."""

from __future__ import annotations

import json as json_format
import os
from typing import Annotated

import typer

from edgegate.cli import model as arguments
from edgegate.cli.output import Debug, Json, document, note, progress, writable


def quantize(
    source: arguments.Source,
    calib: arguments.Calib = "none",
    output: Annotated[str | None, typer.Option("--output", "-o", help="The integer graph, an .onnx file.")] = None,
    report: Annotated[str | None, typer.Option("--report", help="Write a report (JSON) to this file.")] = None,
    scheme_out: Annotated[str | None, typer.Option("--scheme-out", help="Write the scheme (JSON) here.")] = None,
    calib_method: arguments.Method = "mse",
    input_range: arguments.Range = None,
    scheme: arguments.SchemePath = None,
    int16: arguments.Int16 = None,
    model: arguments.Factory = None,
    shape: arguments.Shape = None,
    batch: arguments.Batch = 1,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Quantize a model to integers, as a graph that ONNX Runtime runs."""
    from edgegate import files
    from edgegate.api import extra_needed

    path = output or os.path.splitext(os.path.basename(source))[0] + ".int.onnx"
    writable(path, report, scheme_out, keep=(source, calib, scheme))
    options = arguments.options(
        model=model, shape=shape, batch=batch,
        calib=calib, calib_method=calib_method, input_range=input_range, scheme=scheme, int16=int16,
    )  # fmt: skip
    with extra_needed(), progress(f"quantizing {source}"):
        from edgegate.compiler import quantize_model

        graph, chosen, findings = quantize_model(source, options.example(), options)
    if report:
        files.write(report, [(json_format.dumps(findings, allow_nan=False, indent=1) + "\n").encode()])
    if scheme_out:
        files.write(scheme_out, [chosen.to_json().encode()])
    files.write(path, [graph])
    if json:
        document("quantize", output=path, scheme=scheme_out, report=findings)
    note(f"{path}: {len(graph)} bytes")
