"""Where a graph multiplies queries with keys, and what makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, attribute, shape, where
from edgegate.quant.folds._moves import moved
from edgegate.quant.kvsort._norms import NormedProjection, normed
from edgegate.quant.kvsort._terms import Terms, Trace
from edgegate.quant.kvsort.heads import Heads, Rotary


class NotUnderstood(Exception):
    """Why the makers of q or k cannot be permuted; for :class:`Refusal`."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """Queries or keys.

    Attributes:
        layer: The ``edgegate.Linear`` that makes them.
        columns: [heads, size] the column of the layer that each channel of each head comes from.
        gain: The node whose constants are the gain (and bias) of their norm, or None.
        places: [size] the entry of the gain for each channel.
        before: Heads [batch, heads, length, size] as the rotary embedding sees them; None without one.
        after: The same behind it.
        cos: [length, size] the factor of each channel there; None without a rotary embedding.
        sin: [length, size] the factor of its partner, with its sign.
    """

    layer: ir.Node
    columns: Array
    gain: ir.Node | None
    places: Array
    before: ir.Value | None
    after: ir.Value | None
    cos: Array | None
    sin: Array | None


@dataclass(frozen=True, kw_only=True)
class Site:
    """One product of queries and keys.

    Attributes:
        node: The MatMul or Attention.
        layout: Of its heads.
        q: What makes the queries.
        k: What makes the keys.
    """

    node: ir.Node
    layout: Heads
    q: Side
    k: Side

    @property
    def shared(self) -> bool:
        """Whether all heads have one order and one scale: they share the gain of a norm."""
        return self.q.gain is not None or self.k.gain is not None


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A product of two activations whose channels stay as they are, and why."""

    node: ir.Node
    where: str
    why: str


def attention_sites(model: ir.Model) -> tuple[list[Site], list[Refusal]]:
    """All products of queries and keys whose channels can be permuted, and those that cannot be, with a reason.

    Found are MatMul(q, k^T) and ``Attention`` of opset 23, where q and k come from an ``edgegate.Linear`` each (or
    from one for both), perhaps through a norm of each head, a rotary embedding however it is written, constant
    factors and the copies that grouped heads need. A MatMul whose first operand is a Softmax, or that does not
    multiply heads, is no such product and is not in the answer.

    Args:
        model: Normalised by ``edgegate.passes.FLOAT``; it is not changed.
    """
    sites, refusals = [], []
    for node in model.graph:
        if _is_product(node):
            try:
                sites.append(_site(model, node))
            except NotUnderstood as error:
                refusals.append(Refusal(node=node, where=where(node), why=str(error)))
    return sites, refusals


def _is_product(node: ir.Node) -> bool:
    if (node.domain, node.op_type) == ("", "Attention"):
        return True
    if (node.domain, node.op_type) != ("", "MatMul") or any(v is None or array(v) is not None for v in node.inputs):
        return False
    readers = [n for n, _ in node.outputs[0].uses()]
    for _ in range(3):  # scale and mask
        if any(n.op_type == "Softmax" for n in readers):
            return True
        readers = [n for r in readers for v in r.outputs for n, _ in v.uses()]
    return False


def _site(model: ir.Model, node: ir.Node) -> Site:
    operands = [node.inputs[0], node.inputs[1]]
    q_heads, k_heads = (int(attribute(node, f"{of}_num_heads", 0)) for of in ("q", "kv"))
    is_op = node.op_type == "Attention"
    if any(v is not None for v in node.inputs[4:6]) or any(v.uses() or v.is_graph_output() for v in node.outputs[1:3]):
        raise NotUnderstood("it reads or makes a cache of keys")
    traces = [Trace(model, v) for v in operands if v is not None]
    q, q_pairs = _side(traces[0], node, False, q_heads)
    k, k_pairs = _side(traces[1], node, not is_op, k_heads)
    if q_pairs != k_pairs:
        raise NotUnderstood(f"q is rotated in {q_pairs} pairs, k in {k_pairs} pairs")
    count = len(np.unique(k.columns, axis=0))
    kv_heads = k.columns[:: max(1, len(k.columns) // count)]
    if len(q.columns) % count or not np.array_equal(np.repeat(kv_heads, len(k.columns) // count, 0), k.columns):
        raise NotUnderstood("the heads do not share keys in equal groups")
    if np.unique(q.columns).size < q.columns.size:
        raise NotUnderstood("two heads have the same queries")
    layout = Heads(heads=len(q.columns), kv_heads=count, size=q.columns.shape[1], rotary=q_pairs)
    return Site(node=node, layout=layout, q=q, k=_with_columns(k, kv_heads))


def _with_columns(side: Side, columns: Array) -> Side:
    return Side(**{**side.__dict__, "columns": columns})


def _side(trace: Trace, product: ir.Node, transposed: bool, heads: int) -> tuple[Side, Rotary]:
    found = normed(trace.terms.source)
    if isinstance(found, str):
        raise NotUnderstood(found)
    _check_readers(trace, found, product)
    terms = _by_head(trace, transposed, heads)
    tokens, columns = _split(found, terms.index)
    if (columns != columns[:, :, :1]).any() or (tokens != tokens[:1, :, :, :1]).any():
        raise NotUnderstood("its channels come from different places of the layer before")
    batch = _batches(tokens[0, :, :, 0])
    columns = columns[:, :, 0].reshape(len(columns), batch, -1, columns.shape[-1])
    if (columns != columns[:, :1]).any():
        raise NotUnderstood("its channels differ between the elements of a batch")
    own, rotary = _own(columns[:, 0])
    places = _places(found, own)
    side = Side(
        layer=found.layer, columns=own, gain=found.gain, places=places, before=None, after=None, cos=None, sin=None
    )
    return (side if rotary == "none" else _rotation(trace, found, side, rotary, terms.index)), rotary


def _by_head(trace: Trace, transposed: bool, heads: int) -> Terms:
    """The terms as [terms, batch * heads, length, size]."""
    index, coefficient = (np.asarray(a) for a in (trace.terms.index, trace.terms.coefficient))
    if index.ndim == 4 and heads:  # [batch, length, heads * size]
        parts = [a.reshape(*a.shape[:3], heads, -1).swapaxes(2, 3) for a in (index, coefficient)]
        index, coefficient = parts
    if index.ndim < 3:
        raise NotUnderstood("it has no axis of heads")
    if transposed:
        index, coefficient = index.swapaxes(-1, -2), coefficient.swapaxes(-1, -2)
    dims = (len(index), -1, *index.shape[-2:])
    return Terms(source=trace.terms.source, index=index.reshape(dims), coefficient=coefficient.reshape(dims))


def _split(found: NormedProjection, index: Array) -> tuple[Array, Array]:
    """Token and column of the layer's output for each element of the source."""
    flat = found.index.ravel()[index]
    width = shape(found.layer.outputs[0])[-1]
    return flat // width, flat % width


def _batches(tokens: Array) -> int:
    """How many elements the batch has, from the tokens [batch * heads, length] of each head."""
    starts = np.unique(tokens[:, 0]).size
    heads = len(tokens) // starts
    wanted = tokens.reshape(starts, heads, -1)
    if len(tokens) % starts or (wanted != wanted[:, :1]).any():
        raise NotUnderstood("its heads do not stand together")
    return starts


def _own(columns: Array) -> tuple[Array, Rotary]:
    """[heads, size] a column of the layer for each channel, and how they are paired.

    Args:
        columns: [terms, heads, size].
    """
    size = columns.shape[-1]
    if len(columns) == 1:
        return columns[0], "none"
    both = np.sort(columns, axis=0)
    halves, pairs = np.array_split(np.arange(size), 2), np.arange(size).reshape(-1, 2).T if size % 2 == 0 else None
    named: list[tuple[Literal["half", "interleaved"], list[Array]]] = [("half", halves)]
    if pairs is not None:
        named.append(("interleaved", list(pairs)))
        for rotary, (first, second) in named:
            if np.array_equal(both[..., first], both[..., second]) and (both[0] < both[1]).all():
                own = np.empty_like(both[0])
                own[:, first], own[:, second] = both[0][:, first], both[1][:, first]
                return own, rotary
    raise NotUnderstood("its channels are neither left alone nor turned in pairs, half a head apart or side by side")


def _places(found: NormedProjection, own: Array) -> Array:
    """[size] the entry of the gain for each channel, which is the same in each head."""
    size = own.shape[1]
    if found.gain is None:
        return np.arange(size)
    place = np.empty(shape(found.layer.outputs[0])[-1], np.int64)
    width = found.index.shape[-1]
    place[(found.index % place.size).ravel()] = np.broadcast_to(np.arange(width), found.index.shape).ravel()
    if width != size or (place[own] != place[own[:1]]).any():
        raise NotUnderstood("its norm is not over the channels of one head")
    return place[own[0]]


def _rotation(trace: Trace, found: NormedProjection, side: Side, rotary: Rotary, index: Array) -> Side:
    """The side, with the values on both sides of its rotary embedding and its tables."""
    heads, size = np.unique(side.columns, axis=0).shape
    copies = len(side.columns) // heads
    moves = [v for v, terms in trace.items() if terms.is_move and terms.source is trace.terms.source]
    shaped = [v for v in moves if len(shape(v)) == 4 and shape(v)[1::2] == (heads, size)]
    in_order = [v for v in shaped if _is_in_order(found, trace[v], side.columns[::copies])]
    if not in_order:
        raise NotUnderstood("it is not rotated as [batch, heads, length, size], its channels in the layer's order")
    before = in_order[0]
    dims, first = shape(before), trace[before].index[0]
    found_after = []
    for value, terms in trace.items():
        if len(terms.index) > 1 and terms.index[0].size == first.size:
            behind = np.repeat(terms.index.reshape(-1, *dims), copies, axis=2)
            found_after += [value] if np.array_equal(behind.reshape(index.shape), index) else []
    if not found_after:
        raise NotUnderstood("its channels change places between the rotary embedding and the product")
    after = next((v for v in found_after if shape(v) == dims), found_after[0])
    partner = np.roll(np.arange(size), size // 2) if rotary == "half" else np.arange(size) ^ 1
    cos, sin = (_factors(trace[after], first[..., taken]) for taken in (np.arange(size), partner))
    return Side(**{**side.__dict__, "before": before, "after": after, "cos": cos, "sin": sin})


def _is_in_order(found: NormedProjection, terms: Terms, columns: Array) -> bool:
    return np.array_equal(_split(found, terms.index[0, 0, :, 0])[1], columns)


def _factors(terms: Terms, wanted: Array) -> Array:
    """[length, size] the factor of the elements ``wanted`` of the source in each element."""
    is_it = terms.index.reshape(-1, *wanted.shape) == wanted[None]
    if (is_it.sum(axis=0) != 1).any():
        raise NotUnderstood("its rotary embedding takes other channels than it says")
    factors = np.where(is_it, terms.coefficient.reshape(is_it.shape), 0.0).sum(axis=0)
    if (factors != factors[:1, :1]).any():
        raise NotUnderstood("its heads are rotated in different ways")
    return np.asarray(factors[0, 0])


def _check_readers(trace: Trace, found: NormedProjection, product: ir.Node) -> None:
    """Nothing reads the channels but what leads to the product."""
    inside = {id(v.producer()) for v in trace} | {id(n) for n in found.nodes} | {id(product)}
    own = np.unique(found.index)
    for value in (*trace, *found.values):
        if value.is_graph_output():
            raise NotUnderstood(f"{value.name} is an output of the model")
        for node, index in value.uses():
            if id(node) in inside or (value is found.layer.outputs[0] and _reads_others(node, index, own)):
                continue
            raise NotUnderstood(f"{where(node)} reads {value.name} too")


def _reads_others(node: ir.Node, index: int, own: Array) -> bool:
    """Whether the node takes none of these elements of its input."""
    sources = moved(node) if index == 0 and node.op_type != "Concat" else None
    return sources is not None and not any(np.isin(part[0], own).any() for part in sources)
