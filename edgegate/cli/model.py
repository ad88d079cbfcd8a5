"""The arguments that ``compile`` and ``quantize`` share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgegate.errors import FileError, InputError

Source = Annotated[str, typer.Argument(metavar="MODEL", help="A .pt2, .onnx, .pt (state_dict) or .safetensors file.")]
Calib = Annotated[str, typer.Option("--calib", metavar="FILE|none", help="Calibration inputs, a .npz file.")]
Method = Annotated[str, typer.Option("--calib-method", metavar="NAME", help="Ranges by minmax, percentile or mse.")]
Range = Annotated[
    str | None, typer.Option("--input-range", metavar="LOW,HIGH", help="Range of the inputs if --calib none.")
]
Factory = Annotated[
    str | None, typer.Option("--model", metavar="PKG.MOD:FACTORY", help="What makes the module of a state_dict.")
]
SchemePath = Annotated[
    str | None, typer.Option("--scheme", metavar="FILE", help="Follow this quantization scheme (JSON).")
]
Int16 = Annotated[
    list[str] | None, typer.Option("--int16", metavar="PATTERN", help="Store these values in 16 bits; repeatable.")
]
Batch = Annotated[int, typer.Option("--batch", min=1, help="Samples per call, where the model leaves it open.")]


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
    """The text of the scheme file."""
    if path is None:
        return None
    from edgegate import files

    try:
        return files.read(path, 1 << 28).decode()
    except UnicodeDecodeError as e:
        raise FileError(f"{files.show(path)}: not a text file") from e


def input_range(text: str | None) -> tuple[float, float] | None:
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
