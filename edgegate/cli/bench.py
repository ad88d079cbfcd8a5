"""``edgegate bench``: how long a call takes, beside ONNX Runtime if asked."""

from __future__ import annotations

from typing import Annotated

import typer

from edgegate.cli.output import ArtifactPath, Debug, Json, Threads, document, note
from edgegate.errors import InputError


def bench(
    artifact: ArtifactPath,
    peer: Annotated[
        str | None, typer.Option("--peer", metavar="onnxruntime", help="Measure ONNX Runtime in turn with it.")
    ] = None,
    float_model: Annotated[
        str | None, typer.Option("--float", metavar="FILE", help="Let the peer run this float .onnx too.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=3, help="Measurements of each.")] = 50,
    threads: Threads = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure how long a call takes, in the median."""
    if peer not in (None, "onnxruntime"):
        raise InputError(f"--peer: expected onnxruntime, got {peer!r}")
    if float_model and not peer:
        raise InputError("--float needs --peer onnxruntime")
    from edgegate import bench as measuring
    from edgegate._program import processors
    from edgegate.artifact import load
    from edgegate.runtime import Session

    count = threads or len(processors())
    session = Session(load(artifact), threads=count)
    feed = measuring.inputs(session)
    engines = {"edgegate": measuring.call(session, feed)}
    if peer:
        engines |= measuring.peers(session, feed, float_model, threads=count)
    times = measuring.interleaved(engines, rounds=rounds)
    if json:
        document("bench", artifact=artifact, threads=count, rounds=rounds, engines=times)
        return
    for name, found in times.items():
        note(f"{name:<20} {found['median_ms']:.4f} ms  (10%: {found['p10_ms']:.4f}, 90%: {found['p90_ms']:.4f})")
