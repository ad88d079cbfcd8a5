"""Convolutions of torchlogix: trees of gates over the places that each kernel reads, unrolled over all positions.

Source: F. Petersen et al., "Convolutional Differentiable Logic Gate Networks", NeurIPS 2024 (arXiv 2411.04732),
section 3.1. ``tree_weights[l]`` float [nodes, kernels, entries]; the wiring of level 0 is int64 [k, kernels,
positions, leaves, axes + 1], coordinates in the padded image and the channel last; that of level l > 0 is int64
[k, nodes], numbers of nodes of the level below.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from edgegate.frontend.logic._layer import Refused, attribute, lut, weights, wires
from edgegate.frontend.logic._parametrization import tables

_LOST = (
    "torchlogix before 0.2 keeps indices out of the state_dict and draws new ones for a new layer: compile the module "
    "itself, or set connections.indices to those it was trained with"
)
_WHOLE = "give the layer as torchlogix makes it"


def read(layer: Any) -> torch.nn.Module:
    """[N, C, *size] to [N, kernels, *positions]: look-up tables, one module for each level of the tree."""
    size = tuple(int(d) for d in attribute(layer, "in_dim", _WHOLE))
    channels, kernels = (int(attribute(layer, name, _WHOLE)) for name in ("channels", "num_kernels"))
    indices, trees = _indices(layer), list(attribute(layer, "tree_weights", _WHOLE))
    if not trees or len(indices) != len(trees):
        raise Refused(f"has {len(trees)} levels of gates and wiring for {len(indices)}", "use a tree_depth above 0")
    places = _places(layer, indices[0], size, channels)  # [k, kernels, positions, leaves]
    rank, _, positions, nodes = places.shape
    grid = _grid(layer, size, positions)
    parts: list[torch.nn.Module] = [Flat(channels, *size)]
    for level, found in enumerate(trees):
        if level:
            places = _unrolled(wires(indices[level], f"connections.indices[{level}]", nodes), kernels, positions, nodes)
            nodes = places.shape[-1]
        made = tables(layer, weights(found, f"tree_weights[{level}]", nodes, kernels, None))
        every = made.permute(1, 0, 2)[:, None].expand(kernels, positions, nodes, -1)
        parts.append(lut(*_grounded(places.flip(0).reshape(rank, -1).T, every.reshape(-1, every.shape[-1]))))
    return torch.nn.Sequential(*parts, torch.nn.Unflatten(1, (kernels, *grid)))


def wiring(layer: Any) -> list[torch.Tensor]:
    """The wiring of level 0; that of the others follows from the shape of the tree."""
    connections = getattr(layer, "connections", None)
    found = getattr(connections, "_indices_L0", None)
    if found is None:
        found = next(iter(getattr(connections, "indices", None) or []), None)
    return [] if found is None else [found]


def _indices(layer: Any) -> list[torch.Tensor]:
    """The wiring of each level: buffers in torchlogix 0.2, a list before."""
    connections = attribute(layer, "connections", _LOST)
    found = [t for n in range(64) if (t := getattr(connections, f"_indices_L{n}", None)) is not None]
    found = found or list(vars(connections).get("indices") or [])
    if not found:
        raise Refused("has no connections.indices, the wiring between its gates", _LOST)
    return found


def _places(layer: Any, found: torch.Tensor, size: tuple[int, ...], channels: int) -> torch.Tensor:
    """Numbers of inputs of the flat image, [k, kernels, positions, leaves]; -1 where a place is in the padding."""
    kernels = int(layer.num_kernels)
    if found.ndim != 5 or found.shape[1] != kernels or found.shape[-1] != len(size) + 1:
        expected = f"[k, {kernels}, positions, leaves, {len(size) + 1}]"
        raise Refused(f"has wiring of shape {list(found.shape)}, not {expected}", _WHOLE)
    read, padding, stride = _frame(layer, size)
    place = wires(found[..., -1], "connections.indices[0]", channels)
    inside = torch.ones_like(place, dtype=torch.bool)
    for axis, length in enumerate(size):
        at = wires(found[..., axis], "connections.indices[0]", read[axis] + 2 * padding) - padding
        inside &= (at >= 0) & (at < length * stride) & (at % stride == 0)
        place = place * length + at // stride
    return torch.where(inside, place, -1)


def _frame(layer: Any, size: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
    """The size of what the kernels read, the zeros on each side of it, and its rows for each row of the image.

    A transposed convolution reads an image with zeros between its rows.
    """
    connections = layer.connections
    if hasattr(connections, "orig_stride"):
        read = tuple(int(d) for d in attribute(connections, "in_dim", _WHOLE))
        return read, int(attribute(connections, "padding", _WHOLE)), int(connections.orig_stride)
    padding = int(attribute(layer, "padding", _WHOLE))
    if padding and len(size) == 3 and not hasattr(type(layer), "_apply_padding"):
        fix = "train with torchlogix 0.2.2 or newer, or with padding=0"
        raise Refused("is padded, which torchlogix before 0.2.2 does on two of three axes only", fix)
    return size, padding, 1


def _grid(layer: Any, size: tuple[int, ...], positions: int) -> list[int]:
    """Positions of the kernels along each axis."""
    found = getattr(layer, "kernel_positions", None)
    if found is None:
        fields = attribute(layer, "receptive_field_size", _WHOLE)
        steps, padding = int(attribute(layer, "stride", _WHOLE)), int(attribute(layer, "padding", _WHOLE))
        found = [(d + 2 * padding - int(f)) // steps + 1 for d, f in zip(size, fields, strict=True)]
    if math.prod(found) != positions:
        raise Refused(f"has {positions} positions for a grid of {list(found)}", _WHOLE)
    return [int(d) for d in found]


def _unrolled(indices: torch.Tensor, kernels: int, positions: int, below: int) -> torch.Tensor:
    """Wiring [k, nodes] inside one tree as [k, kernels, positions, nodes] over all of them."""
    first = (torch.arange(kernels * positions) * below).reshape(1, kernels, positions, 1)
    return indices[:, None, None] + first


def _grounded(indices: torch.Tensor, entries: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """An input of -1 reads false: the entry at each address is the one without that bit, and any input will do.

    Args:
        indices: int64 [m, k].
        entries: bool [m, 2**k].
    """
    there = ((indices >= 0).to(torch.int64) << torch.arange(indices.shape[1])).sum(1, keepdim=True)
    return indices.clamp(min=0), entries.gather(1, torch.arange(entries.shape[1]) & there)


class Flat(torch.nn.Module):  # type: ignore[misc]
    """[N, *shape] to [N, all of it]."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One row for each image; ValueError where it has another size than the layer was made for."""
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"a logic convolution over images of {self.shape} got {tuple(x.shape[1:])}")
        return x.flatten(1)
