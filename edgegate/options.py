"""What the user asks of a compilation, checked before anything slow starts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgegate.manifest import STEPS_LIMIT

if TYPE_CHECKING:
    import numpy as np

LARGEST = 1 << 31
"""Most elements of an input."""
METHODS = ("minmax", "percentile", "mse")
LOGIC = ("code", "table")
FORMS = ("integer", "qdq", "qdq-native")


@dataclass(frozen=True, kw_only=True, eq=False)
class CompileOptions:
    """Options of a compilation.

    Attributes:
        target: Name of the target.
        stage_targets: Names of targets, one for each stage that the gates of the model cut it into; behind a name may
            stand ",triple=...", ",mcpu=..." or ",threads=..."; () for one program of one piece.
        triple: LLVM's target triple; "": this machine's.
        mcpu: LLVM's name of the processor; "": the target's choice.
        threads: Threads that the program is scheduled for; None: the target's choice.
        batch: Samples per call, where the model leaves it open.
        model: ``package.module:factory`` that makes the module of a state_dict; None: not needed.
        shapes: Shapes of the inputs, float32, where neither the model's file nor ``calib`` tells; in order.
        calib: Calibration inputs, samples first, by input name (or "" for the only one); None: none.
        calib_method: How a range is taken from calibration data.
        input_range: Smallest and largest value of the inputs, where there is no calibration data.
        scheme: JSON of a Scheme to follow; None: one is chosen.
        activation_bits: 8, or 16 for every activation; None: as :class:`edgegate.quant.Recipe` chooses.
        int16: Patterns (as in fnmatch) of the values to store in 16 bits.
        sqnr: Least signal-to-noise ratio of the outputs against float, in dB: more values get 16 bits until the
            calibration data shows it; None: not measured.
        formats: What layers are stored in: "int8", block formats ("bfp12", "mxfp4:mxint8"), and "PATTERN=FORMAT"
            for the layers that match.
        transform: What may stand before layers in blocks: auto, none, hadamard, wush-diag or wush.
        transform_bits: Of the entries of a transform, 4 to 8; 0: powers of two.
        rounding: Of weights in blocks: nearest or gptq.
        keys: What attention multiplies in blocks, "KEYS:QUERIES" or one format for both, its channels scaled and
            sorted where that helps; "none": nothing. There is no integer form of it.
        logic: What networks of gates become: "code", a statement for each gate, the fastest; "table", data for a loop
            that is the same for all, small, and compiled in no time.
        pipeline: Levels between registers of a circuit; None: no registers.
        state: "INPUT=OUTPUT" of a model that is a step, or a mapping: the output is the input of the next step. Each
            side is a name, or a place counted from 0. Calibration data is over time then, as
            :func:`edgegate.sequences.over_time` takes it, without the states; a session holds them, a circuit
            has registers.
        steps: Of a model that is a step: also make a program that runs so many steps at once, for
            :meth:`edgegate.runtime.Session.steps`, which gives the same bits in less time; None: none.
        gate_data: Labelled data to choose the thresholds of gates with: inputs by name, and ``labels``, 1 for each
            sample that is of interest; None: thresholds are what theta means in integers.
        recall: Share of the samples of interest that the gates are to let through, of ``gate_data``.
        form: Of a quantized model: "integer"; "qdq": float, with standard blocked QuantizeLinear and
            DequantizeLinear that ONNX Runtime runs; "qdq-native": with the narrow float types of newer opsets.
            Compilation is always "integer".

    Raises:
        ValueError: An option is impossible; the message names it.
    """

    target: str = "llvm"
    stage_targets: tuple[str, ...] = ()
    triple: str = ""
    mcpu: str = ""
    threads: int | None = None
    batch: int = 1
    model: str | None = None
    shapes: tuple[tuple[int, ...], ...] = ()
    calib: Mapping[str, np.ndarray[Any, np.dtype[Any]]] | None = None
    calib_method: str = "mse"
    input_range: tuple[float, float] | None = None
    scheme: str | None = None
    activation_bits: int | None = None
    int16: tuple[str, ...] = ()
    sqnr: float | None = None
    formats: tuple[str, ...] = ("int8",)
    transform: str = "auto"
    transform_bits: int = 6
    rounding: str = "nearest"
    keys: str = "none"
    logic: str = "code"
    pipeline: int | None = None
    state: str | Sequence[str] | Mapping[str | int, str | int] = ()
    steps: int | None = None
    gate_data: Mapping[str, np.ndarray[Any, np.dtype[Any]]] | None = None
    recall: float = 0.99
    form: str = "integer"

    def __post_init__(self) -> None:
        if not self.target:
            raise ValueError("target must have a name")
        if self.batch < 1 or (self.threads is not None and self.threads < 1):
            raise ValueError(f"batch and threads must be at least 1, got {self.batch} and {self.threads}")
        if self.model is not None and not all(self.model.partition(":")):
            raise ValueError(f"model must be package.module:factory, got {self.model!r}")
        if self.calib_method not in METHODS:
            raise ValueError(f"calib_method must be one of {', '.join(METHODS)}, got {self.calib_method!r}")
        if self.logic not in LOGIC:
            raise ValueError(f"logic must be one of {', '.join(LOGIC)}, got {self.logic!r}")
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}, got {self.form!r}")
        object.__setattr__(self, "int16", tuple(self.int16))
        object.__setattr__(self, "stage_targets", tuple(self.stage_targets))
        object.__setattr__(self, "formats", (self.formats,) if isinstance(self.formats, str) else tuple(self.formats))
        object.__setattr__(self, "shapes", tuple(map(tuple, self.shapes)))
        if any(min(shape, default=1) < 1 or math.prod(shape) > LARGEST for shape in self.shapes):
            raise ValueError(f"shapes must hold sizes of at least 1, and {LARGEST} elements at most: {self.shapes}")
        self._check_range()
        self._check_calib()
        self._check_circuit()

    def _check_range(self) -> None:
        if self.activation_bits not in (None, 8, 16):
            raise ValueError(f"activation_bits must be 8 or 16, got {self.activation_bits}")
        self._check_sqnr()
        if not 0 < self.recall <= 1:
            raise ValueError(f"recall must lie in (0, 1], got {self.recall}")
        if self.input_range is None:
            return
        low, high = self.input_range
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"input_range must be finite and rising, got {low},{high}")

    def _check_sqnr(self) -> None:
        if self.sqnr is None:
            return
        if not 0 < self.sqnr <= 100:
            raise ValueError(f"sqnr must lie in (0, 100] dB, got {self.sqnr}")
        if self.calib is None or self.form != "integer":
            raise ValueError("sqnr is measured on the integers: give calibration data, and ask for the form integer")
        if self.scheme is not None:
            raise ValueError("sqnr and scheme exclude each other: a scheme says how every value is stored")

    def _check_circuit(self) -> None:
        if self.pipeline is not None and self.pipeline < 1:
            raise ValueError(f"pipeline must be at least 1 level between registers, got {self.pipeline}")
        if self.state and self.pipeline is not None:
            raise ValueError("pipeline and state exclude each other: a step needs the state that the last one leaves")
        if self.steps is not None and not (self.state and 1 <= self.steps <= STEPS_LIMIT):
            raise ValueError(f"steps must be 1 to {STEPS_LIMIT} of a model with state, got {self.steps}")
        sides = [pair.partition("=")[::2] for pair in self.states]
        if not all(map(all, sides)) or len({before for before, _ in sides}) < len(sides):
            raise ValueError(f"state must be INPUT=OUTPUT, each input once, got {', '.join(self.states)}")

    @property
    def states(self) -> tuple[str, ...]:
        """``state`` as "INPUT=OUTPUT"."""
        if isinstance(self.state, Mapping):
            return tuple(f"{before}={after}" for before, after in self.state.items())
        return (self.state,) if isinstance(self.state, str) else tuple(self.state)

    def _check_calib(self) -> None:
        if self.calib is None:
            return
        import numpy

        object.__setattr__(self, "calib", {name: numpy.asarray(data) for name, data in self.calib.items()})
        counts = sorted({array.shape[0] if array.ndim else 0 for array in self.calib.values()})
        if len(counts) != 1:
            found = " and ".join(map(str, counts)) or "no arrays"
            raise ValueError(f"calib must hold the same number of samples for each input, got {found}")
        if counts[0] < self.batch and not self.state:
            raise ValueError(f"calib must hold at least one batch of {self.batch} samples, got {counts[0]}")

    def example(self) -> tuple[np.ndarray[Any, np.dtype[Any]], ...] | None:
        """Example inputs: the first batch of the calibration data, else zeros of ``shapes``; None without either.

        Data over time is no example: it lacks the states.
        """
        if self.calib is not None and not self.state:
            return tuple(array[: self.batch] for array in self.calib.values())
        import numpy

        return tuple(numpy.zeros(shape, numpy.float32) for shape in self.shapes) or None

    def describe(self) -> dict[str, Any]:
        """The options as plain JSON values for a manifest; data and schemes by their SHA-256."""
        plain = (
            *("target", "triple", "mcpu", "threads", "batch", "model", "calib_method"),
            *("transform", "transform_bits", "rounding", "keys", "logic", "activation_bits"),
        )
        described: dict[str, Any] = {name: getattr(self, name) for name in plain}
        described["int16"], described["formats"] = list(self.int16), list(self.formats)
        if self.stage_targets:
            described["stage_targets"] = list(self.stage_targets)
        described["pipeline"], described["state"] = self.pipeline, list(self.states)
        described["shapes"] = [list(shape) for shape in self.shapes]
        described["input_range"] = None if self.input_range is None else list(map(float, self.input_range))
        described["scheme"] = None if self.scheme is None else hashlib.sha256(self.scheme.encode()).hexdigest()
        described["calib"] = "none" if self.calib is None else _digest(self.calib)
        if self.sqnr is not None:
            described["sqnr"] = float(self.sqnr)
        if self.steps is not None:
            described["steps"] = self.steps
        if self.gate_data is not None:
            described["gate_data"], described["recall"] = _digest(self.gate_data), float(self.recall)
        return described


def _digest(arrays: Mapping[str, np.ndarray[Any, np.dtype[Any]]]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
