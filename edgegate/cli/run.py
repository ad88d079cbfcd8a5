"""``edgegate run``: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgegate.cli import stages
from edgegate.cli.output import ArtifactPath, Debug, Json, Threads, document, note, writable

if TYPE_CHECKING:
    from edgegate.runtime import Session


def run(
    artifact: ArtifactPath,
    input: Annotated[str, typer.Option("--input", "-i", help="A .npz file by input name, or one array.")],
    output: Annotated[str | None, typer.Option("--output", "-o", help="The outputs, a .npz file.")] = None,
    restore: Annotated[str | None, typer.Option("--restore", metavar="FILE", help="Go on from these states.")] = None,
    save: Annotated[str | None, typer.Option("--save", metavar="FILE", help="Write the states after the run.")] = None,
    operating_point: Annotated[
        str | None,
        typer.Option("--operating-point", metavar="recall=R|T|GATE=T", help="Where the gates decide, by their curves."),
    ] = None,
    threads: Threads = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Run an artifact on the arrays of a file: samples, or of a model with states a sequence, step by step."""
    from edgegate import _npz, files
    from edgegate.artifact import load
    from edgegate.errors import InputError
    from edgegate.runtime import Session

    writable(output, save, keep=(artifact, input, restore))
    loaded = load(artifact)
    held = dict(loaded.manifest.states)
    if (restore or save) and not held:
        raise InputError("--restore and --save are for models with states: this one has none")
    session = Session(loaded, threads=threads, operating_point=operating_point)
    known = {*held, *session.thresholds}
    feed = _named(_npz.load(input), [spec.name for spec in loaded.manifest.inputs if spec.name not in known])
    if restore:
        session.restore(restore)
    results, counts = _results(session, feed)
    if save:
        session.save(save)
    if output:
        files.write(output, [_npz.pack(results)])
    _tell(output, results, counts, json)


def _results(session: Session, feed: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The outputs by name, and of an artifact of stages what became of the samples."""
    from edgegate.stage_plan import is_staged

    if session.artifact.manifest.states:
        return session.run_steps(feed), {}
    if not is_staged(session.artifact) or not all(map(len, feed.values())):
        return session.run(feed), {}
    from edgegate.stage_figures import flow

    found = flow(session, feed)
    return found.outputs, stages.summary(session.artifact, found)


def _tell(output: str | None, results: Mapping[str, Any], counts: Mapping[str, Any], json: bool) -> None:
    if json:
        shown = {name: {"shape": list(y.shape), "dtype": y.dtype.name} for name, y in results.items()}
        document("run", output=output, outputs=shown, **({"stages": counts} if counts else {}))
        return
    for name, y in results.items():
        note(f"{name}: {y.dtype}{list(y.shape)}, {y.min()} to {y.max()}" if y.size else f"{name}: no samples")
    for line in stages.told(counts) if counts else ():
        note(line)


def _named(arrays: Mapping[str, Any], names: list[str]) -> Mapping[str, Any]:
    """The arrays by input name: where there is one of each, the name does not matter."""
    return dict(zip(names, arrays.values(), strict=True)) if len(arrays) == len(names) == 1 else arrays
