"""Build the kernels of both nets and of typical layers for every architecture, without a GPU; say registers, spills, shared memory and
the instructions in the SASS: python check.py [path of cuobjdump]."""

import collections
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import tempfile

import build
import choose
import instantiate
import plans

ARCHITECTURES = {"75": (75, 40), "80": (80, 108), "86": (86, 84), "87": (87, 16), "89": (89, 128), "90a": (90, 132)}


def jobs(arch):
    capability, _ = ARCHITECTURES[arch]
    found = []
    for images in (1, 32):
        found += [(f"se b{images} {n}", kind, c) for n, _, kind, c, _ in plans.se_net(images, capability=capability)]
    for images in (1, 8):
        found += [(f"gated b{images}", *plans.gated_net(images, capability=capability)[0][2:4])]
    for name, g, flags in (("5x5 s2", plans.geometry(30, 30, 64, 96, 5, 2), {"TABLE": 1}), ("3x3 d2", plans.geometry(64, 64, 128, 128, 3, 1, 2), {"TABLE": 1, "RESIDUAL": 1}),
                           ("256-256", plans.geometry(28, 28, 256, 256, 3), {"TABLE": 1}), ("pair 32", plans.geometry(64, 64, 32, 64, 3), {"PAIR": 1})):  # fmt: skip
        found.append((name, *choose.conv(g, 8, capability, **flags)))
    g = plans.geometry(28, 28, 240, 240, 5, 1)
    found.append(("depthwise 5x5", *choose.depthwise(g, 8, capability, TABLE=1, SUMS=1)))
    found.append(("depthwise 5x5 s2", *choose.depthwise({**g, "SY": 2, "SX": 2, "OH": 14, "OW": 14}, 8, capability, TABLE=1, SUMS=1)))
    seen = {}
    for name, kind, c in found:
        seen.setdefault((kind, tuple(sorted(c.items()))), (name, kind, c))
    return list(seen.values())


def main(disassembler=None):
    for arch, (capability, _) in ARCHITECTURES.items():
        with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
            todo = [(*j, pathlib.Path(folder) / f"{i}.cubin") for i, j in enumerate(jobs(arch))]
            said = list(pool.map(lambda j: build.compile_one(j[1], arch, j[2], j[3]), todo))
            bad, counts, most = [], collections.Counter(), 0
            for (name, kind, c, cubin), text in zip(todo, said):
                if "spills 0, stack 0" not in text or "[" in text:
                    bad.append(f"{name}: {text[:300]}")
                most = max(most, int(re.search(r"(\d+) registers", text + " 0 registers").group(1)))
                size = instantiate.shared(kind, **c) + instantiate.static_shared(kind, **c)
                if size + 1024 > choose.SHARED[capability] or instantiate.static_shared(kind, **c) > 49152:
                    bad.append(f"{name}: {size} bytes of shared memory")
                if disassembler and cubin.exists():
                    text = subprocess.run([disassembler, "-sass", str(cubin)], capture_output=True, text=True).stdout
                    counts.update(re.findall(r"\b(IGMMA|IMMA\.\w+|IDP\.4A|LDL|STL|LDGSTS|UBLKCP)\b", text))
        print(f"sm_{arch}: {len(todo)} instances, at most {most} registers, {len(bad)} with spills, warnings or too much shared memory; {dict(counts)}", flush=True)
        for line in bad:
            print("   ", line)


if __name__ == "__main__":
    main(*sys.argv[1:])
