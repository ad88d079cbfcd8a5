"""Build the kernels for every architecture, without a GPU; say registers, spills and the matrix instructions in the SASS.

    python check.py [path of cuobjdump]
"""

import collections
import pathlib
import re
import subprocess
import sys
import tempfile

import build
import instantiate
from choose import SHARED, choose

NAMES = {"75": 75, "80": 80, "86": 86, "87": 87, "89": 89, "90a": 90}


def main(disassembler=None):
    for arch, capability in NAMES.items():
        seen = set()
        for epilogue in ({}, {"OUT_INT8": 1, "BIAS": 1, "TABLE": 1}):
            for m, n, k in [(1, 5632, 2048), (4, 2048, 5632), (8, 4096, 4096), (32, 4096, 4096), (128, 4096, 4096), (256, 4096, 4096),
                            (512, 4096, 4096), (2048, 2048, 2048), (4096, 4096, 4096), (4096, 4001, 4096)]:  # fmt: skip
                kind, constants = choose(m, n, k, capability, 132 if capability == 90 else 108, **epilogue)
                key = kind, tuple(constants.items())
                if key in seen:
                    continue
                seen.add(key)
                size = instantiate.shared(kind, **constants)
                with tempfile.TemporaryDirectory() as folder:
                    cubin = pathlib.Path(folder) / "x.cubin"
                    said = build.compile_one(kind, arch, constants, cubin)
                    counts = ""
                    if disassembler and cubin.exists():
                        text = subprocess.run([disassembler, "-sass", str(cubin)], capture_output=True, text=True).stdout
                        found = re.findall(r"\b(IGMMA\.\w+|IMMA\.\w+|IDP\.4A|LDL|STL|LDGSTS|UTMALDG|UTMASTG)\b", text)
                        counts = ", ".join(f"{c} {name}" for name, c in collections.Counter(found).items())
                fits = "" if size <= SHARED[capability] else " TOO MUCH SHARED MEMORY"
                short = " ".join(f"{a}={b}" for a, b in constants.items())
                print(f"sm_{arch} {kind} {short}: {said}, {size} bytes shared{fits}; {counts}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
