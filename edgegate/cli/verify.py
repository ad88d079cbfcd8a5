"""``edgegate verify``: the artifact's self-test."""

from __future__ import annotations

from edgegate.cli.output import ArtifactPath, Debug, Json, Threads, document, note


def verify(artifact: ArtifactPath, threads: Threads = None, json: Json = False, debug: Debug = False) -> None:
    """Replay an artifact's test vectors bit for bit on this machine."""
    from edgegate.artifact import load
    from edgegate.runtime import Session
    from edgegate.runtime import verify as replay

    passed = replay(Session(load(artifact), threads=threads))
    if json:
        document("verify", artifact=artifact, vectors=passed, passed=True)
    note(f"{artifact}: {passed} test vectors, every bit equal")
