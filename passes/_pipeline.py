"""Running passes, and what a pass is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from edgegate.errors import CompileError

Pass = Callable[[ir.Model], None]
"""Changes a model in place. Its name is its ``__name__``, its manual its docstring."""


def run(model: ir.Model, passes: Sequence[Pass], check: Callable[[ir.Model], None]) -> None:
    """Run ``passes`` in order; ``check`` must accept the model before the first and after each.

    Raises:
        CompileError: ``check`` refuses the model as it came, or a pass says the user's model cannot be compiled.
        AssertionError: A pass broke the model; says which and how.
    """
    check(model)
    for step in passes:
        step(model)
        try:
            check(model)
        except CompileError as error:
            raise AssertionError(f"pass {getattr(step, '__name__', step)} broke the model: {error}") from error
