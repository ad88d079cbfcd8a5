"""Check and time the prebuilt cubins: python bench.py [--words A,B] [--peers 0] [--limit 30] [--check-only: odd sizes, untimed]

Needs Python, torch (memory, timing, peers), triton (a peer) and the driver. Candidates run in a worker process; one that
says nothing for --limit seconds is killed and the rest go on in a new worker.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


def say(**what):
    print("@" + json.dumps(what), flush=True)


class Worker:
    def __init__(self, options):
        import torch
        from triton.testing import do_bench

        self.torch, self.do_bench, self.options = torch, do_bench, options
        torch.zeros(1, device="cuda")
        self.multiprocessors = torch.cuda.get_device_properties(0).multi_processor_count
        self.sets = {}

    def finish(self, n):
        import launch

        torch = self.torch
        g = torch.Generator(device="cuda").manual_seed(n)
        data = {
            "bias": torch.randint(-20000, 20000, (n,), dtype=torch.int32, device="cuda", generator=g),
            "multiplier": torch.randint(1 << 30, (1 << 31) - 1, (n,), dtype=torch.int32, device="cuda", generator=g),
            "shift": torch.randint(40, 45, (n,), dtype=torch.int32, device="cuda", generator=g),
            "table": torch.randint(-128, 128, (256,), dtype=torch.int8, device="cuda", generator=g),
        }
        # Edges of the range in some columns.
        data["shift"][0], data["shift"][n // 2], data["shift"][-1] = 32, 33, 62
        data["multiplier"][1 % n] = (1 << 31) - 1
        f = launch.Finish(*[t.data_ptr() for t in data.values()], 1518500250, 42, -7, -120, 125)
        return f, data

    def expected(self, exact, constants, f, data):
        """The epilogue in int64."""
        torch = self.torch
        y = exact.to(torch.int64)
        if constants["BIAS"]:
            y = y + data["bias"].to(torch.int64)
        if not constants["OUT_INT8"]:
            return y.to(torch.int32)
        if constants["PER_COLUMN"]:
            m, s = data["multiplier"].to(torch.int64), data["shift"].to(torch.int64)
        else:
            m, s = torch.tensor(f.all_multiplier, device="cuda"), torch.tensor(f.all_shift, device="cuda")
        y = ((y * m + (torch.ones_like(s) << (s - 1))) >> s) + f.zero_point
        y = y.clamp(f.low, f.high)
        if constants["TABLE"]:
            return data["table"][y + 128]
        return y.to(torch.int8)

    def exact(self, a, b):
        torch = self.torch
        m, n, k = a.shape[0], b.shape[0], a.shape[1]
        if m > 16 and n % 8 == 0 and k % 8 == 0:
            return torch._int_mm(a, b.t())
        return (a.double() @ b.double().t()).to(torch.int32)  # below 2^53: exact

    def inputs(self, shape, count=1):
        """Rotating sets; kept for the next candidate with the same shape."""
        if self.sets.get("shape") != (shape, count):
            torch, (m, n, k) = self.torch, shape
            self.sets = {"shape": (shape, count)}
            self.sets["pairs"] = [
                (
                    torch.randint(-128, 128, (m, k), dtype=torch.int8, device="cuda"),
                    torch.randint(-128, 128, (n, k), dtype=torch.int8, device="cuda"),
                )
                for _ in range(count)
            ]
            self.sets["exact"] = self.exact(*self.sets["pairs"][0])
        return self.sets["pairs"], self.sets["exact"]

    def graph(self, runs, rounds):
        """Microseconds per call in a CUDA graph of `rounds` rounds of these calls, median of replays."""
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
        graph.replay()
        times = []
        for _ in range(7):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            graph.replay()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
        return sorted(times)[3] * 1e3 / (rounds * len(runs))

    def measure(self, runs):
        """do_bench (L2 flushed); back to back over rotating sets; back to back over one set."""
        rotate = iter(range(1 << 60))
        flushed = self.do_bench(lambda: runs[next(rotate) % len(runs)](), warmup=self.options.warmup, rep=self.options.rep,
                                return_mode="median") * 1e3  # fmt: skip
        rounds = max(1, int(2000 / max(flushed, 1) / len(runs)))
        rotated = self.graph(runs, rounds)
        same = self.graph(runs[:1], rounds * len(runs))
        return flushed, rotated, same

    def count(self, shape):
        m, n, k = shape
        return max(3, min(12, -(-160_000_000 // (m * k + n * k))))

    def candidate(self, name, value):
        import build
        import launch

        torch = self.torch
        kind, arch, constants, shapes, odd = value
        file = build.path(kind, arch, constants)
        kernel = launch.Kernel(file.read_bytes(), kind, **constants)
        dtype = torch.int8 if kernel.constants["OUT_INT8"] else torch.int32

        def run_on(a, b, out, f):
            m, k = a.shape
            start = kernel.prepare(a.data_ptr(), b.data_ptr(), out.data_ptr(), m, b.shape[0], k, f, self.multiprocessors)
            return lambda: start(torch.cuda.current_stream().cuda_stream)

        def check(a, b, exact, f, data):
            m, n = a.shape[0], b.shape[0]
            guard = 4096
            whole = torch.full((m * n + guard,), 77, dtype=dtype, device="cuda")
            run = run_on(a, b, whole, f)
            wanted = self.expected(exact, kernel.constants, f, data)
            for poison in (77, -5):
                whole.fill_(poison)
                run()
                torch.cuda.synchronize()
                out = whole[: m * n].view(m, n)
                if not torch.equal(out, wanted):
                    bad = (out != wanted).nonzero()
                    raise AssertionError(f"{m}x{n}x{a.shape[1]}: {len(bad)} of {m * n} wrong, first {bad[0].tolist()}, last "
                                         f"{bad[-1].tolist()}, {out[tuple(bad[0])].item()} for {wanted[tuple(bad[0])].item()}")  # fmt: skip
                if not (whole[m * n :] == poison).all():
                    raise AssertionError("wrote beyond the end")

        for m, n, k in odd:
            a = torch.randint(-128, 128, (m, k), dtype=torch.int8, device="cuda")
            b = torch.randint(-128, 128, (n, k), dtype=torch.int8, device="cuda")
            check(a, b, self.exact(a, b), *self.finish(n))
        say(note=f"{name}: odd sizes right")
        if self.options.check_only:
            return
        for shape in shapes:
            m, n, k = shape
            pairs, exact = self.inputs(shape, self.count(shape))
            f, data = self.finish(n)
            check(*pairs[0], exact, f, data)
            outs = [torch.empty((m, n), dtype=dtype, device="cuda") for _ in pairs]
            runs = [run_on(a, b, o, f) for (a, b), o in zip(pairs, outs)]
            say(name=name, shape=shape, times=self.measure(runs))
            if name in self.options.zeros.split(","):  # only to see what the clocks do: no power is drawn by zeros
                nothing = [(torch.zeros_like(a), torch.zeros_like(b)) for a, b in pairs]
                say(name=name + " ON ZEROS", shape=shape, times=self.measure([run_on(a, b, o, f) for (a, b), o in zip(nothing, outs)]))
                for run in runs:
                    run()
            if not torch.equal(outs[0], self.expected(exact, kernel.constants, f, data)):
                raise AssertionError("wrong after timing: a race")

    def peers(self, shape):
        torch = self.torch
        m, n, k = shape
        pairs, exact = self.inputs(shape, self.count(shape))
        if m > 16:
            say(name="peer int_mm", shape=shape, times=self.measure([lambda a=a, b=b: torch._int_mm(a, b.t()) for a, b in pairs]))
        if m >= 16 and k % 256 == 0:
            sys.path.insert(0, HERE)
            import gpu_peers
            import triton

            outs = [torch.empty((m, n), dtype=torch.int32, device="cuda") for _ in pairs]
            grid = lambda meta: (triton.cdiv(m, meta["BM"]) * triton.cdiv(n, meta["BN"]),)  # noqa: E731
            runs = [lambda a=a, b=b, c=c: gpu_peers.int8_product[grid](a, b, c, m, n, k) for (a, b), c in zip(pairs, outs)]
            runs[0]()
            assert torch.equal(outs[0], exact)
            say(name="peer Triton", shape=shape, times=self.measure(runs))
        one = torch.ones((), device="cuda")
        if m >= 16:
            f8 = [((torch.randn(m, k, device="cuda")).to(torch.float8_e4m3fn), torch.randn(n, k, device="cuda").to(torch.float8_e4m3fn)) for _ in pairs]
            say(name="peer fp8", shape=shape, times=self.measure([lambda a=a, b=b: torch._scaled_mm(a, b.t(), one, one, out_dtype=torch.bfloat16) for a, b in f8]))
        else:
            bf = [(torch.randn(m, k, device="cuda").bfloat16(), torch.randn(n, k, device="cuda").bfloat16()) for _ in pairs]
            say(name="peer bf16", shape=shape, times=self.measure([lambda a=a, b=b: a @ b.t() for a, b in bf]))


def work(options):
    from candidates import all_candidates

    worker = Worker(options)
    candidates = all_candidates()
    for name in json.loads(options.names):
        say(begin=name)
        try:
            if name.startswith("peers "):
                worker.peers(tuple(json.loads(name[6:])))
            else:
                worker.candidate(name, candidates[name])
        except Exception as e:
            say(failed=name, why=f"{type(e).__name__}: {e}"[:400])
            if "CUDA" in str(e) or "launch" in str(e) or "illegal" in str(e):
                traceback.print_exc()
                os._exit(3)  # the context is lost
        say(end=name)


def lead(options):
    from candidates import all_candidates

    words = [w for w in options.words.split(",") if w]
    candidates = {n: v for n, v in all_candidates().items() if not words or any(n.startswith(w) for w in words)}
    names = list(candidates)
    if options.peers:
        shapes = dict.fromkeys(tuple(s) for v in candidates.values() for s in v[3])
        names = [f"peers {json.dumps(list(s))}" for s in shapes] + names
    rows, failed, start = [], {}, time.time()
    while names and time.time() - start < options.total:
        command = [sys.executable, os.path.abspath(__file__), "--worker", "--names", json.dumps(names), "--rep", str(options.rep),
                   "--warmup", str(options.warmup), "--zeros", options.zeros] + ["--check-only"] * options.check_only  # fmt: skip
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE)
        lines: queue.Queue = queue.Queue()

        def read(pipe=child.stdout, lines=lines):
            for line in pipe:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        current, wait = None, 120
        while True:
            try:
                line = lines.get(timeout=wait)
            except queue.Empty:
                child.kill()
                child.wait()
                failed[current] = f"nothing for {wait} s: killed"
                print(current, failed[current], flush=True)
                break
            if line is None:
                child.wait()
                break
            if not line.startswith("@"):
                print(line, end="")
                continue
            said = json.loads(line[1:])
            if "begin" in said:
                current = said["begin"]
                wait = 120 if current.startswith("peers") else options.limit
            if "end" in said:
                names.remove(said["end"])
                current = None
            if "failed" in said:
                failed[said["failed"]] = said["why"]
                print("FAILED", said["failed"], said["why"], flush=True)
            if "times" in said:
                rows.append((said["name"], tuple(said["shape"]), said["times"]))
        if current is None and names:
            print(f"the worker ended early: {child.returncode}")
            if not rows and not failed:
                break
        if current in names:
            failed.setdefault(current, f"the worker died: {child.returncode}")
            names.remove(current)
    out = os.environ.get("OUT")
    if out:
        with open(os.path.join(out, "results.json"), "w") as f:
            json.dump({"rows": rows, "failed": failed}, f)
    print(f"{time.time() - start:.0f} s; us by do_bench (L2 flushed), back to back over rotating sets, over one set; TOPS of each")
    for shape in dict.fromkeys(r[1] for r in rows):
        print("x".join(map(str, shape)))
        for name, _, times in sorted((r for r in rows if r[1] == shape), key=lambda r: (not r[0].startswith("peer"), r[2][0])):
            m, n, k = shape
            tops = "/".join(f"{2 * m * n * k / t / 1e6:.0f}" if t else "-" for t in times)
            gbs = f" {n * k / times[1] / 1e6:.2f} {n * k / times[2] / 1e6:.2f} TB/s" if m <= 8 and times[1] else ""
            print(f"  {name:34s} {times[0]:8.1f} {times[1]:8.1f} {times[2]:8.1f}  {tops}{gbs}")
    for name, why in failed.items():
        print("FAILED", name, why)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--names", default="[]")
    parser.add_argument("--words", default="")
    parser.add_argument("--peers", type=int, default=1)
    parser.add_argument("--limit", type=float, default=25)
    parser.add_argument("--total", type=float, default=400)
    parser.add_argument("--rep", type=int, default=60)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--zeros", default="")
    parser.add_argument("--check-only", action="store_true")
    options = parser.parse_args()
    (work if options.worker else lead)(options)
