"""Target ``cuda``: programs for NVIDIA GPUs, compiled without one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from edgegate import _json, _npz, manifest
from edgegate.artifact import Artifact
from edgegate.errors import CompileError
from edgegate.options import CompileOptions
from edgegate.passes.logic.optimise import optimise
from edgegate.stages import Proof
from edgegate.targets._artifact import artifact_of
from edgegate.targets._design import Design, design_of
from edgegate.targets._nvcc import compiled, nvcc
from edgegate.targets.cuda_logic import Choice, choose, shared_bytes, source
from edgegate.targets.cuda_logic.choose import SHARED
from edgegate.targets.cuda_logic.gates import WIDTH
from edgegate.targets.cuda_network import program as network

if TYPE_CHECKING:
    from edgegate.targets import Build

PROGRAM = "cuda.json"
"""What the other files of the program are, for :mod:`edgegate._cuda_program`."""


def cuda(options: CompileOptions) -> Build:
    """Machine code for NVIDIA GPUs: kernels in one graph; logic gate networks with their values in shared memory.

    Args:
        options: ``mcpu`` is read: the architectures, as in "sm_80,sm_90"; "": all from sm_75 to sm_90. Newer GPUs
            run PTX, which their driver compiles.

    Raises:
        ValueError: An architecture is unknown, or a triple is given.
        ToolchainError: There is no nvcc.
    """
    if options.triple:
        raise ValueError("triple means nothing for target cuda: name GPUs with mcpu, such as sm_90")
    capabilities = architectures(options.mcpu)
    nvcc()

    def build(model: ir.Model, proof: Proof) -> Artifact:
        of_gates = any(node.op_type == "Logic" for node in model.graph)
        program = _logic(model, capabilities) if of_gates else network.program_of(model, capabilities)
        return artifact_of(model, proof, options, manifest.Target(kind="cuda"), program)

    return build


def _logic(model: ir.Model, capabilities: Sequence[int]) -> dict[str, bytes]:
    design = narrowed(design_of(model, "cuda"))
    try:
        return program_of(design, capabilities)
    except ValueError as e:
        fix = "compile it for a processor (--target llvm)"
        raise CompileError("the network of gates", f"target cuda: {e}", fix) from e


def architectures(words: str) -> list[int]:
    """Compute capabilities, rising, from "sm_80,sm_90"; all from "".

    Raises:
        ValueError: One is unknown.
    """
    found = {word.strip().lower() for word in re.split("[,+ ]+", words) if word}
    known = {f"sm_{capability}": capability for capability in SHARED}
    if wrong := sorted(found - known.keys()):
        raise ValueError(f"mcpu {wrong[0]!r} is no architecture of target cuda: {', '.join(known)}")
    return sorted(known[word] for word in found) or sorted(SHARED)


def narrowed(design: Design) -> Design:
    """The design with gates of at most three inputs."""
    if design.netlist.k <= WIDTH:
        return design
    return replace(design, netlist=optimise(design.netlist, k=WIDTH).netlist)


def program_of(design: Design, capabilities: Sequence[int]) -> dict[str, bytes]:
    """The files of the program.

    Raises:
        ValueError: The network is too large.
        ToolchainError: nvcc is missing or fails.
    """
    shown = sum(out.size for out in design.outputs if out.kind == "bits")
    contents: dict[str, bytes] = {}
    images: list[dict[str, Any]] = []
    plans: dict[int, Choice] = {}
    for capability in capabilities:
        size = SHARED[capability]
        if size not in plans:
            plans[size] = choose(design.netlist, design.sums, capability, shown=shown)
            contents[f"plan_{size}.npz"] = _npz.pack(_arrays(plans[size]))
        text = source(plans[size].plan, blocks=plans[size].blocks)
        name = f"logic_sm_{capability}.cubin"
        contents[name] = compiled(text, str(capability))
        images.append({"file": name, "capability": capability, **_launch(plans[size], size)})
    least = min(plans)  # a newer GPU has at least as much shared memory as the least of the older
    oldest = min(c for c in capabilities if SHARED[c] == least)
    contents["logic.ptx"] = compiled(source(plans[least].plan, blocks=plans[least].blocks), str(oldest), ptx=True)
    images.append({"file": "logic.ptx", "capability": oldest, **_launch(plans[least], least)})
    contents[PROGRAM] = _json.canonical({"images": images, **_edges(design, shown)})
    return contents


def _arrays(choice: Choice) -> dict[str, Any]:
    plan = choice.plan
    entries, heads = plan.image()
    used = np.flatnonzero(plan.given >= 0)
    given = np.stack([used, plan.given[used]], 1).astype(np.int32)
    return {"entries": entries, "given": given, "heads": heads, "offset": plan.offset, "shown": plan.shown}


def _launch(choice: Choice, size: int) -> dict[str, Any]:
    plan, shape = choice.plan, choice.plan.shape
    return {
        "plan": f"plan_{size}.npz", "threads": shape.threads, "blocks": choice.blocks, "samples": shape.samples,
        "shared": shared_bytes(plan), "scratch": 0 if shape.shared else 4 * shape.words * plan.slots,
    }  # fmt: skip


def _edges(design: Design, shown: int) -> dict[str, Any]:
    """What the kernel takes and gives, and what of it each output is."""
    first = len(design.netlist.outputs) - shown
    outputs = [
        {"kind": out.kind, "size": out.size, "start": out.start - (first if out.kind == "bits" else 0)}
        for out in design.outputs
    ]
    sums = 0 if design.sums is None else design.sums.groups
    return {"inputs": design.netlist.inputs, "outputs": outputs, "shown": shown, "sums": sums}
