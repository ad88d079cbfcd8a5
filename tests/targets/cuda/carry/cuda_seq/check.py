"""Build every kind of kernel for sm_80, 86, 89 and 90a without a GPU; say registers, spills, shared memory."""
import pathlib, re, tempfile
import numpy as np
import build, cases, gated, matrix_state, others, recurrence, wush

SHARED = {"80": 166912, "86": 101376, "89": 101376, "90a": 232448}


def every(arch):
    new = arch == "90a"
    plan, node, body = cases.body_of("gru_1024")
    for name, given in (("cluster", {"ctas": 8, "parts": 4, "teams": 2}), ("cluster 16", {"ctas": 16, "parts": 4, "teams": 3}),
                        ("one", {"ctas": 1, "parts": 4, "teams": 4, "mode": "one", "held": 28}),
                        ("grid", {"ctas": 16, "parts": 4, "teams": 3, "mode": "grid"}), ("grid early", {"ctas": 8, "parts": 4, "teams": 3, "mode": "grid", "early": True}), ("grid b4", {"ctas": 16, "parts": 4, "teams": 3, "mode": "grid", "batch": 4})):  # fmt: skip
        if name.startswith("cluster") and not new or name == "one" and arch in ("86", "89"):  # 100 KB do not hold the weights
            continue
        r = recurrence.Recurrence(body, sequences=3, **given)
        yield f"recurrence {name}", r.source(), lambda r=r: r.shared
    _, node, body = cases.body_of("lstm")
    r = recurrence.Recurrence(body, sequences=4, ctas=16, parts=4, teams=4, mode="cluster" if new else "grid")
    yield "recurrence lstm", r.source(), lambda r=r: r.shared
    for net in ("gla", "delta_net", "gated_delta_net"):
        _, node, body = cases.body_of(net)
        for split in (8, 32):
            yield f"matrix {net} s{split}", matrix_state.MatrixState(body, sequences=node[1]["num_scan_inputs"], split=split, dims=(4, 64, 64)).source(), lambda: 0
    rng = np.random.default_rng(0)
    nets = {k: f(rng) for k, f in cases.SMALL.items()}
    for name, c in cases.gateds().items():
        if not c["given"].get("AFTER") and re.search(r"pair 1 u1|down 1 u2 n1 k8|pair 16 k8|down 16 k16|masked 1 u1|glu", name):
            yield name, cases.gated_of(c, nets[c["net"]]).source(), lambda: 0
    if new:
        for what in (cases.PAIR, cases.DOWN):
            g = gated.Gated(nets["swiglu"], *what, "sm90", force_wide=what is cases.DOWN)
            yield f"sm90 {what[1]}", g.source(), lambda g=g: g.shared()
    p, node, after = others.product_plan(rng, 100, 128)
    for m in (1, 16):
        yield f"block product {m}", others.product_of(p, node, after[3][0], m, 0, after=0).source(), lambda: 0
    for t in ("hadamard", "wush"):
        yield f"block quantize {t}", others.quantize_of(t, "int16", np.zeros((1, 32, 32), np.int8) if t == "wush" else None, after=0).source(), lambda: 0


if __name__ == "__main__":
    for arch in ("80", "86", "89", "90a"):
        for name, source, shared in every(arch):
            with tempfile.TemporaryDirectory() as folder:
                said = build.compile_one(source, arch, pathlib.Path(folder) / "x.cubin")
            print(f"sm_{arch} {name}: {said}, {shared()} bytes dynamic shared{'' if shared() <= SHARED[arch] else ' TOO MUCH'}", flush=True)
