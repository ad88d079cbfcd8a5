"""Products with constant weights, and what stands behind them, as one kernel on tensor cores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgegate.graph import DOMAIN, Array, array, attribute, only_user, shape
from edgegate.targets._call import dtype
from edgegate.targets.cuda_network.gemm import Instance
from edgegate.targets.cuda_network.gemm.choose import choose
from edgegate.targets.cuda_network.launch import Launch, Map, Parameter, Struct

DEEP = 16
"""The depth of a product is a multiple of so many bytes: they are read at once."""
SHIFTS = (32, 62)
"""What the kernels' rescale takes: its sum then has 64 bits, and its result 31."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """``y[m, n] = finish(x[m, k] weights[n, k]^T)``.

    Attributes:
        nodes: What it stands for.
        source: int8 [m, k], in whatever shape.
        weights: int8 [n, k].
        bias: int32 [n], the zero point of the source counted in.
        rescale: What follows the sum, or None.
        table: 256 entries of a byte that follow that, or None.
        output: What is written.
    """

    nodes: tuple[ir.Node, ...]
    source: ir.Value
    weights: Array
    bias: Array
    rescale: ir.Node | None
    table: Array | None
    output: ir.Value

    @property
    def rows(self) -> int:
        """M."""
        return math.prod(shape(self.source)) // self.weights.shape[1]

    def launch(self, capability: int, module: dict[str, str]) -> Launch:
        """The kernel for GPUs of one compute capability; its text is added to ``module``."""
        (n, k), m, bytes_out = self.weights.shape, self.rows, self.rescale is not None
        columns = bytes_out and self._factors()[0].size > 1
        epilogue = {
            "OUT_INT8": int(bytes_out),
            "BIAS": 1,
            "PER_COLUMN": int(columns),
            "TABLE": int(self.table is not None),
        }
        instance = choose(m, n, k, capability, epilogue)
        name = named(module, instance.kind, instance.text())
        arguments = [*self._ends(instance, m, n, k), m, n, k, self._finish(columns)]
        written = next(i for i, a in enumerate(arguments) if a is self.output)
        return Launch(
            module=name, kernel=instance.name, grid=instance.grid(m, n), threads=instance.threads(),
            shared=instance.shared(), resident=instance.kind == "gemm_sm90", arguments=tuple(arguments),
            written=frozenset({written}),
        )  # fmt: skip

    def _ends(self, instance: Instance, m: int, n: int, k: int) -> list[Parameter]:
        """The matrices as the kernel takes them: by pointers, or by maps and the output by its pointer too."""
        c = instance.constants
        if instance.kind == "gemm_sm90":
            item = 1 if c["OUT_INT8"] else 4
            a = Map(place=self.source, rows=m, columns=k, box=c["TILE_M"] // c["CLUSTER_N"])
            b = Map(place=self.weights, rows=n, columns=k, box=c["TILE_N"] // c["CLUSTER_M"])
            y = Map(place=self.output, rows=m, columns=n, box=16, item=item, width=min(128, c["TILE_N"] * item))
            return [a, b, y if c["STORE_TMA"] else a, self.output]
        if instance.kind == "small_sm90":
            tokens = Map(place=self.source, rows=m, columns=k, box=c["TILE_T"] // c["TOGETHER"])
            return [tokens, Map(place=self.weights, rows=n, columns=k, box=64 * c["CONSUMERS"]), self.output]
        return [self.source, self.weights, self.output]

    def _factors(self) -> tuple[Array, Array]:
        """Multipliers and shifts of the rescale."""
        assert self.rescale is not None, "there is one"
        found = [array(v) for v in self.rescale.inputs[1:3]]
        assert found[0] is not None and found[1] is not None, "factors are constants"
        return found[0].reshape(-1), found[1].reshape(-1)

    def _finish(self, columns: bool) -> Struct:
        """``Finish`` of common.cu."""
        if self.rescale is None:
            return Struct(pointers=(self.bias, None, None, None), numbers=(0, 32, 0, 0, 0))
        multiplier, shift = self._factors()
        ends = (int(attribute(self.rescale, name)) for name in ("output_zero_point", "low", "high"))
        if columns:
            return Struct(pointers=(self.bias, multiplier, shift, self.table), numbers=(0, 32, *ends))
        return Struct(pointers=(self.bias, None, None, self.table), numbers=(int(multiplier[0]), int(shift[0]), *ends))


def named(module: dict[str, str], kind: str, text: str) -> str:
    """The name of a text among the modules, to which it is added unless it is there."""
    name = next((name for name, known in module.items() if known == text), f"{kind}_{len(module)}")
    module[name] = text
    return name


def product_at(node: ir.Node) -> Product | None:
    """The product that begins at a node, with as much behind it as the kernels can do; None if it is none for them."""
    weights = _weights(node)
    source, bias = node.inputs[0], array(node.inputs[2]) if weights is not None else None
    if weights is None or source is None or bias is None or dtype(source) != "int8" or weights.shape[1] % DEEP:
        return None
    zero = int(attribute(node, "a_zero_point" if node.op_type == "MatMul" else "input_zero_point"))
    summed = weights.astype(np.int64).sum(1) * zero
    folded = np.broadcast_to(bias.reshape(-1), summed.shape).astype(np.int64) - summed
    nodes, output = [node], node.outputs[0]
    rescale = only_user(output)
    if rescale is None or not is_rescale(rescale, weights.shape[0]):
        rescale = None
    table = None
    if rescale is not None:
        nodes, output = [*nodes, rescale], rescale.outputs[0]
        behind = only_user(output)
        if behind is not None and is_table(behind):
            table = array(behind.inputs[1])
            nodes, output = [*nodes, behind], behind.outputs[0]
    return Product(
        nodes=tuple(nodes), source=source, weights=weights, bias=folded.astype(np.int32), rescale=rescale, table=table,
        output=output,
    )  # fmt: skip


def _weights(node: ir.Node) -> Array | None:
    """int8 [n, k] of a product with a constant matrix, or of a convolution of single pixels."""
    if node.domain != DOMAIN or len(node.inputs) < 3:
        return None
    data = array(node.inputs[1])
    if data is None or data.dtype != np.int8:
        return None
    if node.op_type == "MatMul" and data.ndim == 2 and not attribute(node, "b_zero_point"):
        return np.ascontiguousarray(data.T)
    if node.op_type == "Conv2d" and data.shape[1:3] == (1, 1):
        plain = attribute(node, "group") == 1 and not any(attribute(node, "pads"))
        if plain and all(s == 1 for s in attribute(node, "strides")):
            return data.reshape(data.shape[0], data.shape[3])
    return None


def is_rescale(node: ir.Node, columns: int) -> bool:
    """Whether a rescale is to bytes, by factors for each column or one for all, such as the kernels take."""
    if (node.domain, node.op_type) != (DOMAIN, "Rescale") or dtype(node.outputs[0]) not in ("int8", "uint8"):
        return False
    multiplier, shift = (array(v) for v in node.inputs[1:3])
    if multiplier is None or shift is None or multiplier.size != shift.size or multiplier.size not in (1, columns):
        return False
    last = multiplier.size == 1 or multiplier.shape[-1] == columns
    in_range = SHIFTS[0] <= shift.min() and shift.max() <= SHIFTS[1]
    return bool(last and in_range and not attribute(node, "input_zero_point"))


def is_table(node: ir.Node) -> bool:
    """Whether a node looks int8 up in a table of bytes."""
    if (node.domain, node.op_type) != (DOMAIN, "Table") or dtype(node.inputs[0]) != "int8":  # type: ignore[arg-type]
        return False
    data = array(node.inputs[1])
    return data is not None and data.dtype.itemsize == 1 and attribute(node, "offset") == 128
