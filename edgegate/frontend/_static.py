"""Static shapes everywhere: bind the batch, fold what is constant, infer the rest.

Nothing is materialised before its size is known and within :data:`~edgegate.frontend._files.VALUE_LIMIT`:
an ONNX file of 100 bytes can ask for a ConstantOfShape of 4 TiB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript.optimizer._constant_folding import FoldConstantsPass

from edgegate.errors import CompileError, EdgeGateError, Problem, UnsafeError
from edgegate.frontend import _edges, _files, _logic, _loops
from edgegate.frontend._operators import ours
from edgegate.frontend._quiet import quiet
from edgegate.graph import DOMAIN, LAYER, SOURCE, where

_SPLIT_LIMIT = 4096
"""Most pieces of a SplitToSequence; folding makes an output for each."""
_FOLD_FLOOR = 64 * _files.MIB
"""Folding may make twice the bytes of the weights (transposed, repeated), or this many."""
_SAME_SHAPE = ("GroupNormalization", "MeanVarianceNormalization")
"""The function ops for which onnx infers nothing node by node."""

_STEPS = ("Loop", "Scan", "If")
_QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
"""Of constants too: what is folded has lost its scale."""

Shape = tuple[int, ...]


def make_static(model: ir.Model, batch: int, example: Sequence[Shape] | None) -> None:
    """Give every value a static shape, in place.

    Args:
        model: Annotated (:func:`edgegate.frontend._names.annotate`), functions inlined.
        batch: Size of a symbolic first dimension.
        example: Shapes of the inputs; these decide all symbolic dimensions.

    Raises:
        UnsafeError: A value above the size limit.
        CompileError: A dimension that nothing decides, an unknown op, types that do not fit, a shape that depends
            on data.
    """
    _check_domains(model)
    _bind(model, batch, example)
    _forget_shapes(model)
    try:
        with quiet():
            Fold(model)(model)
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
            _loops.to_scans(model)
            common.RemoveUnusedNodesPass()(model)
            if _without_shape(model):
                common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
    except EdgeGateError:
        raise
    except Exception as error:  # an op's evaluator met values it cannot take
        cause = _files.printable(error.__cause__ or error)
        raise CompileError("constant folding", cause, "check the model in ONNX Runtime") from error
    _edges.check_types(model)
    _check_shapes(model)


class Fold(FoldConstantsPass):  # type: ignore[misc]
    """onnxscript's constant folding with a budget; new nodes keep the old one's layer and source.

    The budget is of bytes that are held: an LSTM's weights are cut, put in another order and stacked before they are
    what they are, and each of these steps lets go of what it read. What was ever made has a limit of its own.

    Raises:
        UnsafeError: From the first node, in order, whose output is above the size limit.
    """

    def __init__(self, model: ir.Model) -> None:
        weights = (v.const_value for v in model.graph.initializers.values())
        stored = sum(w.nbytes for w in weights if w is not None)
        self._left = min(_files.FOLD_LIMIT, max(_FOLD_FLOOR, 2 * stored))
        self._ever = _files.FOLD_LIMIT
        limit = self._left
        super().__init__(
            shape_inference=True,
            input_size_limit=limit,
            output_size_limit=limit,
            should_fold=self._within_budget,
        )

    def _do_inference(self, node: ir.Node) -> None:
        super()._do_inference(node)
        if node.op_type in _SAME_SHAPE and not node.domain and node.inputs[0] is not None:
            node.outputs[0].shape, node.outputs[0].type = node.inputs[0].shape, node.inputs[0].type
        if node.domain == DOMAIN:
            _logic.infer(node)
        for output in node.outputs:
            check_size(output, where(node))
        if node.op_type == "SplitToSequence" and _pieces(node) > _SPLIT_LIMIT:
            raise UnsafeError(f"{where(node)}: more than {_SPLIT_LIMIT} pieces")

    def _within_budget(self, node: ir.Node) -> bool | None:
        if node.domain or node.op_type in _QUANTIZERS:
            return False
        sizes = [n for o in node.outputs if (n := byte_count(o)) is not None]
        if len(sizes) != len(node.outputs) or sum(sizes) > min(self._left, self._ever):
            return False
        self._left -= sum(sizes)
        self._ever -= sum(sizes)
        return True

    def replace_node(self, node: ir.Node, replacement: object, root: ir.Graph | ir.Function) -> None:
        for new in replacement.new_nodes:  # type: ignore[attr-defined]
            for key in (LAYER, SOURCE):
                new.metadata_props.setdefault(key, node.metadata_props.get(key, ""))
        read = {v for v in node.inputs if v is not None and v.is_initializer()}
        super().replace_node(node, replacement, root)
        self._left += sum(byte_count(v) or 0 for v in read if not v.is_initializer())  # nothing reads it any more


def byte_count(value: ir.Value) -> int | None:
    """Bytes of the value's tensor; None where shape or dtype are not known."""
    if value.shape is None or value.dtype is None:
        return None
    dims = [d for d in value.shape if isinstance(d, int)]
    return math.ceil(math.prod(dims) * value.dtype.itemsize) if len(dims) == len(value.shape) else None


def check_size(value: ir.Value, name: str) -> None:
    """Refuse a value above the size limit with :class:`UnsafeError`."""
    count = byte_count(value)
    if count is not None and count > _files.VALUE_LIMIT:
        raise UnsafeError(
            f"{name}: makes a tensor of {_files.size(count)}, the limit is {_files.size(_files.VALUE_LIMIT)}"
        )


def _pieces(node: ir.Node) -> float:
    """Outputs of a SplitToSequence; zero where nothing says, for then it is not folded."""
    split = node.inputs[1] if len(node.inputs) > 1 else None
    if split is not None and (split.const_value is None or split.const_value.shape.rank() > 0):
        return 0 if split.const_value is None else split.const_value.size
    data = node.inputs[0]
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    length = data.shape[axis] if data is not None and data.shape is not None else None
    step = 1 if split is None or split.const_value is None else max(1, int(split.const_value.numpy()))
    return length / step if isinstance(length, int) else 0


def _check_domains(model: ir.Model) -> None:
    problems = [
        Problem(where=where(n), what=f"op of the unknown domain {n.domain!r}", fix="export with standard ONNX ops")
        for n in ir.traversal.RecursiveGraphIterator(model.graph)
        if n.domain not in ("", "ai.onnx") and not ours(n.domain)
    ]
    if problems:
        raise CompileError.of(problems)


def _bind(model: ir.Model, batch: int, example: Sequence[Shape] | None) -> None:
    """Decide the symbolic dimensions of the graph's inputs."""
    inputs = model.graph.inputs
    if example is not None and len(example) != len(inputs):
        raise ValueError(f"the model has {len(inputs)} inputs, the example has {len(example)}")
    sizes: dict[str | None, int] = {}
    for n, value in enumerate(inputs):
        for axis, dim in enumerate(_dims(value)):
            if isinstance(dim, ir.SymbolicDim) and dim.value is not None and (example is not None or axis == 0):
                given = None if example is None else example[n]
                sizes.setdefault(dim.value, batch if given is None else _at(given, axis, value))
    problems: list[Problem] = []
    for n, value in enumerate(inputs):
        given = None if example is None else example[n]
        dims = [_size(value, axis, batch, given, sizes) for axis in range(len(_dims(value)))]
        problems.extend(d for d in dims if isinstance(d, Problem))
        if not problems:
            value.shape = ir.Shape([d for d in dims if isinstance(d, int)])
            check_size(value, f"input {value.name}")
    if problems:
        raise CompileError.of(problems)


def _dims(value: ir.Value) -> tuple[int | ir.SymbolicDim, ...]:
    if value.shape is None or not isinstance(value.type, ir.TensorType):
        raise CompileError(f"input {value.name}", "has no shape", "export the model with tensor inputs of known rank")
    return tuple(value.shape)


def _at(given: Shape, axis: int, value: ir.Value) -> int:
    if len(given) != len(_dims(value)):
        raise ValueError(f"input {value.name} has {len(_dims(value))} dimensions, the example {len(given)}")
    return given[axis]


def _size(value: ir.Value, axis: int, batch: int, given: Shape | None, sizes: dict[str | None, int]) -> int | Problem:
    dim, place = _dims(value)[axis], f"input {value.name}, dimension {axis}"
    if isinstance(dim, int):
        size = dim
    elif dim.value in sizes:
        size = sizes[dim.value]
    elif given is not None or axis == 0:
        size = batch if given is None else _at(given, axis, value)
    else:
        fix = "pass an example, or export it with a fixed size"
        return Problem(where=place, what=f"has no size ({dim.value or '?'})", fix=fix)
    if given is not None and size != _at(given, axis, value):
        raise ValueError(f"input {value.name}: dimension {axis} is {size}, the example has {given[axis]}")
    if size < 1:
        return Problem(where=place, what=f"is {size}", fix="export it with a positive size")
    return size


def _forget_shapes(model: ir.Model) -> None:
    """Shapes in the file are claims, and those that name the batch are about to be wrong."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for value in node.outputs:
            value.shape = None


def _without_shape(model: ir.Model) -> list[ir.Node]:
    nodes = ir.traversal.RecursiveGraphIterator(model.graph)
    return [n for n in nodes if any(byte_count(o) is None for o in n.outputs if o.name)]


def _check_shapes(model: ir.Model) -> None:
    unknown = _without_shape(model)
    if unknown:
        late = set(unknown)
        first = [n for n in unknown if not any(v is not None and v.producer() in late for v in n.inputs)]
        raise CompileError.of([_unknown_shape(n) for n in first or unknown])
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for value in node.outputs:
            check_size(value, where(node))


def _unknown_shape(node: ir.Node) -> Problem:
    """Only nodes whose inputs are known: what follows from them would say nothing new."""
    if node.op_type in _STEPS:
        what, fix = "its output is no tensor of a constant shape", "export one step, with the state as input and output"
    else:
        dims = ", ".join(str(v.shape or "?").replace(" ", "") for v in node.inputs if v is not None)
        what = f"{node.op_type} of {dims or 'nothing'}: its inputs do not fit, or its output's shape depends on data"
        fix = "make its shape constant in the model"
    return Problem(where=where(node), what=what, fix=fix)


def check_finite(model: ir.Model) -> None:
    """Refuse NaN and infinite weights, all at once.

    A single infinite number (a bound of Clip) is no weight, nor is a mask of zeros and -inf.

    Raises:
        CompileError: Names each tensor and counts its bad elements.
    """
    problems = []
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or not tensor.dtype.is_floating_point():
            continue
        data = tensor.numpy()
        bad = ~np.isfinite(data)
        if data.size == 1 or np.all((data == 0) | np.isneginf(data)):
            bad = np.isnan(data)
        if count := int(bad.sum()):
            what = f"{count} of {data.size} elements are NaN or infinite"
            fix = "train again or repair the weights"
            problems.append(Problem(where=f"tensor {name}", what=what, fix=fix))
    if problems:
        raise CompileError.of(problems)
