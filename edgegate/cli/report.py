"""``edgegate report``: what an artifact is, without running it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgegate.cli import stages
from edgegate.cli.output import ArtifactPath, Debug, Json, document, printable

if TYPE_CHECKING:
    from edgegate.artifact import Artifact
    from edgegate.manifest import IOSpec, Manifest


Data = Annotated[
    str | None,
    typer.Option("--data", metavar="FILE", help="Run the stages on inputs and labels (.npz): what they save."),
]
Point = Annotated[
    str | None, typer.Option("--operating-point", metavar="recall=R|T|GATE=T", help="Where the gates decide.")
]
Mac = Annotated[
    list[float] | None, typer.Option("--mac-pj", help="Picojoules of a MAC; one, or one for each stage. Default: 0.3.")
]
Byte = Annotated[
    list[float] | None,
    typer.Option(
        "--byte-pj", help="Of a byte between stages; one, or one for each stage but the first. Default: 162.5."
    ),
]


def report(
    artifact: ArtifactPath, data: Data = None, operating_point: Point = None, mac_pj: Mac = None, byte_pj: Byte = None,
    json: Json = False, debug: Debug = False,
) -> None:  # fmt: skip
    """Show what an artifact is, without running it; or what its gates do on labelled data."""
    from edgegate.artifact import load
    from edgegate.stage_plan import is_staged

    loaded = load(artifact)
    manifest = loaded.manifest
    found = None if data is None else _measured(loaded, data, operating_point, mac_pj, byte_pj)
    if json:
        more = {} if found is None else {"figures": found}
        document("report", artifact=artifact, manifest=manifest.document(), **more)
        return
    staged = stages.described(loaded) if is_staged(loaded) else ()
    for line in (*_lines(manifest), *staged) if found is None else stages.lines(found):
        print(printable(line))


def _measured(
    loaded: Artifact, data: str, point: str | None, mac: Sequence[float] | None, byte: Sequence[float] | None
) -> dict[str, Any]:
    """What the gates do on labelled data."""
    from edgegate import _npz
    from edgegate.errors import InputError
    from edgegate.gates import labelled
    from edgegate.stage_figures import Costs, figures, flow
    from edgegate.stage_plan import is_staged, plan_of

    if not is_staged(loaded):
        raise InputError("--data is for artifacts of stages: compile it with --stage-target")
    plan, given = plan_of(loaded), labelled(_npz.load(data))
    costs = Costs.of(len(plan.programs), mac, byte)
    session = loaded.session(operating_point=point)
    names = [spec.name for spec in loaded.manifest.inputs if spec.name not in session.thresholds]
    only = len(names) == len(given.data) == 1
    feed = dict(zip(names, given.data.values(), strict=True)) if only else given.data
    return figures(plan, flow(session, feed), given.positive, costs)


def _lines(manifest: Manifest) -> Iterator[str]:
    target = manifest.target
    yield f"target      {' '.join(filter(None, (target.kind, target.triple, target.mcpu)))}"
    if target.features:
        yield f"needs       {' '.join(target.features)}"
    yield f"arithmetic  {manifest.arithmetic}"
    yield f"made by     edgegate {manifest.edgegate}"
    for word, specs in (("input", manifest.inputs), ("output", manifest.outputs)):
        for spec in specs:
            yield f"{word:<11} {_spec(spec)}"
    yield from _states(manifest)
    yield from _contents(manifest)


def _states(manifest: Manifest) -> Iterator[str]:
    """What a session holds from step to step, and how much that is."""
    specs = {spec.name: spec for spec in manifest.inputs}
    for before, after in manifest.states:
        yield f"state       {before}  {_bytes(specs[before])} bytes  in the next step {after}"
    if manifest.states:
        total = sum(_bytes(specs[before]) for before, _ in manifest.states)
        yield f"states      {total} bytes, read and written in each step"
    if manifest.steps:
        yield f"sequences   {manifest.steps} steps at once"


def _bytes(spec: IOSpec) -> int:
    import numpy

    return int(math.prod(spec.stored_shape) * numpy.dtype(spec.stored_dtype).itemsize)


def _contents(manifest: Manifest) -> Iterator[str]:
    """Files, gates, and what there is to know of how it was made."""
    for name, entry in sorted(manifest.files.items()):
        yield f"file        {name}  {entry.size} bytes  sha256 {entry.sha256[:16]}"
    for name, gate in manifest.gates.items():
        yield f"gate        {name}  {_gate(gate)}"
    proof = dict(manifest.proof)
    if summary := proof.pop("summary", None):
        yield f"proved      {summary}"
    for word, notes in (("option", manifest.options), ("version", manifest.versions), ("proof", proof)):
        for name, value in sorted(notes.items()):
            yield f"{word:<11} {name} = {_short(value)}"


def _spec(spec: IOSpec) -> str:
    how = f"  {spec.storage}" if spec.storage else ""
    return f"{spec.name}  {spec.dtype}{list(spec.shape)}{how}"


def _gate(gate: Mapping[str, Any]) -> str:
    """Kind and family, the functions of value and gate or the sizes of a network, the line of torch code."""
    if gate.get("family") == "logic":
        return _network(gate)
    keys = ("kind", "family", "value_activation", "activation", "layer", "source")
    kind, family, value, function, layer, source = (str(gate.get(key, "")) for key in keys)
    return "  ".join(filter(None, (f"{kind} {family}", f"{value or 'value'} * {function or 'gate'}", layer, source)))


def _network(network: Mapping[str, Any]) -> str:
    """Gates and depth as imported and as compiled, and what else the target says of it."""
    before, after = (network.get("imported_gates"), network.get("imported_depth")), (network["luts"], network["depth"])
    sizes = f"{before[0]} gates, depth {before[1]} -> " if before[0] is not None else ""
    known = ("kind", "family", "layer", "source", "luts", "depth", "imported_gates", "imported_depth")
    rest = "  ".join(f"{name} {_short(value)}" for name, value in network.items() if name not in known)
    words = (f"{sizes}{after[0]} tables, depth {after[1]}", rest, network.get("layer", ""), network.get("source", ""))
    return "Network logic  " + "  ".join(filter(None, map(str, words)))


def _short(value: Any) -> str:
    """``value`` on one line; of a long list or table only the number of its entries."""
    text = str(value)
    return text if len(text) <= 80 else f"{len(value)} entries" if isinstance(value, list | dict) else text[:77] + "..."
