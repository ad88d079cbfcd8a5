"""Target ``c``: a logic gate network in portable C99, for machines that have nothing but a C compiler."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import onnx_ir as ir

from edgegate import manifest, vectors
from edgegate.artifact import Artifact
from edgegate.options import CompileOptions
from edgegate.stages import Proof
from edgegate.targets._artifact import artifact_of
from edgegate.targets._design import design_of
from edgegate.targets.c_code import Names, identifier, samples_of, selftest, sources

if TYPE_CHECKING:
    from edgegate.targets import Build

EXPORTED = ("", "main_graph", "main", "torch_jit")
"""Names of graphs that say nothing of the model."""


def c(options: CompileOptions) -> Build:
    """C99 of a logic gate network for any processor, with a self-test.

    Args:
        options: ``logic`` is read.

    Raises:
        ValueError: ``triple`` or ``mcpu`` is given: the C is the same for all.
    """
    if options.triple or options.mcpu:
        raise ValueError("triple and mcpu mean nothing for target c: its program is the same for all processors")

    def build(model: ir.Model, proof: Proof) -> Artifact:
        design = design_of(model, "c")
        prefix = prefix_of(model)
        made = sources(design, prefix, options.logic)
        files = {f"{prefix}.h": made.header.encode("ascii"), f"{prefix}.c": made.source.encode("ascii")}
        plain = artifact_of(model, proof, options, manifest.Target(kind="c"), files)
        samples = samples_of(design, vectors.unpack(plain.files[vectors.VECTORS]))
        test = selftest(design, Names.of(design, prefix), samples).encode("ascii")
        contents = {**plain.files, "selftest.c": test}
        entries = {name: manifest.FileEntry.of(data) for name, data in contents.items()}
        notes = {**plain.manifest.proof, "c": dict(made.facts)}
        return Artifact(replace(plain.manifest, files=entries, proof=notes), contents)

    return build


def prefix_of(model: ir.Model) -> str:
    """What the files and all names in them begin with: the name of the model's graph, or net."""
    name = model.graph.name or ""
    plain = "net" if name in EXPORTED else identifier(name).lower()
    return plain if plain[0].isalpha() and plain != "selftest" else f"net_{plain}"
