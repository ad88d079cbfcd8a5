"""``edgegate bench``: how long a call takes, beside ONNX Runtime if asked."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from edgegate.cli.output import ArtifactPath, Debug, Json, Threads, document, note
from edgegate.errors import InputError

if TYPE_CHECKING:
    from edgegate.bench import Limit


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
    limit = measuring.limit(session.artifact.manifest)
    feed = measuring.inputs(session)
    engines = {"edgegate": measuring.call(session, feed)}
    if limit:  # turning floats to bits takes longer than the gates
        engines["edgegate, bits"] = measuring.call(session, measuring.stored(session))
    if peer:
        engines |= measuring.peers(session, feed, float_model, threads=count)
    times = measuring.interleaved(engines, rounds=rounds)
    if json:
        told = {"limit": asdict(limit)} if limit else {}
        document("bench", artifact=artifact, threads=count, rounds=rounds, engines=times, **told)
        return
    for name, found in times.items():
        note(f"{name:<20} {found['median_ms']:.4f} ms  (10%: {found['p10_ms']:.4f}, 90%: {found['p90_ms']:.4f})")
    if limit:
        _tell(limit, times["edgegate, bits"]["median_ms"] * 1e6 / session.artifact.manifest.batch)


def _tell(limit: Limit, each: float) -> None:
    """Nanoseconds a sample beside those of the bound."""
    note(f"{each:.1f} ns a sample, rows of bits in, scores out; the gates alone take one core at least")
    note(f"{limit.nanoseconds:.1f} ns: {limit.cycles:.1f} cycles at {limit.gigahertz:.2f} GHz")
