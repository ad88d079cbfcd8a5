"""Compile what candidates.py names, without a GPU: python build.py [words a name must hold]. Says registers and spills."""

import concurrent.futures
import hashlib
import pathlib
import re
import subprocess
import sys
import tempfile

import instantiate
from candidates import all_candidates

CUBINS = pathlib.Path(__file__).parent / "cubin"


def path(kind, arch, constants):
    """Where an instance's cubin stands."""
    digest = hashlib.sha256((arch + instantiate.source(kind, **constants)).encode()).hexdigest()[:16]
    return CUBINS / f"{digest}.cubin"


def compile_one(kind, arch, constants, to):
    with tempfile.TemporaryDirectory() as folder:
        given = pathlib.Path(folder) / "program.cu"
        given.write_text(instantiate.source(kind, **constants))
        target = f"-gencode=arch=compute_{arch},code=sm_{arch}"
        command = ["nvcc", "-cubin", target, "-O3", "--std=c++17", "-Xptxas", "-v", "-o", str(to), str(given)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    if done.returncode:
        return f"FAILED {text[:600]}"
    registers = re.search(r"Used (\d+) registers", text)
    spills = re.findall(r"(\d+) bytes spill", text)
    odd = [line for line in text.splitlines() if "warning" in line or "C75" in line]
    return f"{registers.group(1)} registers, spills {sum(map(int, spills))}" + (f" {odd}" if odd else "")


def main(words):
    CUBINS.mkdir(exist_ok=True)
    jobs = {n: v for n, v in all_candidates().items() if all(w in n for w in words)}
    wanted = {path(*v[:3]) for v in all_candidates().values()}
    for old in set(CUBINS.glob("*.cubin")) - wanted:
        old.unlink()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        todo = {n: v for n, v in jobs.items() if not path(*v[:3]).exists()}
        for name, said in zip(todo, pool.map(lambda v: compile_one(*v[:3], path(*v[:3])), todo.values())):
            print(f"{name}: {said}")


if __name__ == "__main__":
    main(sys.argv[1:])
