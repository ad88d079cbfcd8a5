"""Portable C99 of logic gate networks: no library but <stdint.h>, no heap, no recursion."""

from __future__ import annotations

from edgegate.targets.c_code.interface import Names, identifier
from edgegate.targets.c_code.selftest import samples_of, selftest
from edgegate.targets.c_code.source import Sources, sources

__all__ = ["Names", "Sources", "identifier", "samples_of", "selftest", "sources"]
