"""Running the float model, or a stretch of it, with ONNX Runtime, to see what its values are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.errors import CompileError, InputError
from edgegate.graph import Array, shape, where
from edgegate.quant.loop_runs import Steps, protos, units
from edgegate.quant.recurrence import Memory

FLOAT = ir.DataType.FLOAT


class Program:
    """Consecutive nodes of a model, run by ONNX Runtime: all it takes from before, all it makes.

    Nodes of a loop come with the whole of it, and what they make is that of all steps, one behind the other.

    Attributes:
        inputs: Names of the values that the nodes read and do not make.
        outputs: Names of every value that the nodes make.
    """

    def __init__(self, model: ir.Model, nodes: Sequence[ir.Node]) -> None:
        made = {v.name for n in nodes for v in n.outputs if v.name}
        read = {str(v.name): v for n in nodes for v in n.inputs if v is not None and v.name not in made}
        constants = model.graph.initializers
        large = {name: v for name, v in read.items() if name in constants and _is_large(constants[name])}
        inputs = [v for name, v in read.items() if name not in constants]
        outputs = [v for n in nodes for v in n.outputs if v.name]
        self.inputs = [str(v.name) for v in inputs]
        self.outputs = [str(v.name) for v in outputs]
        weights = [_weight(constants[name]) for name in read if name in constants and name not in large]
        self._large = {name: _data(constants[name]) for name in large}
        self._model, self._nodes, self._steps = model, nodes, Steps(nodes)
        self._session = None
        if nodes:
            with self._refusing({}):
                self._session = _session(
                    _proto(model, nodes, [*inputs, *large.values()], self._steps.outputs(outputs), weights)
                )

    def __call__(self, known: Mapping[str, Array]) -> dict[str, Array]:
        """Every output, from ``known``, which has at least the inputs.

        Raises:
            CompileError: ONNX Runtime cannot compute a node.
        """
        if self._session is None:
            return {}
        with self._refusing(known):
            feed = {name: known[name] for name in self.inputs}
            names = self._steps.asked(self.outputs)
            results = self._session.run(names, {**feed, **self._large})
        return self._steps.given(dict(zip(names, results, strict=True)))

    @contextmanager
    def _refusing(self, known: Mapping[str, Array]) -> Iterator[None]:
        """What ONNX Runtime refuses, as a CompileError that names the node."""
        try:
            yield
        except Exception as error:  # its exceptions have no base of their own
            node = self._culprit(str(error), known)
            fix = "change it until ONNX Runtime runs the model"
            what = f"ONNX Runtime cannot compute it: {_reason(str(error))}"
            raise CompileError("the model" if node is None else where(node), what, fix) from error

    def _culprit(self, message: str, known: Mapping[str, Array]) -> ir.Node | None:
        """The node that ``message`` names, or else the first that fails alone: within a function none has a name."""
        if found := re.search(rf"{_NODE}(\d+)_", message):
            return self._nodes[int(found[1])]
        if len(units(self._nodes)) == 1:
            return self._nodes[-1]
        values = dict(known)
        for unit in units(self._nodes):
            try:
                alone = Program(self._model, unit)
                if known:
                    values |= alone(values)
            except CompileError:
                return unit[-1]
        return None


_NODE = "edgegate_node_"
"""With its number behind, the name under which ONNX Runtime knows a node: the user's may be empty or double."""


def _reason(message: str) -> str:
    """What ONNX Runtime complains about, without its file names, C++ signatures and line breaks."""
    message = re.sub(rf"\[ONNXRuntimeError\] : \d+ : \w+ : |{_NODE}\d+_", "", message)
    for start in ("Status Message: ", " was false. "):
        message = message.rpartition(start)[2]
    message = re.sub(r"^/\S+:\d+ .*?\(.*?\) ", "", message)
    line = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return line if len(line) <= 200 else f"{line[:197]}..."


LARGE = 1 << 20
"""Weights of more bytes are given to ONNX Runtime with each run, as they are: as initializers it would copy them."""


def _is_large(value: ir.Value) -> bool:
    return value.const_value is not None and value.dtype == FLOAT and value.const_value.nbytes > LARGE


def _data(value: ir.Value) -> Array:
    assert value.const_value is not None, "an initializer has a value"
    return np.ascontiguousarray(value.const_value.numpy())


def _weight(value: ir.Value) -> Any:
    """The initializer under the name that nodes read it by; its tensor may have another, or none."""
    assert value.const_value is not None, "an initializer has a value"
    proto = ir.to_proto(value.const_value)
    proto.name = str(value.name)
    return proto


def _proto(
    model: ir.Model,
    nodes: Sequence[ir.Node],
    inputs: list[ir.Value],
    outputs: list[Any],
    weights: list[Any],
) -> bytes:
    from onnx import helper

    made = protos(nodes, _NODE)
    graph = helper.make_graph(made, "calibration", [ir.to_proto(v) for v in inputs], outputs, weights)
    versions = {**model.graph.opset_imports}
    opsets = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
    functions = [ir.to_proto(f) for f in model.functions.values()]
    proto = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=model.ir_version)
    return bytes(proto.SerializeToString())


def _session(model: bytes) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4  # what it refuses is an exception too
    options.use_deterministic_compute = True
    # Every value is an output: there is nothing to fuse, only time to lose.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(model: ir.Model, batches: Iterable[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
    """All values of the model for one batch after the other: inputs and node outputs, by name.

    A batch of a model that is a step is the next step: its states are what the last one left, from zeros on, or what
    the batch itself brings.

    Raises:
        InputError: A batch lacks an input, has one too many, or one of another shape, type or content.
    """
    program = Program(model, list(model.graph))
    memory = Memory(model)
    for index, batch in enumerate(batches):
        feed = checked(model, memory(batch), index)
        values = {**feed, **program(feed)}
        memory.keep(values)
        yield values


def checked(model: ir.Model, batch: Mapping[str, Array], index: int) -> dict[str, Array]:
    """The batch as the model wants it; InputError if it cannot be."""
    inputs = {str(v.name): v for v in model.graph.inputs}
    place = f"calibration batch {index}"
    if set(batch) != set(inputs):
        raise InputError(f"{place} has inputs {sorted(batch)}, the model has {sorted(inputs)}")
    feed = {}
    for name, value in inputs.items():
        data = np.asarray(batch[name])
        if data.shape != shape(value):
            raise InputError(f"{place}: {name} has shape {data.shape}, not {shape(value)}")
        if data.dtype.kind not in "fiub":
            raise InputError(f"{place}: {name} has dtype {data.dtype}, which is not a number")
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused below
            feed[name] = np.ascontiguousarray(data, (value.dtype or FLOAT).numpy())
        if not np.isfinite(feed[name].astype(np.float64)).all():
            raise InputError(f"{place}: {name} holds NaN or infinity")
    return feed
