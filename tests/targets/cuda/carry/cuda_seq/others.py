"""The other kernels' cases: M matrix states, W transform + blocks + product, S the pair and the down-projection for many rows."""

import ctypes
import functools

import numpy as np

import cases
import gated
import matrix_state
import plan as plans
import wush

MATRIX = {}
for _net in ("gla", "delta_net", "gated_delta_net"):
    MATRIX[f"M {_net} 2x16 s4"] = (_net, {"split": 4, "dims": (2, 16, 16)})
    for _s in (8, 16, 32):
        MATRIX[f"M {_net} 4x64 s{_s}"] = (_net, {"split": _s, "dims": (4, 64, 64)})
    MATRIX[f"M {_net} 128x64 s8 w4"] = (_net, {"split": 8, "dims": (128, 64, 64), "warps": 4})

PRODUCTS = {1: [(0, {"ROWS": r, "WARPS_N": n, "WARPS_K": k, "UNROLL": u}) for r, n, k, u in ((2, 4, 1, 2), (4, 4, 1, 1), (2, 4, 2, 1), (4, 2, 1, 2))],
            16: [(1, {"NS": 2, "WARPS_K": k, "UNROLL": u}) for k, u in ((8, 2), (8, 4), (16, 2), (16, 4))]}  # fmt: skip
BLOCKS = {f"W {t} {m} {i}": (t, m, i) for m, found in PRODUCTS.items() for t in ("hadamard", "wush") for i in range(len(found))}
BIG = {"128x128": {}, "128x128 pp": {"PINGPONG": 1}, "128x256": {"TILE_N": 256, "STAGES": 3}, "256x128": {"TILE_M": 256, "STAGES": 3}}


def names():
    return [*MATRIX, *BLOCKS, *(f"S {n}" for n in BIG), "S whole"]


@functools.cache
def matrix_of(name):
    net, given = MATRIX[name]
    _, node, body = cases.body_of(net)
    return matrix_state.MatrixState(body, sequences=node[1]["num_scan_inputs"], **given), body


def quantize_of(transform, kind="int16", matrices=None, after=1, zero=0):
    p = cases.load(transform)
    q = next(n for n in p["nodes"] if n[0] == "BlockQuantize")
    made = {o: n for n in p["nodes"] for o in n[3]}
    r = made[q[2][0]]
    c = p["constants"]
    scale = int(c[r[2][1]].reshape(-1)[0]), int(c[r[2][2]].reshape(-1)[0])
    return wush.Quantize(kind, matrices, zero, scale, q[1], after, 1)


def product_plan(rng, n, k):
    """The first layer with other constants."""
    p = dict(cases.load("wush"))
    node = next(x for x in p["nodes"] if x[0] == "BlockMatMul")
    constants = dict(p["constants"])
    after = next(x for x in p["nodes"] if x[0] == "Rescale" and x[2][0] == node[3][0])
    constants[node[2][4]] = rng.integers(-(1 << 30), 1 << 30, n)
    constants[after[2][1]] = rng.integers(1 << 14, 1 << 15, n).astype(np.int32)
    constants[after[2][2]] = np.full(n, 37, np.int32)
    p["constants"] = constants
    p["nodes"] = [(op, {**a, "low": -32768} if o == after[3] else a, i, o) for op, a, i, o in p["nodes"]]
    return p, node, next(x for x in p["nodes"] if x[3] == after[3])


def product_of(plan, node, output, m, i, after=1):
    kind, given = PRODUCTS[m][i]
    return wush.Product(plan, node, output, kind, AFTER=after, **given)


def sources():
    found = {}
    for n in MATRIX:
        found[n] = matrix_of(n)[0].source(), "90a"
    rng = np.random.default_rng(0)
    p, node, after = product_plan(rng, 100, 128)
    for m, given in PRODUCTS.items():
        for i in range(len(given)):
            found[f"W product {m} {i}"] = product_of(p, node, after[3][0], m, i).source(), "90a"
    for t in ("hadamard", "wush"):
        for kind in ("int16", "int8"):
            found[f"W quantize {t} {kind}"] = quantize_of(t, kind, np.zeros((1, 32, 32), np.int8) if t == "wush" else None, zero=0 if kind == "int16" else -3).source(), "90a"
    net = cases.swiglu(rng, 272, 208)
    for n, c in BIG.items():
        for what in (cases.PAIR, cases.DOWN):
            found[f"S {n} {what[1]}"] = gated.Gated(net, *what, "sm90", force_wide=what is cases.DOWN, **c).source(), "90a"
    return found


def measure(w, name):
    if name.startswith("M "):
        return matrix(w, name)
    if name.startswith("W "):
        return blocks(w, name)
    return big(w, name)


def say(*a, **k):
    import bench
    bench.say(*a, **k)


def matrix(w, name):
    import build, launch
    torch = w.torch
    m, body = matrix_of(name)
    H, R, Cc = m.dims
    kernel = launch.Kernel(build.path(m.source()).read_bytes(), "matrix_state")
    words = w.gpu(np.array(m.words or [0], np.int32))
    body = dict(body, constants=dict(body["constants"]), nodes=list(body["nodes"]))
    for i, (op, a, inputs, outputs) in enumerate(body["nodes"]):
        if op == "onnx.Reshape":  # for the test's sizes
            key = f"dims {i}"
            body["constants"][key] = np.array([1, H, *(R if d in m.own[-2:] and d > 1 else d for d in body["constants"][inputs[1]][2:])])
            body["nodes"][i] = (op, a, [inputs[0], key], outputs)

    def fresh(v, steps, dims):
        """Flat [steps, heads * what it is over]."""
        k = m.cls(v)
        left = any(n[0] == "MatMul16" and n[2][0] == v for n in body["nodes"])
        size = {"h": 1, "i": R, "j": R if left else Cc}[k]
        return w.rng.normal(0, 9000, (steps, H, size)).clip(-32768, 32767).astype(np.int16)

    def shaped(x, v, dims=None):
        """As the body has it, with the test's heads and sizes."""
        lead, (r, c) = m.own[:-2], m.own[-2:]
        have = body["values"][v][1][len(lead) :]
        n = x.shape[-1]
        return x.reshape(*x.shape[:-2], 1, H, *[n if d in (r, c) and d > 1 else 1 for d in have])

    def run_of(steps, x, begin):
        xs, b = [w.gpu(v) for v in x], w.gpu(begin)
        e = torch.full((H, R, Cc), 77, dtype=torch.int16, device="cuda")
        y = [torch.full((steps * H * Cc + 64,), 77, dtype=torch.int16, device="cuda") for _ in m.made]
        start = kernel.prepare([words, ctypes.c_int32(steps), *xs, b, e, *y], m.grid(), 32 * m.warps)
        return (lambda: start(w.stream())), e, y

    for steps in (37, 2, 1):
        x = [fresh(v, steps, None) for v in m.sequences]
        begin = w.rng.integers(-20000, 20000, (H, R, Cc)).astype(np.int16)
        if H > 16 and steps == 37:
            continue  # the reference is slow; others check this
        wanted = plans.scan(body, [begin.reshape(1, H, R, Cc)], [shaped(a, v) for a, v in zip(x, m.sequences)])
        run, e, y = run_of(steps, x, begin)
        for poison in (77, -5):
            for z in (e, *y):
                z.fill_(poison)
            run()
            torch.cuda.synchronize()
            assert np.array_equal(e.cpu().numpy().reshape(-1), wanted[0].reshape(-1)), f"the state after {steps} steps is wrong"
            for i, z in enumerate(y):
                assert np.array_equal(z[: steps * H * Cc].cpu().numpy(), wanted[1 + i].reshape(-1)), f"output {i} of {steps} steps is wrong"
                assert (z[steps * H * Cc :] == poison).all(), "wrote beyond"
        if steps > 2:
            assert len(np.unique(wanted[1])) > 100, f"the test says little: {len(np.unique(wanted[1]))}"
    if w.options.check_only:
        return
    steps = 1024
    run, e, y = run_of(steps, [fresh(v, steps, None) for v in m.sequences], begin)
    us = w.span(run)
    say(name=name, text=f"{us:8.1f} us {steps} steps, {H} heads of {R} x {Cc}: {us / steps:.3f} us a step; right")


def blocks(w, name):
    import build, launch
    torch = w.torch
    transform, m, i = BLOCKS[name]

    def make(m, n, k, kind="int16", zero=0):
        rng = w.rng
        matrices = rng.integers(-48, 49, (k // 32, 32, 32)).astype(np.int8) if transform == "wush" else None
        q = quantize_of(transform, kind, matrices, zero=zero)
        p, node, after = product_plan(rng, n, k)
        weight, scales = rng.integers(-127, 128, (k, n)).astype(np.int8), rng.integers(1, 1 << 11, (k // 32, n)).astype(np.int32)
        if kind == "int16":
            x = (rng.normal(0, 6000, (m, k)) * np.exp(rng.normal(0, 1, (m, k // 32))).repeat(32, 1)).clip(-32768, 32767).astype(np.int16)
            x[0, :32], x[-1, -32:] = 0, 32767
        else:
            x = rng.integers(-128, 128, (m, k)).astype(np.int8)
        # reference
        blocks_ = x.astype(np.int64).reshape(m, -1, 32) - zero
        mats = matrices.astype(np.int64) if matrices is not None else np.broadcast_to(plans.hadamard(32), (k // 32, 32, 32))
        t = np.einsum("brc,mbc->mbr", mats, blocks_).reshape(m, k)
        t = plans._scale(t, np.array(q.rescale[0]), np.array(q.rescale[1]))
        a = q.quantize
        sig, exp = plans.block_quantize(t, 32, a["low"], a["high"], a["top"], a["rule"], a["rounding"])
        acc = plans.block_matmul(sig, exp, weight, scales, p["constants"][node[2][4]], 32)
        want = plans.apply("Rescale", after[1], [acc, *(p["constants"][j] for j in after[2][1:])])
        return q, p, node, after, weight, scales, x, sig, exp, want

    def kernels(q, p, node, after, m_case):
        pr = product_of(p, node, after[3][0], m_case, i)
        kq = launch.Kernel(build.path(q.source()).read_bytes(), "quantize")
        kp = launch.Kernel(build.path(pr.source()).read_bytes(), "product")
        return pr, kq, kp

    def prepared(made, m_case, copies=1):
        q, p, node, after, weight, scales, x, sig, exp, want = made
        pr, kq, kp = kernels(q, p, node, after, m_case)
        m, k = x.shape
        n = weight.shape[1]
        gx, mats, off = w.gpu(x), w.gpu(q.matrices if q.matrices is not None else np.zeros(1, np.int8)), w.gpu(q.offsets().astype(np.int32))
        s = torch.full((m * k + 64,), 77, dtype=torch.int8, device="cuda")
        e = torch.full((m * k // 32 + 64,), 77, dtype=torch.int8, device="cuda")
        y = torch.full((m * n + 64,), 77, dtype=torch.int16, device="cuda")
        columns, words = w.gpu(np.stack(pr.columns)), w.gpu(np.array(pr.words or [0], np.int32))
        wt, sc = w.gpu(pr.pack(weight)), w.gpu(np.ascontiguousarray(scales.T))
        runs = []
        for c in range(copies):
            a, b, d = (wt, sc, mats) if c == 0 else (wt.clone(), sc.clone(), mats.clone())
            first = kq.prepare([gx, d, off, s, e, ctypes.c_int32(m), ctypes.c_int32(k)], q.grid(m, k), 128, dependent=True)
            second = kp.prepare([s, e, a, b, columns, words, y, ctypes.c_int32(m), ctypes.c_int32(n), ctypes.c_int32(k)], pr.grid(m, n), pr.threads(), dependent=True)
            runs.append((lambda f=first: f(w.stream()), lambda g=second: g(w.stream())))
        return runs, s, e, y

    def check(made, m_case):
        q, p, node, after, weight, scales, x, sig, exp, want = made
        runs, s, e, y = prepared(made, m_case)
        for poison in (77, -5):
            for z in (s, e, y):
                z.fill_(poison)
            for f in runs[0]:
                f()
            torch.cuda.synchronize()
            for what, z, right in (("significands", s, sig), ("exponents", e, exp), ("product", y, want)):
                got = z[: right.size].cpu().numpy().reshape(right.shape)
                if not np.array_equal(got, right):
                    bad = np.argwhere(got != right)
                    raise AssertionError(f"{what}: {len(bad)} of {right.size} wrong, first {bad[0].tolist()}: {got[tuple(bad[0])]} for {right[tuple(bad[0])]}")
                assert (z[right.size :] == poison).all(), f"{what}: wrote beyond"

    check(make(1 if m == 1 else 13, 107, 192), m)
    check(make(1 if m == 1 else 21, 96, 320, "int8", -3), m)
    if w.options.check_only:
        return
    key = "blocks", transform, m
    if key not in w.kept:
        w.kept[key] = make(m, 5632, 2048)
    made = w.kept[key]
    check(made, m)
    runs, *_ = prepared(made, m, 12)
    both = [lambda r=r: (r[0](), r[1]()) for r in runs]
    cold, hot = w.back_to_back(both, 8), w.back_to_back(both[:1], 100)
    alone, first = w.back_to_back([r[1] for r in runs], 8), w.back_to_back([runs[0][0]], 100)
    say(name=name, text=f"{cold:7.2f} {hot:7.2f} us both (cold, L2); product alone cold {alone:7.2f}, transform alone L2 {first:6.2f}; right, {len(np.unique(made[-1]))} values")


def planes(x):
    """int16 [M, K] -> int8 planes [2 M, K]: 8 rows of high bytes, 8 of low bytes - 128."""
    m, k = x.shape
    high, low = (x >> 8).astype(np.int8), ((x & 255) - 128).astype(np.int8)
    return np.ascontiguousarray(np.stack([high.reshape(m // 8, 8, k), low.reshape(m // 8, 8, k)], 1).reshape(2 * m, k))


def tensor_map(tensor, rows, columns, box_rows):
    """For TMA: int8, boxes of so many rows of 128 bytes, swizzled."""
    import launch
    raw = ctypes.create_string_buffer(128 + 64)
    start = (ctypes.addressof(raw) + 63) // 64 * 64
    dims, strides = (ctypes.c_uint64 * 2)(columns, rows), (ctypes.c_uint64 * 1)(columns)
    box, steps = (ctypes.c_uint32 * 2)(128, box_rows), (ctypes.c_uint32 * 2)(1, 1)
    code = launch.cuda().cuTensorMapEncodeTiled(ctypes.c_void_p(start), 0, 2, ctypes.c_void_p(tensor.data_ptr()), dims, strides, box, steps, 0, 3, 3, 0)
    launch.check(code, "tensor map")
    found = (ctypes.c_char * 128).from_buffer(raw, start - ctypes.addressof(raw))
    found.keep = raw, tensor
    return found


def big_kernel(w, size, config, what, x, weights, out):
    """x: int8 tensor [rows, K]; weights [N, K] (interleaved for the pair)."""
    import build, launch
    g = gated.Gated(w.plan("swiglu", size), *what, "sm90", force_wide=what is cases.DOWN, **BIG[config])
    kernel = launch.Kernel(build.path(g.source()).read_bytes(), "gated", g.shared())
    m, k = x.shape
    n = weights.shape[0]
    columns, words = w.gpu(np.stack(g.columns)), w.gpu(np.array(g.words or [0], np.int32))
    maps = tensor_map(x, m, k, g.given["TILE_M"]), tensor_map(weights, n, k, g.given["TILE_N"])
    start = kernel.prepare([*maps, out, ctypes.c_int32(m), ctypes.c_int32(n), ctypes.c_int32(k), columns, words], g.grid(m, n), g.threads())
    return lambda: start(w.stream())


def big(w, name):
    torch = w.torch

    def case(size, what, m):
        x, weights, _, wanted = w.inputs("swiglu", what, m, size)
        if what is cases.PAIR:
            n, k = weights[0].shape
            return x, torch.stack([weights[0], weights[1]], 1).reshape(2 * n, k).contiguous(), planes(wanted)
        return torch.from_numpy(planes(x.cpu().numpy())).cuda(), weights[0], wanted

    def check(size, what, m, config):
        x, weights, right = case(size, what, m)
        whole = torch.full((right.size + 64,), 77, dtype=torch.int8, device="cuda")
        run = big_kernel(w, size, config, what, x, weights, whole)
        for poison in (77, -5):
            whole.fill_(poison)
            run()
            torch.cuda.synchronize()
            got = whole[: right.size].cpu().numpy().reshape(right.shape)
            if not np.array_equal(got, right):
                bad = np.argwhere(got != right)
                raise AssertionError(f"{what[1]} {size}: {len(bad)} of {right.size} wrong, first {bad[0].tolist()}: {got[tuple(bad[0])]} for {right[tuple(bad[0])]}")
            assert (whole[right.size :] == poison).all(), "wrote beyond"
        return run, x, weights, whole

    if name != "S whole":
        config = name[2:]
        times = []
        for what in (cases.PAIR, cases.DOWN):
            check("SMALL", what, 72, config)
            if w.options.check_only:
                continue
            run, x, weights, whole = check("LARGE", what, 512, config)
            runs = [run] + [big_kernel(w, "LARGE", config, what, x, weights.clone(), whole) for _ in range(3)]
            times.append((w.back_to_back(runs, 12), w.back_to_back(runs[:1], 40)))
            w.big_best = getattr(w, "big_best", {})
            if what[1] not in w.big_best or times[-1][0] < w.big_best[what[1]][0]:
                w.big_best[what[1]] = times[-1][0], config
        if w.options.check_only:
            return
        say(name=name, text=f"512 rows: pair {times[0][0]:7.1f} {times[0][1]:7.1f}, down {times[1][0]:7.1f} {times[1][1]:7.1f} us (cold, L2); right")
        return
    x, pair, _ = case("LARGE", cases.PAIR, 512)
    _, down, _ = case("LARGE", cases.DOWN, 512)
    runs = []
    for i in range(3):
        mid = torch.empty((1024, 5632), dtype=torch.int8, device="cuda")
        out = torch.empty((512 * 2048,), dtype=torch.int8, device="cuda")
        a = big_kernel(w, "LARGE", w.big_best["mul"][1], cases.PAIR, x, pair.clone(), mid)
        b = big_kernel(w, "LARGE", w.big_best["linear_2_1"][1], cases.DOWN, mid, down.clone(), out)
        runs.append(lambda a=a, b=b: (a(), b()))
    wanted = w.inputs("swiglu", cases.PAIR, 512)[3]
    runs[-1]()
    torch.cuda.synchronize()
    assert np.array_equal(mid.cpu().numpy(), planes(wanted))
    p = w.plan("swiglu")
    acc = (torch.from_numpy(wanted).cuda().double() @ w.inputs("swiglu", cases.DOWN, 512)[1][0].t().double()).cpu().numpy().astype(np.int64) + p["constants"]["linear_2.bias_1"]
    node = next(n for n in p["nodes"] if n[3][0] == "linear_2_1")
    assert np.array_equal(out.view(512, -1).cpu().numpy(), plans.apply("Rescale", node[1], [acc, *(p["constants"][i] for i in node[2][1:])])), "the whole is wrong"
    graph = w.graph(runs[:1])
    say(name=f"SwiGLU 512 {w.big_best}", text=f"{w.flushed(graph.replay):7.1f} {w.back_to_back(runs, 10):7.1f} {w.back_to_back(runs[:1], 30):7.1f} us (graph flushed, cold, L2); right")
