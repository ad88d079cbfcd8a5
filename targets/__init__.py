"""The targets: to add one, write its file and name it here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TARGETS: dict[str, Callable[..., Any]] = {}
"""Name to build function: ``build(model, scheme, proof, options) -> Artifact``."""
