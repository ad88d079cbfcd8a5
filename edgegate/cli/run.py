"""``edgegate run``: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from edgegate.cli.output import ArtifactPath, Debug, Json, Threads, document, note, writable


def run(
    artifact: ArtifactPath,
    input: Annotated[str, typer.Option("--input", "-i", help="A .npz file by input name, or one array.")],
    output: Annotated[str | None, typer.Option("--output", "-o", help="The outputs, a .npz file.")] = None,
    threads: Threads = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Run an artifact on the arrays of a file."""
    from edgegate import _npz, files
    from edgegate.artifact import load
    from edgegate.runtime import Session

    writable(output, keep=(artifact, input))
    loaded = load(artifact)
    feed = _named(_npz.load(input), [spec.name for spec in loaded.manifest.inputs])
    results = Session(loaded, threads=threads).run(feed)
    if output:
        files.write(output, [_npz.pack(results)])
    if json:
        shown = {name: {"shape": list(y.shape), "dtype": y.dtype.name} for name, y in results.items()}
        document("run", output=output, outputs=shown)
        return
    for name, y in results.items():
        note(f"{name}: {y.dtype}{list(y.shape)}, {y.min()} to {y.max()}" if y.size else f"{name}: no samples")


def _named(arrays: Mapping[str, Any], names: list[str]) -> Mapping[str, Any]:
    """The arrays by input name: where there is one of each, the name does not matter."""
    return dict(zip(names, arrays.values(), strict=True)) if len(arrays) == len(names) == 1 else arrays
