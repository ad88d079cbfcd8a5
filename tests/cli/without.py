"""``edgegate`` where some packages are not installed.

python -m tests.cli.without PACKAGE,PACKAGE,... ARGUMENTS
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec


class Missing:
    """A finder that comes first, and for these packages says what Python says when there are none."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = frozenset(packages)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] in self.packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


if __name__ == "__main__":
    sys.meta_path.insert(0, Missing(sys.argv[1].split(",")))
    from edgegate.cli import main

    main(sys.argv[2:])
