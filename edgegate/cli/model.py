"""The arguments that ``compile`` and ``quantize`` share."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgegate import files
from edgegate.errors import FileError, InputError

if TYPE_CHECKING:
    from edgegate.options import CompileOptions

SCHEME_LIMIT = 1 << 28
"""Largest scheme file, in bytes."""

Source = Annotated[str, typer.Argument(metavar="MODEL", help="A .pt2, .onnx, .pt (state_dict) or .safetensors file.")]
Calib = Annotated[str, typer.Option("--calib", metavar="FILE|none", help="Calibration inputs, a .npz file.")]
Method = Annotated[str, typer.Option("--calib-method", metavar="NAME", help="Ranges by minmax, percentile or mse.")]
Range = Annotated[
    str | None, typer.Option("--input-range", metavar="LOW,HIGH", help="Range of the inputs if --calib none.")
]
Factory = Annotated[
    str | None, typer.Option("--model", metavar="PKG.MOD:FACTORY", help="What makes the module of a state_dict.")
]
Shape = Annotated[
    list[str] | None,
    typer.Option("--shape", metavar="N,C,H,W", help="Shape of an input that neither file tells; repeatable, in order."),
]
SchemePath = Annotated[
    str | None, typer.Option("--scheme", metavar="FILE", help="Follow this quantization scheme (JSON).")
]
Bits = Annotated[int | None, typer.Option("--activation-bits", help="8, or 16 for every activation.")]
Int16 = Annotated[
    list[str] | None, typer.Option("--int16", metavar="PATTERN", help="Store these values in 16 bits; repeatable.")
]
Sqnr = Annotated[
    float | None, typer.Option("--sqnr", metavar="DB", help="16 bits until --calib shows so many dB against float.")
]
Format = Annotated[
    list[str] | None,
    typer.Option(
        "--format", metavar="[LAYER=]FORMAT",
        help="Store layers in int8 or in blocks (bfp12, mxfp4, w4a8_bfp, WEIGHTS:ACTIVATIONS); repeatable.",
    ),
]  # fmt: skip
Transform = Annotated[
    str,
    typer.Option("--transform", metavar="NAME", help="Before blocks: auto, none, hadamard, wush-diag or wush."),
]
TransformBits = Annotated[
    int, typer.Option("--transform-bits", help="Of a transform's integers, 4 to 8; 0: powers of two.")
]
Rounding = Annotated[
    str, typer.Option("--rounding", metavar="NAME", help="Of weights in blocks: nearest, or gptq (with --calib).")
]
Keys = Annotated[
    str, typer.Option("--keys", metavar="KEYS[:QUERIES]", help="Blocks of attention's keys and queries, or none.")
]
State = Annotated[
    list[str] | None,
    typer.Option("--state", metavar="INPUT=OUTPUT", help="A state of a step, by name or place; repeatable."),
]
Batch = Annotated[int, typer.Option("--batch", min=1, help="Samples per call, where the model leaves it open.")]


def options(
    *, calib: str, input_range: str | None, scheme: str | None, int16: list[str] | None, shape: list[str] | None,
    model: str | None, format: list[str] | None, **plain: Any,
) -> CompileOptions:  # fmt: skip
    """The options that the arguments ask for; ``plain`` are those that need no reading.

    The factory of ``model`` is looked for in the current folder too, after everything that is installed.

    Raises:
        FileError: A file that an argument names is missing or damaged.
        UnsafeError: It holds Python objects.
        InputError: An argument is no number.
        ValueError: An option is impossible.
    """
    from edgegate.options import CompileOptions

    if model is not None and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return CompileOptions(
        model=model,
        shapes=tuple(map(dimensions, shape or ())),
        calib=calibration(calib),
        input_range=pair(input_range),
        scheme=scheme_text(scheme),
        int16=tuple(int16 or ()),
        formats=tuple(format or ("int8",)),
        **plain,
    )


def calibration(path: str) -> dict[str, Any] | None:
    """The arrays of the calibration file by name; None for "none".

    Raises:
        FileError: It is missing or damaged.
        UnsafeError: It holds Python objects.
    """
    if path == "none":
        return None
    from edgegate import _npz

    return _npz.load(path)


def scheme_text(path: str | None) -> str | None:
    """The text of the scheme file, which is JSON.

    Raises:
        FileError: It is missing or damaged.
    """
    if path is None:
        return None
    text = files.read(path, SCHEME_LIMIT)
    try:
        json.loads(text)
    except (ValueError, RecursionError) as e:  # UnicodeDecodeError is a ValueError
        raise FileError(f"{files.show(path)}: no JSON ({e})") from e
    return text.decode()


def dimensions(text: str) -> tuple[int, ...]:
    """The whole numbers of "N,C,H,W".

    Raises:
        InputError: It is anything else.
    """
    try:
        return tuple(map(int, text.split(",")))
    except ValueError as e:
        raise InputError(f"--shape: expected whole numbers such as 1,3,224,224, got {text!r}") from e


def pair(text: str | None) -> tuple[float, float] | None:
    """The two numbers of "LOW,HIGH".

    Raises:
        InputError: It is anything else.
    """
    if text is None:
        return None
    try:
        low, high = map(float, text.split(","))
    except ValueError as e:
        raise InputError(f"--input-range: expected LOW,HIGH, got {text!r}") from e
    return low, high
