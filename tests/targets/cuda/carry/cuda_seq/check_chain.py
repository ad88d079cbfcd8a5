"""Chains as C on this CPU against the numpy reference, plain and fused: python check_chain.py"""
import ctypes, subprocess, tempfile, pathlib
import numpy as np
import cases, plan as plans

SHIM = r"""
#include <cstdint>
#include <algorithm>
using std::min; using std::max;
static int knots(int word, int fraction) { return ((int)(int16_t)word << 7) + (word >> 16) * fraction; }
static int64_t mad_wide(int a, int b, int64_t c) { return (int64_t)a * b + c; }
"""


def check(name, fused, rng, rows=20000):
    _, node, body = cases.body_of(name)
    width = 256
    parameters = []

    def parameter(array):
        parameters.append(array.astype(np.int32))
        return f"p[{len(parameters) - 1}][j]"

    made = [n[3][0] for n in body["nodes"] if n[0] in plans.PRODUCTS]
    inputs = [*body["inputs"], *made]
    names = {v: f"x{i}[r * {width} + j]" for i, v in enumerate(inputs)}
    chain = plans.Chain(body, names, parameter)
    chain.fused, chain.narrow = fused, {v: True for v in made}
    for n in body["nodes"]:
        if n[0] not in plans.PRODUCTS:
            chain.emit(n)
    out = body["outputs"][: len(body["outputs"])]
    text = SHIM + 'extern "C" void run(int rows, const int32_t *tables, int32_t (*p)[256], ' + ", ".join(f"const int32_t *x{i}" for i in range(len(inputs)))
    text += "".join(f", int32_t *y{i}" for i in range(len(out))) + f") {{\nfor (int r = 0; r < rows; ++r) for (int j = 0; j < {width}; ++j) {{\n"
    text += "\n".join(chain.lines) + "\n" + "\n".join(f"y{i}[r * {width} + j] = {chain.of(v)};" for i, v in enumerate(out)) + "\n}}\n"
    with tempfile.TemporaryDirectory() as folder:
        source, library = pathlib.Path(folder) / "x.cpp", pathlib.Path(folder) / "x.so"
        source.write_text(text)
        subprocess.run(["g++", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
        run = ctypes.CDLL(str(library)).run
        rows = rows // width
        given = {}
        for v in inputs:
            if v in made:
                given[v] = (rng.normal(0, 1, (rows, width)) * 2.0 ** rng.integers(10, 30, (rows, 1))).clip(-(1 << 31), (1 << 31) - 1).astype(np.int64)
            else:
                given[v] = (rng.integers(-32768, 32768, (rows, width)) >> rng.integers(0, 12, (rows, 1))).astype(np.int16)
        values = plans.run({**body, "constants": body["constants"]}, given)
        arrays = [np.ascontiguousarray(given[v].astype(np.int32)) for v in inputs]
        results = [np.zeros((rows, width), np.int32) for _ in out]
        p = np.stack(parameters) if parameters else np.zeros((1, width), np.int32)
        pointer = lambda a: a.ctypes.data_as(ctypes.c_void_p)  # noqa: E731
        run(rows, pointer(np.array(chain.words, np.int32)), pointer(p), *map(pointer, arrays), *map(pointer, results))
        for v, got in zip(out, results):
            assert np.array_equal(got, values[v].reshape(rows, width)), (name, fused, v)
    print(name, "fused" if fused else "plain", "right", len(chain.lines), "nodes", "mad_wide" in text.split("run(")[1])


if __name__ == "__main__":
    rng = np.random.default_rng()
    for name in ("gru_64", "gru_1024", "lstm"):
        for fused in (False, True):
            check(name, fused, rng)
