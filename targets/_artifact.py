"""What an artifact holds besides its program: the edges, the integer graph, the self-test, what was proved."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import onnx_ir as ir

from edgegate import interpreter, manifest, vectors
from edgegate.artifact import Artifact
from edgegate.graph import SHOWN, Array, array, operating_point, shape, states
from edgegate.logic import store
from edgegate.manifest import IOSpec
from edgegate.options import CompileOptions
from edgegate.passes.optimise_logic import IMPORTED
from edgegate.point import CURVES
from edgegate.proof import LOGIC
from edgegate.report import gates, networks
from edgegate.sequences import over_time
from edgegate.stages import Proof
from edgegate.storage import Edge, Scores, Storage, Thresholds
from edgegate.targets._edges import inputs_of, is_bits, outputs_of

SAMPLES = 64
"""Least samples of the self-test of a model that takes bits."""
TOOLS = ("apache-tvm", "apache-tvm-ffi", "numpy", "onnx", "onnx-ir", "torch")
"""What else than EdgeGate decides about the bytes of a program."""


def artifact_of(
    model: ir.Model, proof: Proof, options: CompileOptions, target: manifest.Target, program: Mapping[str, bytes]
) -> Artifact:
    """The artifact of a compiled integer model.

    Args:
        model: The integer graph that the program was made from.
        proof: What was proved of it.
        options: What the user asked for.
        target: What the program runs on.
        program: Its files by name.
    """
    contents = {
        "model.onnx": ir.to_proto(model).SerializeToString(deterministic=True),
        vectors.VECTORS: vectors.pack(self_test(model, options.calib)),
        **program,
    }
    if imported := model.meta.get(IMPORTED):
        contents[LOGIC] = store.pack(imported)
    if curves := model.meta.get(CURVES):
        contents[CURVES] = curves
    edges = (
        zip(model.graph.inputs, inputs_of(model), strict=True),
        zip(model.graph.outputs, outputs_of(model), strict=True),
    )
    inputs, outputs = ([_spec(outer, stored) for outer, stored in pairs] for pairs in edges)
    return Artifact.create(
        contents, target=target, inputs=inputs, outputs=outputs, versions=_versions(),
        options={**options.describe(), **_memory(model), **_point(model)},
        gates={**gates(model), **networks(model)}, proof=proof.document(),
    )  # fmt: skip


def _memory(model: ir.Model) -> dict[str, list[str]]:
    """The states of a step by their names, and the outputs that are more than state."""
    if not (pairs := states(model)):
        return {}
    shown = json.loads(model.graph.metadata_props[SHOWN])
    return {"state": [f"{before}={after}" for before, after in pairs], "shown": shown}


def _point(model: ir.Model) -> dict[str, dict[str, int]]:
    """The thresholds of gates that are inputs, and what they are unless a session moves them."""
    point = operating_point(model)
    return {"operating_point": point} if point else {}


def _spec(outer: ir.Value, stored: ir.Value) -> IOSpec:
    """The description of an input or output: what the user gives or gets, and what the program does."""
    assert outer.dtype is not None, "inputs and outputs have a type"
    name, dims, dtype = str(outer.name), shape(outer), outer.dtype.numpy().name
    if outer is stored:
        return IOSpec(name=name, shape=dims, dtype=dtype)
    edge = next(n for n in (stored.producer(), *(n for n, _ in stored.uses())) if n is not None and _joins(n, outer))
    return IOSpec(name=name, shape=dims, dtype=dtype, storage=_storage(edge))


def _storage(edge: ir.Node) -> Edge:
    """What an edge says of how its value is stored."""
    constants = [data for v in edge.inputs[1:] if (data := array(v)) is not None]
    if edge.op_type == "Threshold":
        (thresholds,) = constants
        return Thresholds(shape=thresholds.shape, values=tuple(thresholds.reshape(-1).tolist()))
    first, second = constants
    if edge.op_type == "Scores":
        return Scores(tau=float(first), beta=float(second))
    return Storage(dtype=second.dtype.name, scale=float(first), zero_point=int(second))


def _joins(node: ir.Node, outer: ir.Value) -> bool:
    return any(v is outer for v in (*node.inputs, *node.outputs))


def _versions() -> dict[str, str]:
    found = {}
    for name in TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # not every target needs every tool
    return found


def self_test(model: ir.Model, calib: Mapping[str, Array] | None) -> list[vectors.Vector]:
    """Inputs that reach every value of the storage, some near the zero point, and one real sample if there is any.

    Where all inputs are bits, at least 64 samples, with few ones, as many as zeros, and many. The answers are the
    interpreter's. The same model gives the same vectors.
    """
    rng = np.random.default_rng(0)
    stored = inputs_of(model)
    draws: list[Callable[[np.random.Generator, ir.Value], Array]] = [_anything, _something]
    if all(is_bits(v) for v in stored):
        draws = [_something] * min(max(-(-SAMPLES // max(shape(stored[0])[0], 1)), 2), SAMPLES)
    feeds = [[_bits(rng, v) if is_bits(v) else draw(rng, v) for v in stored] for draw in draws]
    if calib is not None:
        feeds.append(_sample(model, calib))
    point = operating_point(model)
    for feed in feeds:  # gates at their own thresholds: others would hardly be met
        pairs = zip(stored, feed, strict=True)
        feed[:] = [_threshold(v, point[str(v.name)]) if v.name in point else x for v, x in pairs]
    return [_vector(model, stored, feed) for feed in feeds]


def _threshold(value: ir.Value, threshold: int) -> Array:
    assert value.dtype is not None, "every value of an integer model has a type"
    return np.array([threshold], value.dtype.numpy())


def _vector(model: ir.Model, stored: list[ir.Value], feed: list[Array]) -> vectors.Vector:
    values = interpreter.run(model, {str(v.name): x for v, x in zip(stored, feed, strict=True)}, keep=True)
    names = [str(v.name) for v in model.graph.outputs]
    answers = [values[str(v.name)] for v in outputs_of(model)]
    inputs = [str(v.name) for v in model.graph.inputs]
    return vectors.Vector(inputs=dict(zip(inputs, feed, strict=True)), outputs=dict(zip(names, answers, strict=True)))


def _anything(rng: np.random.Generator, value: ir.Value) -> Array:
    """Every stored integer alike, the ends of the range oftener."""
    low, high, dtype = _limits(value)
    plain = rng.integers(low, high + 1, shape(value))
    ends = rng.choice([low, high], shape(value))
    return np.where(rng.random(shape(value)) < 1 / 16, ends, plain).astype(dtype)


def _something(rng: np.random.Generator, value: ir.Value) -> Array:
    """Bell-shaped around the middle of the range."""
    low, high, dtype = _limits(value)
    spread = rng.normal((low + high) / 2, (high - low) / 8, shape(value))
    return np.clip(np.rint(spread), low, high).astype(dtype)


def _bits(rng: np.random.Generator, value: ir.Value) -> Array:
    """0 and 1, of another density in each sample."""
    dims = shape(value)
    density = rng.choice([0.1, 0.3, 0.5, 0.5, 0.7, 0.9], (*dims[:1], *[1] * (len(dims) - 1)))
    return (rng.random(dims) < density).astype(np.uint8)


def _limits(value: ir.Value) -> tuple[int, int, np.dtype[np.generic]]:
    assert value.dtype is not None, "every value of an integer model has a type"
    dtype = value.dtype.numpy()
    if dtype == np.bool_:
        return 0, 1, dtype
    info = np.iinfo(dtype)
    return int(info.min), int(info.max), dtype


def _sample(model: ir.Model, calib: Mapping[str, Array]) -> list[Array]:
    """The first calibration sample as the program takes it."""
    feed, held = [], {before for before, _ in states(model)}
    for outer, stored in zip(model.graph.inputs, inputs_of(model), strict=True):
        if outer.name in held or outer.name in operating_point(model):
            feed.append(_something(np.random.default_rng(0), stored))
            continue
        data = calib[str(outer.name)] if str(outer.name) in calib else next(iter(calib.values()))
        batch = over_time(data, shape(outer), str(outer.name))[0, 0] if held else data[: shape(outer)[0]]
        node = stored.producer()
        if outer is stored or node is None:
            feed.append(batch)
            continue
        (quantized,) = interpreter.evaluate(node, [batch, *(array(v) for v in node.inputs[1:])])
        feed.append(quantized)
    return feed
