"""Target ``verilog``: synthesizable Verilog-2001 of a logic gate network, and a testbench for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from edgegate import manifest, vectors
from edgegate.artifact import Artifact
from edgegate.graph import Array
from edgegate.graph import states as states_of
from edgegate.options import CompileOptions
from edgegate.stages import Proof
from edgegate.targets._artifact import artifact_of
from edgegate.targets._design import Design, Output, design_of
from edgegate.targets.rtl.bench import Style, bench
from edgegate.targets.rtl.circuit import Port
from edgegate.targets.rtl.module import module
from edgegate.targets.rtl.names import identifier
from edgegate.targets.rtl.plan import Plan, fixed, plan
from edgegate.targets.rtl.recurrent import states, wrapper

if TYPE_CHECKING:
    from edgegate.targets import Build

EXPORTED = ("", "main_graph", "main", "torch_jit")
"""Names of graphs that say nothing of the model."""


def verilog(options: CompileOptions) -> Build:
    """Verilog-2001 of a logic gate network for FPGAs and chips, with a testbench.

    Args:
        options: ``pipeline`` and ``state`` are read.
    """

    def build(model: ir.Model, proof: Proof) -> Artifact:
        design = design_of(model, "verilog")
        planned = plan(design, options.pipeline)
        name = module_name(model)
        pairs = [f"{before}={after}" for before, after in states_of(model)] or options.states
        sources, style = _sources(name, design, planned, pairs)
        made = artifact_of(model, proof, options, manifest.Target(kind="verilog"), sources)
        tests = vectors.unpack(made.files[vectors.VECTORS])
        given, right = _expected(design, planned, tests)
        files = {**made.files, f"{name}_tb.v": bench(name, planned, style, given, right).encode("ascii")}
        entries = {file: manifest.FileEntry.of(data) for file, data in files.items()}
        notes = {**made.manifest.proof, "circuit": _circuit(name, design, planned)}
        return Artifact(replace(made.manifest, files=entries, proof=notes), files)

    return build


def module_name(model: ir.Model) -> str:
    """What the module is called: as the model's graph, or net."""
    name = model.graph.name or ""
    return "net" if name in EXPORTED or not re.search("[A-Za-z]", name) else identifier(name)


def _sources(name: str, design: Design, planned: Plan, pairs: Sequence[str]) -> tuple[dict[str, bytes], Style]:
    """The files to synthesize."""
    if not pairs:
        style: Style = "clocked" if planned.schedule.stages else "combinational"
        return {f"{name}.v": module(name, planned).encode("ascii")}, style
    core = f"{name}_core"
    outer = wrapper(name, core, planned, states(design, planned, pairs))
    return {f"{core}.v": module(core, planned).encode("ascii"), f"{name}.v": outer.encode("ascii")}, "recurrent"


def _expected(
    design: Design, planned: Plan, tests: Sequence[vectors.Vector]
) -> tuple[list[list[int]], list[list[int]]]:
    """For every sample of every vector: what each input port takes, and what each output port must show."""
    given, right = [], []
    for test in tests:
        for sample in range(design.batch):
            taken = [_rows(test.inputs[spec.name], design)[sample] != 0 for spec in design.inputs]
            given.append([packed(bits, 1) for bits in taken])
            shown = [(out, _rows(test.outputs[out.name], design)[sample]) for out in design.outputs]
            right.append(_shown(planned, shown))
    return given, right


def _rows(data: Array, design: Design) -> Array:
    return data.reshape(design.batch, -1).astype(np.int64)


def _shown(planned: Plan, outputs: Sequence[tuple[Output, Array]]) -> list[int]:
    """The value of every output port, those of scores too."""
    ports, values = iter(planned.outputs), []
    for (out, elements), (width, _) in zip(outputs, planned.fields, strict=True):
        port = next(ports)
        values.append(packed(elements, width))
        found = fixed(out.tau, out.beta) if out.kind == "counts" else None
        if found is not None and found[1]:
            port = next(ports)
            values.append(packed(elements + found[1], port.width // len(elements)))
    return values


def packed(elements: Array, width: int) -> int:
    """Elements of ``width`` bits of two's complement one above the other, the first lowest."""
    total = 0
    for element in reversed(elements.tolist()):
        total = total << width | int(element) & ((1 << width) - 1)
    return total


def _circuit(name: str, design: Design, planned: Plan) -> Mapping[str, Any]:
    """What the manifest says of the circuit."""
    outer = [port for port in planned.outputs if not port.extra]
    inputs = [_port(spec.name, port) for spec, port in zip(design.inputs, planned.inputs, strict=True)]
    outputs = [_port(out.name, port) for out, port in zip(design.outputs, outer, strict=True)]
    extra = [_port(port.name, port) for port in planned.outputs if port.extra]
    report = planned.schedule.report()
    return {"module": name, **report, "inputs": inputs, "outputs": outputs + extra, "notes": list(planned.notes)}


def _port(name: str, port: Port) -> dict[str, Any]:
    return {"name": name, "port": port.name, "bits": port.width, "about": " ".join(port.about)}
