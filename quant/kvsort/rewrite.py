"""Queries and keys of a graph, permuted and scaled in the weights that make them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, array, constant, insert, replace, shape
from edgegate.quant.folds._store import Revision, store, wide
from edgegate.quant.kvsort.choose import Sorting
from edgegate.quant.kvsort.heads import Projections
from edgegate.quant.kvsort.sites import Side, Site


def projections(site: Site) -> Projections:
    """The weights that make q and k, their channels in the order of the heads; float64.

    The bias of a norm is left out.
    """
    found: dict[str, Array] = {}
    for name, side in (("q", site.q), ("k", site.k)):
        columns = side.columns.ravel()
        found[name], found[f"{name}_bias"] = wide(side.layer, 1)[:, columns], wide(side.layer, 2)[columns]
        if side.gain is not None:
            found[f"{name}_gain"] = np.broadcast_to(wide(side.gain, 1).ravel(), side.places.shape)[side.places]
    return Projections(**found)


def apply_ksort(model: ir.Model, site: Site, sorting: Sorting) -> None:
    """Permute and scale the channels of a site's queries and keys; every logit stays what it was.

    Columns of the weights and biases change, gains and biases of norms, and where the order changes the tables of
    the rotary embedding: it is then written as ``x * cos + Gather(x, partner) * sin``. Tables grow by the
    heads if these have orders of their own. Constants are computed in float64 and rounded once.

    Args:
        model: Of the site; sites that share a layer with this one must be looked up again afterwards.
        site: From ``attention_sites``.
        sorting: What to do.

    Raises:
        ValueError: The sorting is for other heads, or differs between heads that share the gain of a norm.
    """
    layout, order, scale = site.layout, sorting.order, sorting.scale
    given = sorting.layout.heads, sorting.layout.kv_heads, sorting.layout.size
    if given != (layout.heads, layout.kv_heads, layout.size):
        raise ValueError(f"the sorting is for {sorting.layout}, the site has {layout}")
    if site.shared and ((order != order[:1]).any() or (scale != scale[:1]).any()):
        raise ValueError("heads that share the gain of a norm need one order and one scale: choose(..., shared=True)")
    sides = ((site.q, layout.of_heads(order), 1 / layout.of_heads(scale)), (site.k, order, scale))
    for side, places, factor in sides:
        _project(model, side, places, factor)
    if (order == np.arange(layout.size)).all():
        return
    for side, places, _ in sides:
        if side.after is not None:
            _rotate(model, side, places, sorting.layout.pairs)


def _project(model: ir.Model, side: Side, order: Array, factor: Array) -> None:
    """New columns, and the factor in them or in the gain."""
    own = np.take_along_axis(side.columns, order, 1).ravel()
    revisions = []
    for index in (1, 2):
        data = wide(side.layer, index)
        new = data.copy()
        new[..., side.columns.ravel()] = data[..., own] * (1 if side.gain is not None else factor.ravel())
        revisions.append(Revision(node=side.layer, index=index, data=new))
    for index in range(1, 0 if side.gain is None else len(side.gain.inputs)):
        assert side.gain is not None, "the range is empty"
        data = wide(side.gain, index)
        full = np.broadcast_to(data.ravel(), order.shape[1]).copy()
        full[side.places] = full[side.places[order[0]]] * factor[0]
        revisions.append(Revision(node=side.gain, index=index, data=full))
    store(model, [_in_dtype(revision) for revision in revisions])


def _in_dtype(revision: Revision) -> Revision:
    old = array(revision.node.inputs[revision.index])
    assert old is not None, "the layer's constants were just read"
    return Revision(node=revision.node, index=revision.index, data=revision.data.astype(old.dtype))


def _rotate(model: ir.Model, side: Side, order: Array, pairs: Array) -> None:
    """A new rotary embedding in the place of the old one."""
    assert side.before is not None and side.after is not None and side.cos is not None and side.sin is not None
    anchor, name = side.after.producer(), str(side.after.name)
    assert anchor is not None and side.after.dtype is not None, "it is computed, from floats"
    partner = np.empty(order.shape[1], np.int64)
    partner[pairs[:, 0]], partner[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
    one = (order == order[:1]).all()
    tables = [table[:, order[0]] if one else np.swapaxes(table[:, order], 0, 1) for table in (side.cos, side.sin)]
    dtype, dims = side.after.dtype, shape(side.before)

    def put(op_type: str, what: str, *inputs: ir.Value, to: tuple[int, ...] = dims, **attributes: object) -> ir.Value:
        return insert(
            anchor, op_type, inputs, attributes, domain="", name=f"{name}.{what}", dtype=dtype, dims=to
        )  # fmt: skip

    cos, sin = (
        constant(model, f"{name}.{what}", table.astype(dtype.numpy()))
        for what, table in zip(("cos", "sin"), tables, strict=True)
    )
    turned = put("Gather", "partner", side.before, constant(model, f"{name}.partners", partner), axis=3)
    total = put("Add", "rotated", put("Mul", "straight", side.before, cos), put("Mul", "turned", turned, sin))
    if shape(side.after) != dims:
        target = constant(model, f"{name}.shape", np.array(shape(side.after), np.int64))
        total = put("Reshape", "shaped", total, target, to=shape(side.after))
    _replace(anchor, side.after, total)


def _replace(node: ir.Node, old: ir.Value, new: ir.Value) -> None:
    """Let ``new`` stand for ``old``, one of the outputs of ``node``; what is no longer read goes."""
    if len(node.outputs) == 1:
        dead = [v.producer() for v in node.inputs if v is not None]
        replace(node, new)
        _drop(dead)
    else:
        ir.convenience.replace_all_uses_with(old, new)


def _drop(nodes: list[ir.Node | None]) -> None:
    """Remove these and what only they read, if nothing reads their outputs."""
    while nodes:
        node = nodes.pop()
        graph = None if node is None else node.graph
        if node is None or graph is None or any(v.uses() or v.is_graph_output() for v in node.outputs):
            continue
        nodes += [v.producer() for v in node.inputs if v is not None]
        graph.remove(node, safe=True)
