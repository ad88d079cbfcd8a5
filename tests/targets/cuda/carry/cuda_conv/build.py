"""Compile all that plans.py names, without a GPU: python build.py [words a name must hold]. Says registers and spills."""

import concurrent.futures
import hashlib
import pathlib
import re
import subprocess
import sys
import tempfile

import instantiate

CUBINS = pathlib.Path(__file__).parent / "cubin"


def path(kind, arch, constants):
    """Where an instance's cubin stands."""
    return CUBINS / (hashlib.sha256((arch + instantiate.source(kind, **constants)).encode()).hexdigest()[:16] + ".cubin")


def compile_one(kind, arch, constants, to):
    with tempfile.TemporaryDirectory() as folder:
        given = pathlib.Path(folder) / "program.cu"
        given.write_text(instantiate.source(kind, **constants))
        command = ["nvcc", "-cubin", f"-gencode=arch=compute_{arch},code=sm_{arch}", "-O3", "--std=c++17", "-Xptxas", "-v", "-o", str(to), str(given)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    if done.returncode:
        return f"FAILED {text[:900]}"
    registers, spills = re.search(r"Used (\d+) registers", text), re.findall(r"(\d+) bytes spill", text)
    stack = re.search(r"(\d+) bytes stack", text)
    odd = [line for line in text.splitlines() if "warning" in line or "C75" in line]
    return f"{registers.group(1)} registers, spills {sum(map(int, spills))}, stack {stack.group(1)}" + (f" {odd}" if odd else "")


def main(words):
    from plans import everything

    CUBINS.mkdir(exist_ok=True)
    jobs = everything()
    wanted = {path(*j[1:]) for j in jobs}
    for old in set(CUBINS.glob("*.cubin")) - wanted:
        old.unlink()
    todo = [j for j in jobs if all(w in j[0] for w in words) and not path(*j[1:]).exists()]
    print(f"{len(jobs)} instances, {len(todo)} to compile", flush=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for job, said in zip(todo, pool.map(lambda j: compile_one(*j[1:], path(*j[1:])), todo)):
            print(f"{job[0]}: {said}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
