"""What is built and measured. A case makes its source (for the build, here) and runs on the device (bench.py)."""

import copy
import pathlib
import pickle

import numpy as np

import gated
import recurrence

HERE = pathlib.Path(__file__).parent
_plans = {}


def load(name):
    if name not in _plans:
        _plans[name] = pickle.loads((HERE / "graphs" / f"{name}.pickle").read_bytes())
    return _plans[name]


def body_of(name):
    """(plan, Scan node, its body)."""
    plan = load(name)
    node = next(n for n in plan["nodes"] if n[0] == "onnx.Scan")
    return plan, node, node[1]["body"]


def two_phases(body):
    """A GRU whose reset comes before the product: n = W (r * h), a product of an earlier result."""
    body = copy.copy(body)
    nodes = list(body["nodes"])
    product = next(i for i, n in enumerate(nodes) if n[0] == "MatMul16x8" and ".h.n." in n[3][0])
    reset = next(i for i, n in enumerate(nodes) if n[0] == "GatedProduct" and ".reset." in n[3][0])
    op, a, inputs, outputs = nodes[reset]
    state = body["inputs"][0]
    after = inputs[0]  # Rescale of the product
    gate = inputs[1]
    nodes[reset] = (op, a, [state, gate, *inputs[2:]], ["early"])
    moved = nodes.pop(product)
    scale = nodes.pop(product)
    assert scale[3][0] == after
    at = next(i for i, n in enumerate(nodes) if n[3][0] == "early") + 1
    nodes.insert(at, (moved[0], moved[1], ["early", *moved[2][1:]], moved[3]))
    nodes.insert(at + 1, (scale[0], scale[1], scale[2], outputs))
    body["nodes"] = nodes
    body["values"] = {**body["values"], "early": body["values"][outputs[0]]}
    return body


def recurrences():
    """name -> (graph, arguments of Recurrence, edit, steps to check, steps to time, architecture)."""
    found = {}

    def add(name, graph="gru_1024", edit=None, arch="90a", check=96, time=1024, absorb=False, **given):
        found[name] = {"graph": graph, "given": given, "edit": edit, "check": check, "time": time, "arch": arch, "absorb": absorb}

    for ctas, parts, teams in ((8, 4, 1), (8, 4, 2), (8, 4, 3), (8, 8, 1), (8, 8, 2), (16, 4, 1), (16, 4, 3), (16, 8, 1), (4, 4, 3), (4, 8, 2)):
        add(f"R gru c{ctas} k{parts} t{teams}", ctas=ctas, parts=parts, teams=teams)
    add("R gru c16 k4 t3 int32 in", ctas=16, parts=4, teams=3, absorb=True)
    add("R gru c8 k4 t3 b4", ctas=8, parts=4, teams=3, batch=4)
    add("R gru c8 k4 t3 b16", ctas=8, parts=4, teams=3, batch=16)
    add("R gru c16 k4 t3 b3", ctas=16, parts=4, teams=3, batch=3)
    add("R gru one k4 t4", ctas=1, parts=4, teams=4, mode="one", held=28)
    add("R gru grid16 k4 t3", ctas=16, parts=4, teams=3, mode="grid")
    add("R gru grid8 k4 t3", ctas=8, parts=4, teams=3, mode="grid")
    add("R gru c8 k4 t2 profile", ctas=8, parts=4, teams=2, profile=True)
    add("R gru c8 k2 t3", ctas=8, parts=2, teams=3)
    add("R gru c8 k4 t2 a4", ctas=8, parts=4, teams=2, ahead=4)
    add("R gru c8 k4 t1 a4", ctas=8, parts=4, teams=1, ahead=4)
    add("R gru c8 k4 t2 a4 profile", ctas=8, parts=4, teams=2, ahead=4, profile=True)
    add("R lstm c16 k4 t4 b16", graph="lstm", ctas=16, parts=4, teams=4, batch=16)
    add("R lstm c8 k4 t2 a4", graph="lstm", ctas=8, parts=4, teams=2, ahead=4)
    add("R gru c16 k2 t3", ctas=16, parts=2, teams=3)
    add("R gru c8 k1 t2", ctas=8, parts=1, teams=2)
    add("R gru c8 k4 t2 int32 in", ctas=8, parts=4, teams=2, absorb=True)
    add("R gru c16 k4 t3 b16", ctas=16, parts=4, teams=3, batch=16)
    add("R gru c8 k4 t4 b16", ctas=8, parts=4, teams=4, batch=16)
    add("R lstm c8 k4 t4", graph="lstm", ctas=8, parts=4, teams=4)
    for ctas, parts, teams in ((8, 4, 2), (8, 2, 3), (8, 4, 1), (16, 4, 1)):
        add(f"R gru early c{ctas} k{parts} t{teams}", ctas=ctas, parts=parts, teams=teams, early=True)
    add("R gru early c8 k4 t2 a4", ctas=8, parts=4, teams=2, early=True, ahead=4)
    add("R gru early c8 k4 t2 profile", ctas=8, parts=4, teams=2, early=True, profile=True)
    add("R gru early c8 k4 t2 int32 in", ctas=8, parts=4, teams=2, early=True, absorb=True)
    add("R gru early c8 k4 t3 b4", ctas=8, parts=4, teams=3, batch=4, early=True)
    add("R gru early c16 k4 t3 b16", ctas=16, parts=4, teams=3, batch=16, early=True)
    add("R gru early 2 phases c8 k4 t3 b4", edit="two_phases", ctas=8, parts=4, teams=3, batch=4, early=True)
    add("R gru early one", ctas=1, parts=4, teams=4, mode="one", held=28, early=True)
    add("R gru early grid8 k4 t3", ctas=8, parts=4, teams=3, mode="grid", early=True)
    add("R lstm early c8 k4 t4", graph="lstm", ctas=8, parts=4, teams=4, early=True)
    add("R lstm early c16 k4 t4 b16", graph="lstm", ctas=16, parts=4, teams=4, batch=16, early=True)
    add("R lstm c16 k4 t4", graph="lstm", ctas=16, parts=4, teams=4)
    add("R lstm c8 k8 t2", graph="lstm", ctas=8, parts=8, teams=2)
    add("R gru 2 phases c16 k4 t3", edit="two_phases", ctas=16, parts=4, teams=3)
    add("R gru 2 phases c8 k4 t3 b4", edit="two_phases", ctas=8, parts=4, teams=3, batch=4)
    return found


def recurrence_of(case):
    plan, node, body = body_of(case["graph"])
    count = node[1]["num_scan_inputs"]
    if case["edit"]:
        body = globals()[case["edit"]](body)
    absorbed = {}
    if case["absorb"]:
        made = {o: n for n in plan["nodes"] for o in n[3]}
        for inner, outer in zip(body["inputs"][-count:], node[2][-count:]):
            if made[outer][0] == "Rescale":
                absorbed[inner] = (plan, made[outer], outer)
    return recurrence.Recurrence(body, sequences=count, absorbed=absorbed, **case["given"]), body, plan


def swiglu(rng, width=2048, hidden=5632):
    """The graph of SwiGLU with other weights; its scales are those of uniform weights, as torch begins."""
    plan = copy.copy(load("swiglu_small"))
    constants = dict(plan["constants"])

    def columns(name, n):
        return rng.permutation(np.resize(constants[name], n))

    constants["linear.weight_1"] = rng.integers(-127, 128, (width, hidden), dtype=np.int8)
    constants["linear_1.weight_1"] = rng.integers(-127, 128, (width, hidden), dtype=np.int8)
    constants["linear_2.weight_1"] = rng.integers(-127, 128, (hidden, width), dtype=np.int8)
    for k in ("linear", "linear_1"):
        constants[f"{k}.multiplier"] = columns(f"{k}.multiplier", hidden)
        constants[f"{k}.bias_1"] = rng.integers(-20000, 20000, hidden).astype(np.int32)
    constants["linear.shift"] = np.resize(constants["linear.shift"], hidden)
    constants["linear_2.multiplier"] = columns("linear_2.multiplier", width)
    constants["linear_2.shift"] = np.resize(constants["linear_2.shift"], width)
    constants["linear_2.bias_1"] = rng.integers(-(1 << 23), 1 << 23, width)
    plan["constants"] = constants
    return plan


def mglu(rng, width=2048, inner=8192):
    plan = copy.copy(load("mglu_small"))
    constants = dict(plan["constants"])
    constants["linear.acc.weight"] = rng.integers(-127, 128, (width, inner), dtype=np.int8)
    constants["linear.acc.masks"] = rng.integers(0, 256, (4, width, -(-inner // 8)), dtype=np.uint8)
    constants["linear.acc.bias"] = rng.integers(-20000, 20000, 8 * inner).astype(np.int32)
    for op, a, inputs, outputs in plan["nodes"]:
        if op == "Rescale" and outputs[0] != "linear_8_1":
            constants[inputs[1]] = rng.integers(1 << 30, (1 << 31) - 1, inner).astype(np.int32)
            constants[inputs[2]] = np.full(inner, 43, np.int32)
        if op == "onnx.Split":
            constants[inputs[1]] = np.full(8, inner, np.int64)
    plan["constants"] = constants
    return plan


PAIR, DOWN = (("linear.acc", "linear_1.acc"), "mul"), (("linear_2.acc",), "linear_2_1")
MASKED = (("linear.acc.masked",), "add_2")


def gateds():
    """name -> (network, products and output, kind, rows, constants)."""
    found = {}

    def add(name, net, what, kind, rows, **given):
        found[name] = {"net": net, "what": what, "kind": kind, "rows": rows, "given": given}

    for after in (0, 1):
        tail = " pdl" if after else ""
        for u, n, k, unroll in ((1, 8, 1, 4), (2, 4, 1, 2), (2, 4, 1, 4)):
            add(f"G pair 1 u{u} n{n} k{k} x{unroll}{tail}", "swiglu", PAIR, "gemv", 1, UNITS=u, WARPS_N=n, WARPS_K=k, UNROLL=unroll, AFTER=after)
        for u, n, k, unroll in ((2, 1, 4, 3), (1, 1, 4, 3), (4, 1, 4, 3), (2, 2, 4, 3), (2, 1, 8, 2)):
            add(f"G down 1 u{u} n{n} k{k} x{unroll}{tail}", "swiglu", DOWN, "gemv", 1, UNITS=u, WARPS_N=n, WARPS_K=k, UNROLL=unroll, AFTER=after)
        for k, x in ((4, 2), (4, 4), (8, 2)):
            add(f"G pair 16 k{k} x{x}{tail}", "swiglu", PAIR, "thin", 16, WARPS_K=k, UNROLL=x, AFTER=after)
        for k, x in ((8, 2), (8, 4), (4, 4), (16, 2)):
            add(f"G down 16 k{k} x{x}{tail}", "swiglu", DOWN, "thin", 16, WARPS_K=k, UNROLL=x, AFTER=after)
    for u, n, k, x, after in ((1, 4, 1, 2, 0), (4, 4, 1, 1, 0), (1, 4, 2, 1, 0), (2, 2, 2, 1, 0), (4, 2, 2, 1, 0), (2, 4, 2, 1, 0),
                              (1, 4, 1, 2, 1), (4, 4, 1, 1, 1), (1, 4, 2, 1, 1), (2, 2, 2, 1, 1), (4, 2, 2, 1, 1)):  # fmt: skip
        add(f"G masked 1 u{u} n{n} k{k} x{x}{' pdl' if after else ''}", "mglu", MASKED, "gemv", 1, UNITS=u, WARPS_N=n, WARPS_K=k, UNROLL=x, AFTER=after)
    for u, n, x, after in ((1, 4, 4, 0), (2, 4, 4, 0), (2, 4, 2, 0), (1, 4, 4, 1), (2, 4, 2, 1), (1, 8, 4, 1)):
        add(f"G glu 8192 1 u{u} n{n} x{x}{' pdl' if after else ''}", "glu8192", PAIR, "gemv", 1, UNITS=u, WARPS_N=n, UNROLL=x, AFTER=after)
    return found


_gated = {}


def gated_of(case, plan):
    """Analysed once for each network; only the constants differ then."""
    (products, output), kind = case["what"], case["kind"]
    key = id(plan), products, kind
    if key not in _gated:
        _gated[key] = plan, gated.Gated(plan, products, output, kind, force_wide=output == "linear_2_1", **case["given"])
    found = copy.copy(_gated[key][1])
    found.given = {**gated.DEFAULTS[kind], **case["given"]}
    return found


SMALL = {"swiglu": lambda rng: swiglu(rng, 272, 208), "glu8192": lambda rng: swiglu(rng, 272, 208), "mglu": lambda rng: mglu(rng, 96, 200)}
LARGE = {"swiglu": swiglu, "glu8192": lambda rng: swiglu(rng, 2048, 8192), "mglu": mglu}
