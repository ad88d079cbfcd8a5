"""Loops of a float model as ONNX Runtime runs them, with a look at every value of every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgegate.graph import Array, attribute, shape
from edgegate.stages.loops import Loop, arranged, loops

WATCHED = ".edgegate_steps"
"""Behind the name of a value in a step: the same of all steps, [T, ...]."""


def units(nodes: Sequence[ir.Node]) -> list[list[ir.Node]]:
    """The nodes in an order that runs, those of a loop together."""
    found = arranged(nodes)
    return [[u.begin, *u.inside, u.end] if isinstance(u, Loop) else [u] for u in found]


def protos(nodes: Sequence[ir.Node], name: str) -> list[Any]:
    """The nodes as ONNX has them, each loop as a Scan.

    Args:
        nodes: Of a float model; whole loops.
        name: What each is called, before its number and a ``_``.
    """
    numbers = {id(n): i for i, n in enumerate(nodes)}

    def named(node: ir.Node) -> Any:
        proto = ir.to_proto(node)
        proto.name = f"{name}{numbers[id(node)]}_"
        return proto

    return [_scan(u, [named(n) for n in u.inside], named(u.end).name) if isinstance(u, Loop) else named(u)
            for u in arranged(nodes)]  # fmt: skip


def _scan(loop: Loop, steps: list[Any], name: str) -> Any:
    from onnx import helper

    results, watched = _names(loop.results), _names(_watched(loop))
    copies = [f"{name}copy{i}" for i in range(len(results) + len(watched))]
    steps = [*steps, *(helper.make_node("Identity", [a], [b]) for a, b in zip(results + watched, copies, strict=True))]
    given = [ir.to_proto(v) for v in loop.begin.outputs]
    made = [_described(c, v) for c, v in zip(copies, [*loop.results, *_watched(loop)], strict=True)]
    turned = [list(attribute(n, "reverse", [])) for n in (loop.begin, loop.end)]
    return helper.make_node(
        "Scan",
        _names(v for v in loop.begin.inputs if v is not None),
        _names(loop.end.outputs) + [f"{w}{WATCHED}" for w in watched],
        name=name,
        body=helper.make_graph(steps, f"{name}step", given, made),
        num_scan_inputs=len(loop.begin.inputs) - loop.states,
        scan_input_directions=turned[0] or None,
        scan_output_directions=turned[1] + [0] * len(watched),
    )


def _names(values: Any) -> list[str]:
    return [str(v.name) for v in values]


def _watched(loop: Loop) -> list[ir.Value]:
    """Every value of a step."""
    return [*loop.begin.outputs, *(v for n in loop.inside for v in n.outputs if v.name)]


def _described(name: str, value: ir.Value) -> Any:
    proto = ir.to_proto(value)
    proto.name = name
    return proto


class Steps:
    """The values of all steps of all loops among nodes.

    Args:
        nodes: Whole loops, and others.
    """

    def __init__(self, nodes: Sequence[ir.Node]) -> None:
        self._loops = loops(nodes)
        self._values = {str(v.name): v for loop in self._loops for v in _watched(loop)}

    def outputs(self, values: Sequence[ir.Value]) -> list[Any]:
        """``values`` as outputs of an ONNX graph; of those of steps only name and type are said."""
        from onnx import helper

        inner = [v for v in values if str(v.name) in self._values]
        steps = {id(v): helper.make_tensor_value_info(f"{v.name}{WATCHED}", int(v.dtype or 1), None) for v in inner}
        return [steps.get(id(v)) or ir.to_proto(v) for v in values]

    def asked(self, names: Sequence[str]) -> list[str]:
        """What to ask ONNX Runtime for, to know the values called ``names``."""
        return [f"{n}{WATCHED}" if n in self._values else n for n in names]

    def given(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """The values under their own names; those of steps one behind the other along the first axis.

        A state has one more than there are steps: what the last one leaves, too.
        """
        found = {name.removesuffix(WATCHED): x for name, x in values.items()}
        for loop in self._loops:
            finals = dict(zip(_names(loop.begin.outputs), _names(loop.end.outputs[: loop.states]), strict=False))
            for name, final in finals.items():
                found[name] = np.concatenate([found[name], found[final][None]])
        for name, value in self._values.items():
            dims = shape(value)
            found[name] = found[name].reshape(-1, *dims[1:]) if dims else found[name]
        return found
