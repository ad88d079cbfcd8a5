"""Compile what cases.py names, without a GPU: python build.py [words]. Says registers and spills."""
import concurrent.futures, hashlib, pathlib, re, subprocess, sys, tempfile
import numpy as np
import cases

CUBINS = pathlib.Path(__file__).parent / "cubin"


def path(source, arch="90a"):
    return CUBINS / f"{hashlib.sha256((arch + source).encode()).hexdigest()[:16]}.cubin"


def compile_one(source, arch="90a", to=None):
    to = to or path(source, arch)
    with tempfile.TemporaryDirectory() as folder:
        given = pathlib.Path(folder) / "program.cu"
        given.write_text(source)
        command = ["nvcc", "-cubin", f"-gencode=arch=compute_{arch},code=sm_{arch}", "-O3", "--std=c++17", "-Xptxas", "-v", "-o", str(to), str(given)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    if done.returncode:
        return f"FAILED {text[:1500]}"
    registers, spills = re.search(r"Used (\d+) registers", text), re.findall(r"(\d+) bytes spill", text)
    odd = [ln for ln in text.splitlines() if "warning" in ln]
    return f"{registers.group(1)} registers, spills {sum(map(int, spills))}" + (f" {odd}" if odd else "")


def sources():
    found = {}
    for name, c in cases.recurrences().items():
        found[name] = cases.recurrence_of(c)[0].source(), c["arch"]
    rng = np.random.default_rng(0)
    plans = {k: f(rng) for k, f in cases.LARGE.items()} if not SKIP else {}
    for name, c in cases.gateds().items():
        if plans:
            found[name] = cases.gated_of(c, plans[c["net"]]).source(), "90a"
            small = cases.SMALL[c["net"]](rng)
    import others
    found.update(others.sources())
    return found


SKIP = False
if __name__ == "__main__":
    CUBINS.mkdir(exist_ok=True)
    jobs = {n: v for n, v in sources().items() if not sys.argv[1:] or any(n.startswith(w) for w in sys.argv[1:])}
    todo = {n: v for n, v in jobs.items() if not path(*v).exists()}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, said in zip(todo, pool.map(lambda v: compile_one(*v), todo.values())):
            print(f"{name}: {said}", flush=True)
