"""``edgegate targets``: what can be compiled for."""

from __future__ import annotations

from edgegate.cli.output import Debug, Json, document


def targets(json: Json = False, debug: Debug = False) -> None:
    """List the targets."""
    from edgegate.api import extra_needed

    with extra_needed():
        from edgegate.targets import names, target

        words = {name: (target(name).__doc__ or "").strip().partition("\n")[0] for name in names()}
    if json:
        document("targets", targets=words)
        return
    for name, text in sorted(words.items()):
        print(f"{name:<12} {text}".rstrip())
