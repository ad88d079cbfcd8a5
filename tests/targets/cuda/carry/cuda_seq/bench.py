"""Check and time on the device: python bench.py [--words R,G] [--limit 25] [--total 100]. A worker process, watched."""
import argparse, json, os, queue, subprocess, sys, threading, time, traceback
import ctypes
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


def say(**what):
    print("@" + json.dumps(what), flush=True)


class Worker:
    def __init__(self, options):
        import numpy as np, torch
        from triton.testing import do_bench
        self.np, self.torch, self.do_bench, self.options = np, torch, do_bench, options
        torch.zeros(1, device="cuda")
        self.rng = np.random.default_rng(int.from_bytes(os.urandom(4), "little"))
        self.plans, self.kept = {}, {}

    def stream(self):
        return self.torch.cuda.current_stream().cuda_stream

    def gpu(self, array):
        return self.torch.from_numpy(self.np.ascontiguousarray(array)).cuda()

    def graph(self, runs, rounds=1):
        torch = self.torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for run in runs:
                run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(rounds):
                for run in runs:
                    run()
        return graph

    def flushed(self, run):
        return self.do_bench(run, warmup=10, rep=40, return_mode="median") * 1e3

    def back_to_back(self, runs, rounds):
        """us of each call of a graph of so many rounds of calls."""
        torch, graph = self.torch, self.graph(runs, rounds)
        graph.replay()
        times = []
        for _ in range(5):
            a, b = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            a.record(); graph.replay(); b.record(); b.synchronize()
            times.append(a.elapsed_time(b))
        return sorted(times)[2] * 1e3 / rounds / len(runs)

    def span(self, run, count=5):
        """us of one call, median."""
        torch, times = self.torch, []
        run()
        for _ in range(count):
            a, b = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            a.record(); run(); b.record(); b.synchronize()
            times.append(a.elapsed_time(b) * 1e3)
        return sorted(times)[count // 2]

    # ---- recurrences ----

    def recurrence(self, name):
        import build, cases, launch, plan as plans
        np, torch = self.np, self.torch
        case = cases.recurrences()[name]
        r, body, plan = cases.recurrence_of(case)
        file = build.path(r.source(), case["arch"])
        kernel = launch.Kernel(file.read_bytes(), "recurrence", r.shared, r.mode == "cluster" and r.ctas > 8)
        B, N = r.batch, r.width
        weights, columns, words = self.gpu(r.pack()), self.gpu(np.stack(r.parameters)), self.gpu(np.array(r.words, np.int32))
        size = sum(2 * B * r.pitch(v) * v.size for v in r.vectors)
        vectors, counter = torch.zeros(max(size, 16), dtype=torch.uint8, device="cuda"), torch.zeros(32, dtype=torch.int32, device="cuda")

        def build_run(steps, sequences, begin):
            s = [self.gpu(x) for x in sequences]
            b = [self.gpu(x) for x in begin]
            e = [torch.full_like(x, 77) for x in b]
            y = [torch.full((steps * B * N + 64,), 77, dtype=torch.int16, device="cuda") for _ in r.made]
            arguments = [weights, columns, words, ctypes.c_int32(steps), vectors, counter]
            for x in s:
                arguments += [x, ctypes.c_int64(N)]
            for p, q in zip(b, e):
                arguments += [p, q]
            start = kernel.prepare([*arguments, *y], (r.ctas, 1), r.threads, cooperative=r.mode == "grid")

            def run():
                if r.mode == "grid":
                    counter.zero_()
                start(self.stream())
            return run, e, y

        def fresh(steps):
            out = []
            for v in r.sequences:
                if v in r.absorbed:
                    out.append(self.rng.integers(-400000, 400000, (steps, B, N)).astype(np.int32))
                else:
                    out.append(self.rng.normal(0, 6000, (steps, B, N)).clip(-32768, 32767).astype(np.int16))
            return out

        def reference(sequences, begin):
            given = []
            for v, x in zip(r.sequences, sequences):
                if v in r.absorbed:
                    node = r.absorbed[v][1]
                    c = plan["constants"]
                    x = plans.apply("Rescale", node[1], [x, c[node[2][1]], c[node[2][2]]])
                given.append(x)
            # the products by float64, which is exact below 2^53
            return scan_fast(body, begin, given)

        def scan_fast(body, states, sequences):
            def products(op, a, x):
                if op == "MatMul16x8":
                    return (x[0].astype(np.float64) @ self.doubles(x[1])).astype(np.int64) + x[2]
                return plain(op, a, x)
            plain = plans.apply
            plans.apply = products
            try:
                return plans.scan(body, states, sequences)
            finally:
                plans.apply = plain

        steps = case["check"] + 1
        sequences = fresh(steps)
        begin = [self.rng.integers(-20000, 20000, (B, N)).astype(np.int16) for _ in r.states]
        wanted = reference(sequences, begin)
        run, e, y = build_run(steps, sequences, begin)
        for poison in (77, -5):
            for x in (*e, *y):
                x.fill_(poison)
            run()
            torch.cuda.synchronize()
            for i, x in enumerate(e):
                assert np.array_equal(x.cpu().numpy().reshape(B, N), wanted[i].reshape(B, N)), f"state {i} is wrong"
            for i, x in enumerate(y):
                got, want = x[: steps * B * N].cpu().numpy().reshape(steps, B, N), wanted[len(e) + i].reshape(steps, B, N)
                if not np.array_equal(got, want):
                    bad = np.argwhere(got != want)
                    raise AssertionError(f"{len(bad)} of {got.size} wrong, first {bad[0].tolist()}: {got[tuple(bad[0])]} for {want[tuple(bad[0])]}")
                assert (x[steps * B * N :] == poison).all(), "wrote beyond the end"
        assert len(np.unique(wanted[-1])) > 1000, "the test says little"
        for steps in (2, 1):
            sequences = fresh(steps)
            wanted = reference(sequences, begin)
            run, e, y = build_run(steps, sequences, begin)
            run()
            torch.cuda.synchronize()
            assert np.array_equal(y[0][: steps * B * N].cpu().numpy().reshape(steps, B, N), wanted[len(e)].reshape(steps, B, N)), f"{steps} steps"
        if self.options.check_only:
            return
        steps = case["time"]
        sequences = fresh(steps)
        run, e, y = build_run(steps, sequences, begin)
        us = self.span(run)
        if r.profile:
            spent = (counter.view(torch.int64).cpu().numpy()[:5] / steps).round().astype(int).tolist()
            say(name=name, text=f"cycles a step: wait {spent[0]}, products {spent[1]}, CTA barrier {spent[2]}, chain {spent[3]}, send {spent[4]}")
        say(name=name, text=f"{us:8.1f} us {steps} steps, batch {B}: {us / steps:.3f} us a step; right")

    def doubles(self, w):
        key = id(w)
        if key not in self.kept:
            self.kept[key] = w, w.astype(self.np.float64)
        return self.kept[key][1]

    def recurrence_peers(self, _):
        torch = self.torch
        from torch import nn
        for kind in (nn.GRU, nn.LSTM):
            net = kind(256, 256, batch_first=True).cuda().half()
            for batch in (1, 4, 16):
                x = torch.randn(batch, 1024, 256, device="cuda", dtype=torch.half)
                with torch.inference_mode():
                    say(name=f"peer {kind.__name__} cuDNN fp16 batch {batch}", text=f"{self.span(lambda: net(x)):8.1f} us")

    # ---- gated products ----

    def plan(self, which, size="LARGE"):
        import cases
        if (which, size) not in self.plans:
            self.plans[which, size] = getattr(cases, size)[which](self.rng)
        return self.plans[which, size]

    def inputs(self, which, what, rows, size="LARGE"):
        """x, the products (by GPU, exact), what is wanted: kept."""
        import cases, plan as plans
        np, torch = self.np, self.torch
        key = which, what, rows, size
        if key in self.kept:
            return self.kept[key]
        plan = self.plan(which, size)
        made = {o: n for n in plan["nodes"] for o in n[3]}
        nodes = [made[p] for p in what[0]]
        x_name = nodes[0][2][0]
        kind = plan["values"][x_name][0]
        k = plan["constants"][nodes[0][2][1]].shape[0]
        if kind == "int16":
            x = self.rng.normal(0, 1500, (rows, k)).clip(-32768, 32767).astype(np.int16)
            x[:, :2] = [-32768, 32767]
        else:
            x = self.rng.normal(0, 32, (rows, k)).clip(-128, 127).astype(np.int8)
            x[:, :2] = [-128, 127]
        given = {x_name: x}
        xd = torch.from_numpy(x).cuda().double()
        weights = []
        for node in nodes:
            c = [plan["constants"][i] for i in node[2][1:]]
            w = torch.from_numpy(c[0]).cuda()
            weights.append(w.t().contiguous())
            if node[0] == "MaskedMatMul":
                bits = torch.from_numpy(np.unpackbits(c[1], axis=-1, count=c[0].shape[1], bitorder="little")).cuda()
                rows_ = xd - node[1]["x_zero_point"]
                parts = [rows_ @ (w * (bits[i] == 1 - h)).double() for i in range(len(bits)) for h in range(2)]
                acc = torch.cat(parts, 1).cpu().numpy().astype(np.int64) + c[2]
                given[node[3][0]] = acc.astype(np.int32)
            else:
                zero = node[1].get("a_zero_point", 0)
                acc = ((xd - zero) @ w.double()).cpu().numpy().astype(np.int64) + c[1]
                given[node[3][0]] = acc if node[0] == "MatMul16x8" else acc.astype(np.int32)
        sub = dict(plan)
        needed, stack = set(), [what[1]]
        while stack:
            node = made.get(stack.pop())
            if node is None or id(node) in needed:
                continue
            needed.add(id(node))
            if node[3][0] not in given:
                stack += [i for i in node[2] if i and i not in plan["constants"]]
        sub["nodes"] = [n for n in plan["nodes"] if id(n) in needed]
        wanted = plans.run(sub, given)[what[1]]
        masks = None
        if nodes[0][0] == "MaskedMatMul":
            import gated
            masks = self.gpu(gated.Gated.pack_masks(plan["constants"][nodes[0][2][2]], weights[0].shape[0]).view(np.int32))
        self.kept[key] = torch.from_numpy(x).cuda(), weights, masks, wanted
        return self.kept[key]

    def gated_kernel(self, name, size="LARGE"):
        import build, cases, launch
        np, torch = self.np, self.torch
        case = cases.gateds()[name]
        g = cases.gated_of(case, self.plan(case["net"], size))
        kernel = launch.Kernel(build.path(g.source()).read_bytes(), "gated")
        columns, words = self.gpu(np.stack(g.columns)), self.gpu(np.array(g.words or [0], np.int32))
        return case, g, kernel, columns, words

    def prepared(self, name, x, weights, masks, y, m, size="LARGE", dependent=None):
        case, g, kernel, columns, words = self.gated_kernel(name, size)
        n, k = weights[0].shape
        second = weights[1] if len(weights) > 1 else weights[0]
        start = kernel.prepare([x, weights[0], second, masks, columns, words, y, ctypes.c_int32(m), ctypes.c_int32(n), ctypes.c_int32(k)],
                               g.grid(m, n), g.threads(), dependent=bool(case["given"].get("AFTER")) if dependent is None else dependent)
        return lambda: start(self.stream())

    def check_gated(self, name, size, m=None):
        import cases
        np, torch = self.np, self.torch
        case = cases.gateds()[name]
        m = m or case["rows"]
        x, weights, masks, wanted = self.inputs(case["net"], case["what"], m, size)
        n = weights[0].shape[0]
        whole = torch.empty(m * n + 64, dtype=torch.from_numpy(wanted).dtype, device="cuda")
        run = self.prepared(name, x, weights, masks, whole, m, size)
        for poison in (77, -5):
            whole.fill_(poison)
            run()
            torch.cuda.synchronize()
            got = whole[: m * n].cpu().numpy().reshape(m, n)
            if not np.array_equal(got, wanted):
                bad = np.argwhere(got != wanted)
                raise AssertionError(f"{size} {len(bad)} of {got.size} wrong, first {bad[0].tolist()}: {got[tuple(bad[0])]} for {wanted[tuple(bad[0])]}")
            assert (whole[m * n :] == poison).all(), "wrote beyond the end"
        assert len(np.unique(wanted)) > 100 or n < 1000, f"the test says little: {len(np.unique(wanted))} values"
        return len(np.unique(wanted))

    def gated(self, name):
        import cases
        np, torch = self.np, self.torch
        case = cases.gateds()[name]
        m = case["rows"]
        self.check_gated(name, "SMALL")
        if case["kind"] == "thin":
            self.check_gated(name, "SMALL", m - 3)
            self.check_gated(name, "SMALL", m + 5)
        if self.options.check_only:
            return
        values = self.check_gated(name, "LARGE")
        x, weights, masks, wanted = self.inputs(case["net"], case["what"], m)
        n, k = weights[0].shape
        bytes_ = n * k * len(weights) + (0 if masks is None else masks.numel() * 4)
        count = max(3, -(-160_000_000 // bytes_))
        if ("copies", case["net"], case["what"]) not in self.kept:
            self.kept["copies", case["net"], case["what"]] = [([w.clone() for w in weights], None if masks is None else masks.clone()) for _ in range(count)]
        copies = self.kept["copies", case["net"], case["what"]]
        y = torch.empty(m * n, dtype=torch.from_numpy(wanted).dtype, device="cuda")
        runs = [self.prepared(name, x, w, b, y, m) for w, b in copies]
        once = self.flushed(runs[0])
        cold = self.back_to_back(runs, max(1, int(1500 / once / len(runs))))
        hot = self.back_to_back(runs[:1], max(1, int(1500 / once)))
        say(name=name, text=f"{once:7.1f} {cold:7.1f} {hot:7.1f} us (flushed, cold, L2); {bytes_ / cold / 1e6:.2f} TB/s cold; right, {values} values")
        self.best = getattr(self, "best", {})
        key = case["net"], case["what"][1], m, case["given"].get("AFTER", 0)
        if key not in self.best or cold < self.best[key][0]:
            self.best[key] = cold, name

    def network(self, _):
        """SwiGLU whole, as a CUDA graph of the best two kernels, and the bf16 network, likewise."""
        import cases
        torch = self.torch
        from torch import nn
        import torch.nn.functional as F
        for m in (1, 16):
            for after in (0, 1):
                names = [self.best.get(("swiglu", o, m, after)) for o in ("mul", "linear_2_1")]
                if None in names:
                    continue
                runs = []
                for i in range(4):
                    x, w, _, wanted = self.inputs("swiglu", cases.PAIR, m)
                    _, w2, _, wanted2 = self.inputs("swiglu", cases.DOWN, m)
                    w, w2 = ([t.clone() for t in w], [t.clone() for t in w2]) if i else (w, w2)
                    y = torch.empty(m * w[0].shape[0], dtype=torch.int16, device="cuda")
                    z = torch.empty(m * w2[0].shape[0], dtype=torch.int8, device="cuda")
                    a, b = self.prepared(names[0][1], x, w, None, y, m), self.prepared(names[1][1], y, w2, None, z, m)
                    runs.append(lambda a=a, b=b: (a(), b()))
                    if not i:
                        self._first = (x, w, w2, y, z)
                graph = self.graph(runs[:1])
                once = self.flushed(graph.replay)
                cold, hot = self.back_to_back(runs, 20), self.back_to_back(runs[:1], 80)
                # what the two give together
                runs[0](); torch.cuda.synchronize()
                x, w, w2, y, z = self._first
                import plan as plans
                plan = self.plan("swiglu")
                mid = torch.from_numpy(self.inputs("swiglu", cases.PAIR, m)[3]).cuda()
                assert torch.equal(y.view(m, -1), mid)
                acc = (mid.double() @ w2[0].t().double()).cpu().numpy().astype(self.np.int64) + plan["constants"]["linear_2.bias_1"]
                node = next(n for n in plan["nodes"] if n[3][0] == "linear_2_1")
                want = plans.apply("Rescale", node[1], [acc, *(plan["constants"][i] for i in node[2][1:])])
                assert self.np.array_equal(z.view(m, -1).cpu().numpy(), want), "the whole is wrong"
                say(name=f"SwiGLU {m} {'pdl ' if after else ''}{names[0][1]} + {names[1][1]}", text=f"{once:7.1f} {cold:7.1f} {hot:7.1f} us (graph flushed, cold, L2); right")

        class SwiGLU(nn.Module):
            def __init__(self, width=2048, hidden=5632):
                super().__init__()
                self.gate, self.up = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
                self.down = nn.Linear(hidden, width, bias=False)
            def forward(self, x):
                return self.down(F.silu(self.gate(x)) * self.up(x))
        nets = [SwiGLU().cuda().bfloat16() for _ in range(3)]
        for m in (1, 16, 512):
            x = torch.randn(m, 2048, device="cuda", dtype=torch.bfloat16)
            with torch.inference_mode():
                runs = [lambda net=net: net(x) for net in nets]
                graph = self.graph(runs[:1])
                once, cold, hot = self.flushed(graph.replay), self.back_to_back(runs, 10), self.back_to_back(runs[:1], 30)
            say(name=f"peer SwiGLU bf16 graph {m}", text=f"{once:7.1f} {cold:7.1f} {hot:7.1f} us (graph flushed, cold, L2)")


def work(options):
    worker = Worker(options)
    import others
    for name in json.loads(options.names):
        say(begin=name)
        try:
            if name.startswith("R "):
                worker.recurrence(name)
            elif name.startswith("G "):
                worker.gated(name)
            elif name in ("recurrence_peers", "network"):
                getattr(worker, name)(name)
            else:
                others.measure(worker, name)
        except Exception as e:
            say(failed=name, why=f"{type(e).__name__}: {e}"[:300])
            traceback.print_exc(limit=-2)
            if "CUDA" in str(e) or "illegal" in str(e):
                os._exit(3)
        say(end=name)


def lead(options):
    import cases, others
    names = ["recurrence_peers", *cases.recurrences(), *cases.gateds(), "network", *others.names()]
    words = [w for w in options.words.split(",") if w]
    names = [n for n in names if not words or any(n.startswith(w) for w in words)]
    failed, start, last = {}, time.time(), None
    while names and time.time() - start < options.total:
        child = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--worker", "--names", json.dumps(names), *["--check-only"] * options.check_only], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=HERE)
        lines = queue.Queue()
        def read(pipe=child.stdout, lines=lines):
            for line in pipe:
                lines.put(line)
            lines.put(None)
        threading.Thread(target=read, daemon=True).start()
        current, wait = None, 60
        while True:
            try:
                line = lines.get(timeout=min(wait, max(1, options.total - (time.time() - start))))
            except queue.Empty:
                child.kill(); child.wait()
                failed[current] = "silent: killed"
                print(current, "silent: killed", flush=True)
                break
            if line is None:
                child.wait()
                break
            if not line.startswith("@"):
                print(line, end="", flush=True)
                continue
            said = json.loads(line[1:])
            if "begin" in said:
                current = said["begin"]; wait = 40 if current in ("network", "recurrence_peers") else options.limit
            if "end" in said:
                names.remove(said["end"]); current = None
            if "failed" in said:
                failed[said["failed"]] = said["why"]; print("FAILED", said["failed"], said["why"], flush=True)
            if "text" in said:
                print(f"{said['name']:36s} {said['text']}", flush=True)
        if current is None and names and last == names:
            break
        last = list(names)
        if current in names:
            failed.setdefault(current, f"the worker died: {child.returncode}")
            names.remove(current)
    print(f"{time.time() - start:.0f} s; {len(failed)} failed; left {len(names)}: {names[:5]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--names", default="[]")
    parser.add_argument("--words", default="")
    parser.add_argument("--limit", type=float, default=15)
    parser.add_argument("--total", type=float, default=60)
    parser.add_argument("--check-only", action="store_true")
    options = parser.parse_args()
    (work if options.worker else lead)(options)
