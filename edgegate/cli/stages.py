"""What ``run`` and ``report`` tell of an artifact of stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgegate.artifact import Artifact
    from edgegate.stage_figures import Flow


def summary(artifact: Artifact, found: Flow) -> dict[str, Any]:
    """What became of samples, as plain JSON values."""
    from edgegate.stage_plan import plan_of

    plan = plan_of(artifact)
    stopped = {name: int(row.sum()) for name, row in zip(plan.cuts, found.stopped, strict=True)}
    ran = {p.file: int(row.sum()) for p, row in zip(plan.programs, found.ran, strict=True)}
    sent = {"dense": int(found.dense.sum()), "packed": int(found.packed.sum())}
    return {"samples": found.samples, "passed": int(found.passed.sum()), "stopped": stopped, "ran": ran, "bytes": sent}


def told(counts: Mapping[str, Any]) -> Iterator[str]:
    """The summary as lines for people."""
    stops = "".join(f", {count} stopped at {gate}" for gate, count in counts["stopped"].items())
    yield f"{counts['samples']} samples{stops}, {counts['passed']} passed"
    yield ", ".join(f"{name.removesuffix('.egate')} ran for {count}" for name, count in counts["ran"].items())
    yield f"{counts['bytes']['dense']} bytes crossed between stages, {counts['bytes']['packed']} if packed"


def described(artifact: Artifact) -> Iterator[str]:
    """The stages of an artifact, a line each."""
    from edgegate.stage_figures import sizes
    from edgegate.stage_plan import plan_of, stages_of

    plan, stages = plan_of(artifact), stages_of(artifact)
    fixed = set(artifact.manifest.operating_point)
    dense = sizes(plan, [stage.manifest.inputs for stage in stages], fixed)
    for program, stage, size in zip(plan.programs, stages, dense, strict=True):
        target = stage.manifest.target
        when = " and ".join(name if wanted else f"not {name}" for name, wanted in program.when) or "always"
        runs = " ".join(filter(None, (target.kind, target.triple, target.mcpu)))
        forms = sorted({p.form for p in program.payloads if p is not None})
        sent = f"  takes {size} bytes, sent {' and '.join(forms) or 'dense'}" if size else ""
        yield f"stage       {program.file}  {runs}  runs {when}  {program.macs} MACs{sent}"


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The figures of labelled data, for people."""
    yield f"samples     {found['samples']}, {found['positives']} positive"
    for cut in found["cuts"]:
        shares = f"{cut['negatives']:.2%} of negatives, {cut['positives']:.2%} of positives"
        yield f"cut         {cut['gate']}  stops {shares}"
    yield f"stopped     {found['early_stops']:.2%} of negatives early, {found['false_stops']:.2%} of positives falsely"
    for stage in found["stages"]:
        sent = ""
        if stage["dense_bytes"]:
            sent = f", {stage['dense_bytes']:.0f} bytes in ({stage['packed_bytes']:.1f} packed)"
        yield f"ran         {stage['file']}  for {stage['ran']} samples, {stage['macs']} MACs{sent}"
    energy, whole = found["energy_pj"], found["whole"]
    yield f"energy      pJ a MAC {energy['mac']}, pJ a byte {energy['byte']}: arithmetic and transfers alone"
    yield f"expected    {'prevalence':>10}  {'MACs':>12}  {'bytes':>10}  {'energy, nJ':>10}  less than whole"
    for row in found["expected"]:
        numbers = f"{row['macs']:>12.0f}  {row['bytes']:>10.1f}  {row['energy_pj'] / 1000:>10.2f}"
        saving = f"{row['saving']:.1f} x" if row["saving"] else ""
        yield f"expected    {row['prevalence']:>10.1%}  {numbers}  {saving}"
    yield f"whole       {'':>10}  {whole['macs']:>12.0f}  {0.0:>10.1f}  {whole['energy_pj'] / 1000:>10.2f}"
