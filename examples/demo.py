"""The whole way in one minute: ``python -m examples.demo``.

Takes the trained gated convolution network, compiles it to integers, and shows on 500 images that it
has not seen how accurate it is, that three independent engines agree to the last bit, and how fast it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
import onnx_ir as ir
import torch
from rich.console import Console
from rich.table import Table

import edgegate
from edgegate import replay, runtime
from edgegate.errors import ExitCode
from edgegate.stages.integer import prove
from examples import digits
from examples.digits import Array
from examples.engines import (
    Engine,
    float_onnx,
    in_interpreter,
    in_onnx_runtime,
    in_torch,
    latencies,
    one_by_one,
)
from examples.train import trained

REFERENCE = "interpreter (numpy)"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        engine: What computed.
        arithmetic: In which numbers.
        logits: float32 [500, 10].
        time: Median microseconds per image; None where it says nothing.
        expected: What ``logits`` must equal to the last bit; None where nothing is promised.
    """

    engine: str
    arithmetic: str
    logits: Array
    time: float | None = None
    expected: Array | None = None

    @property
    def mismatches(self) -> int:
        """How many logits differ from what they must equal."""
        return 0 if self.expected is None else int((self.logits != self.expected).sum())

    def cells(self, labels: Array) -> tuple[str, ...]:
        """The texts of the line."""
        accuracy = (self.logits.argmax(1) == labels).mean()
        promised = "" if self.expected is None else f"{self.mismatches:,} / {self.logits.size:,}"
        return self.engine, self.arithmetic, f"{accuracy:.1%}", promised, f"{self.time:,.0f}" if self.time else ""


def compiled() -> tuple[edgegate.Artifact, bytes]:
    """The artifact, calibrated, and the integer graph that is made without any data."""
    net, images = trained("gated_conv"), digits.calibration()
    example = (torch.from_numpy(images[:1]),)
    artifact = edgegate.compile(net, example, target="llvm", calib={"": images})
    without_data, _, _ = edgegate.quantize(net, example, input_range=(0.0, 1.0))
    return artifact, without_data


def compare(artifact: edgegate.Artifact, without_data: bytes, images: Array) -> list[Row]:
    """Run ``images`` through every engine."""
    net, graph = trained("gated_conv"), artifact.files["model.onnx"]
    in_float: dict[str, Engine] = {
        "torch": in_torch(net),
        "ONNX Runtime": in_onnx_runtime(float_onnx(net, images[:1])),
    }
    session = runtime.Session(artifact, threads=1)
    in_integers: dict[str, Engine] = {
        REFERENCE: in_interpreter(graph),
        "ONNX Runtime": in_onnx_runtime(graph, as_written=True),
        "artifact (llvm)": session,
    }
    timed = {"float32": in_float["ONNX Runtime"], "integers": in_integers["artifact (llvm)"]}
    times = latencies(timed, images[:1])
    floats = _rows(in_float, "float32", images, {"ONNX Runtime": times["float32"]})
    integers = _rows(in_integers, "integers", images, {"artifact (llvm)": times["integers"]}, reference=REFERENCE)
    logits = one_by_one(in_onnx_runtime(without_data, as_written=True), images)
    return [*floats, *integers, Row(engine="ONNX Runtime", arithmetic="no calibration", logits=logits)]


def _rows(
    engines: Mapping[str, Engine], arithmetic: str, images: Array, times: Mapping[str, float], reference: str = ""
) -> list[Row]:
    """One row per engine; all but ``reference`` must equal it, where there is one."""
    logits = {name: one_by_one(engine, images) for name, engine in engines.items()}
    expected = logits.get(reference)
    return [
        Row(
            engine=name,
            arithmetic=arithmetic,
            logits=found,
            time=times.get(name),
            expected=None if name == reference else expected,
        )
        for name, found in logits.items()
    ]


def main() -> None:
    """Compile, compare and print; exit code 4 if one bit differs."""
    with Console(stderr=True).status("compiling and comparing"):
        artifact, without_data = compiled()
        _, test = digits.load()
        rows = compare(artifact, without_data, test.images)
        vectors = replay.verify(runtime.Session(artifact, threads=1))
    table = Table(title=f"gated convolution network, {len(test.labels)} unseen images")
    for heading in ("engine", "numbers", "accuracy", "bits off", "µs/image"):
        table.add_column(heading, justify="left" if heading in ("engine", "numbers") else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row.cells(test.labels))
    console = Console()
    console.print(table)
    proof = prove(ir.from_proto(onnx.load_model_from_string(artifact.files["model.onnx"])))
    console.print(f"Proved: {proof.summary()}.", f"Self-test: {vectors} vectors, bit for bit.", highlight=False)
    if any(row.mismatches for row in rows):
        raise SystemExit(ExitCode.MISMATCH)


if __name__ == "__main__":
    main()
