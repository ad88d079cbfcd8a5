"""``edgegate verify``: the artifact's self-test, and the proof of its logic."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from edgegate.cli.output import ArtifactPath, Debug, Json, Threads, document, note, progress

if TYPE_CHECKING:
    from edgegate.artifact import Artifact
    from edgegate.proof import Equivalence

Prove = Annotated[
    bool,
    typer.Option("--prove", help="Prove by SAT that the logic computes what was imported, for every input."),
]
Limit = Annotated[float | None, typer.Option("--limit", min=0, help="Seconds that each proof may take.")]


def verify(
    artifact: ArtifactPath,
    threads: Threads = None,
    prove: Prove = False,
    limit: Limit = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Replay an artifact's test vectors bit for bit on this machine."""
    from edgegate.artifact import load
    from edgegate.replay import verify as replay
    from edgegate.runtime import Session

    read = load(artifact)
    shown = _prove(read, limit) if prove else []
    _tell(shown)  # first: a proof needs nothing to run the program on
    passed = replay(Session(read, threads=threads))
    if json:
        proofs = {"proofs": [asdict(e) for e in shown]} if prove else {}
        document("verify", artifact=artifact, vectors=passed, passed=True, **proofs)
    note(f"{artifact}: {passed} test vectors, every bit equal")


def _tell(shown: list[Equivalence]) -> None:
    for e in shown:
        counted = f" and {e.sums} sums of them" if e.sums else ""
        note(
            f"{e.node}: {e.outputs} outputs{counted} equal those of the {e.gates[0]} imported gates for every input, "
            f"proved in {e.seconds:.1f} s ({e.method})"
        )


def _prove(artifact: Artifact, limit: float | None) -> list[Equivalence]:
    from edgegate.api import extra_needed
    from edgegate.proof import prove

    with extra_needed(), progress("proving"):
        return prove(artifact, limit_s=limit)
