"""The states of a step: inputs that are in the next step what an output is in this one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches

import onnx_ir as ir

from edgegate.errors import CompileError, Problem
from edgegate.frontend._edges import source_of
from edgegate.graph import SHOWN, STATE, shape, where


def name(model: ir.Model, wanted: Sequence[str]) -> dict[str, str]:
    """What the graph's metadata says of the states.

    An output that is a state alone need not be computed: where it is an input, or another output again, the state
    becomes that one, and the output goes.

    Args:
        model: Static shapes; its outputs may change.
        wanted: "INPUT=OUTPUT", each a name or, counted from 0, a place.

    Raises:
        CompileError: There is no such input or output; a state comes back in another shape or type, or is a constant.
    """
    if not wanted:
        return {}
    inputs, outputs = list(model.graph.inputs), list(model.graph.outputs)
    sides = [text.partition("=")[::2] for text in wanted]
    pairs = [(_find(inputs, before, "input"), _find(outputs, after, "output")) for before, after in sides]
    _check([(inputs[i], outputs[o]) for i, o in pairs])
    again = {o for _, o in pairs}
    shown = [value for i, value in enumerate(outputs) if i not in again]
    homes = _homes(outputs, shown)
    kept: list[ir.Value] = []
    for i, value in enumerate(outputs):
        own = homes[value] is value and not value.is_graph_input() and value not in (*shown, *kept)
        kept += [value] if own or i not in again else []
    model.graph.outputs.clear()
    model.graph.outputs.extend(kept)
    named = [[inputs[i].name, homes[outputs[o]].name] for i, o in pairs]
    return {STATE: json.dumps(named), SHOWN: json.dumps([value.name for value in shown or kept])}


def _find(values: Sequence[ir.Value], wanted: str, what: str) -> int:
    names = [str(value.name) for value in values]
    if wanted in names:
        return names.index(wanted)
    if wanted.isdecimal() and int(wanted) < len(values):
        return int(wanted)
    near = get_close_matches(wanted, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    fix = f"name a state INPUT=OUTPUT{hint}"
    raise CompileError(f"state {wanted}", f"is no {what}: the {what}s are {', '.join(names)}", fix)


def _check(pairs: Sequence[tuple[ir.Value, ir.Value]]) -> None:
    problems = []
    for before, after in pairs:
        source = source_of(after)
        maker = after.producer()
        place = f"state {before.name}" if maker is None else where(maker)
        if source.is_initializer() or getattr(source.producer(), "op_type", "") == "Constant":
            what, fix = f"makes state {before.name} a constant", "let the step not take it"
            problems.append(Problem(where=place, what=what, fix=fix))
        elif (shape(before), before.dtype) != (shape(after), after.dtype):
            what = f"gives state {before.name} back as {_kind(after)}, but takes it as {_kind(before)}"
            problems.append(Problem(where=place, what=what, fix="return a state in the shape in which it came"))
    if problems:
        raise CompileError.of(problems)


def _kind(value: ir.Value) -> str:
    return f"{'?' if value.dtype is None else value.dtype.name.lower()}{list(shape(value))}"


def _homes(outputs: Sequence[ir.Value], shown: Sequence[ir.Value]) -> dict[ir.Value, ir.Value]:
    """For each output, the value that it is: itself, unless it is a state that is known under another name."""
    first: dict[ir.Value, ir.Value] = {}
    for value in (*shown, *outputs):
        first.setdefault(source_of(value), value)
    sources = {value: source_of(value) for value in outputs}
    return {v: v if v in shown else s if s.is_graph_input() else first[s] for v, s in sources.items()}
