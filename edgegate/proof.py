"""The proof that an artifact's logic computes what was imported, for every input there is.

Tests compare a program with its integer graph on a few inputs; here the netlist of the integer graph is compared with
the netlist as the user's modules say it, on all of them (:mod:`edgegate.logic.prove`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgegate.artifact import Artifact
from edgegate.errors import FileError, MismatchError

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgegate.logic.store import Imported

LOGIC = "logic.npz"
"""File of an artifact: what its logic was before it was optimised (:mod:`edgegate.logic.store`)."""
GRAPH = "model.onnx"


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """What was proved of one network.

    Attributes:
        node: Name of its node in the integer graph.
        gates: Gates as imported, and in the program.
        outputs: How many outputs were shown to be equal.
        sums: How many sums of them, exactly; 0 if none are counted.
        method: How.
        seconds: Time on the clock.
    """

    node: str
    gates: tuple[int, int]
    outputs: int
    sums: int
    method: str
    seconds: float


def prove(artifact: Artifact, *, limit_s: float | None = None) -> list[Equivalence]:
    """Prove every network of an artifact equal to what it was imported as.

    Args:
        artifact: Of any target.
        limit_s: Seconds for each network; None: no limit.

    Raises:
        FileError: The artifact holds no logic, or not what to compare it with.
        MismatchError: A network differs, and for which input; or the limit was reached before that was known.
    """
    if LOGIC not in artifact.files or GRAPH not in artifact.files:
        raise FileError(f"the artifact holds no {LOGIC}: there is no logic in it to prove")
    import onnx
    import onnx_ir as ir
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    from edgegate.logic import store

    try:
        model = ir.from_proto(onnx.ModelProto.FromString(artifact.files[GRAPH]))
    except DecodeError as e:
        raise FileError(f"{GRAPH} is no ONNX model") from e
    nodes = {str(n.name): n for n in model.graph if n.op_type == "Logic"}
    imported = store.unpack(artifact.files[LOGIC])
    if lost := sorted(set(nodes) ^ set(imported)):
        raise MismatchError(f"{GRAPH} and {LOGIC} do not hold the same networks: {lost[0][:80]}")
    return [_prove(nodes[name], known, limit_s) for name, known in imported.items()]


def _prove(node: ir.Node, known: Imported, limit_s: float | None) -> Equivalence:
    """One network, and the sums behind it."""
    from edgegate.logic.prove import prove as equal
    from edgegate.logic.prove import prove_sums
    from edgegate.ops.group_sum import sums_of
    from edgegate.ops.logic import netlist_of

    netlist, sums = netlist_of(node), 0
    shown = equal(known.netlist, netlist, netlist.outputs if known.sums is None else known.claims, limit_s=limit_s)
    if known.sums is not None:
        counted = [reader for reader, _ in node.outputs[0].uses() if reader.op_type == "GroupSum"]
        if len(counted) != 1:
            raise MismatchError(f"{node.name}: its outputs were counted once, now {len(counted)} times")
        found = sums_of(counted[0])
        prove_sums(known.sums, found, known.claims, netlist.outputs)
        sums = found.groups
    return Equivalence(
        node=str(node.name), gates=(known.netlist.gates, netlist.gates), outputs=shown.outputs, sums=sums,
        method=shown.method, seconds=shown.seconds,
    )  # fmt: skip
