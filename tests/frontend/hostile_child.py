"""Load the whole corpus in one process with bounded memory; prints what each file met, as JSON.

python -m tests.frontend.hostile_child FOLDER
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path

from edgegate.errors import EdgeGateError
from edgegate.frontend import load
from tests.frontend import corpus

MEMORY = 2 << 30
"""Address space that one file may add to a process which has read a good file before, in bytes."""


def attempt(path: Path) -> dict[str, object]:
    """What loading ``path`` meets, how long it takes and by how much the memory's peak grows."""
    start, peak = time.monotonic(), _peak()
    try:
        load(path)
        met, message = None, ""
    except EdgeGateError as error:
        met, message = type(error).__name__, str(error)
    except BaseException:
        met, message = "traceback", traceback.format_exc()
    marker = os.path.exists(corpus.MARKER)
    if marker:
        os.unlink(corpus.MARKER)
    return {
        "met": met, "message": message, "marker": marker,
        "seconds": time.monotonic() - start, "megabytes": (_peak() - peak) / 1024,
    }  # fmt: skip


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(folder: Path) -> None:
    os.chdir(folder)
    paths = {}
    for name, (make, _) in corpus.KINDS.items():
        place = folder / name
        place.mkdir()
        paths[name] = make(place)
    attempt(paths["pt2_guards"])  # imports and torch's own tables
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    json.dump({name: attempt(path) for name, path in paths.items()}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
