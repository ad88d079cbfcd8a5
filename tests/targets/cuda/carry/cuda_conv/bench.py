"""Check and time the prebuilt cubins: python bench.py [--what tests,gated,se] [--peers 1]. A worker with a watchdog; peers compile meanwhile."""

import argparse
import json
import os
import pathlib
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


def graph_of(torch, run):
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        run()
        run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph


def bench(run):
    """Median us: do_bench (L2 flushed), and of 20 replays back to back."""
    import torch
    from triton.testing import do_bench

    flushed = do_bench(run, warmup=30, rep=100, return_mode="median") * 1e3
    times = []
    for _ in range(7):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(20):
            run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return flushed, sorted(times)[3] * 1e3 / 20


def profile(torch, net):
    """us of each layer: 20 launches of it in a graph."""
    found = []
    for layer in net.layers:
        def run(layer=layer):
            for _ in range(20):
                layer.run()
        graph = graph_of(torch, run)
        graph.replay()
        times = []
        for _ in range(5):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            graph.replay()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
        found.append((layer.name, round(sorted(times)[2] * 1e3 / 20, 2)))
    return found


def work(options):
    import torch

    import layers
    import plans

    torch.manual_seed(options.seed)
    torch.zeros(1, device="cuda")
    multiprocessors = torch.cuda.get_device_properties(0).multi_processor_count
    tests, gated = plans.tests(), plans.gated_variants()
    for name in json.loads(options.names):
        say(begin=name)
        try:
            if name.startswith("try "):
                images, op, kind, c, extra = plans.experiments()[name[4:]]
                layer = layers.single(name, images, op, kind, c, extra)
                layer.prepare(multiprocessors, first=True)

                class One:
                    layers = [layer]

                us = profile(torch, One)[0][1]
                say(name=name, times=[us, us])
                del layer, One
            elif name.startswith("test "):
                images, op, kind, c, extra = tests[name[5:]]
                layer = layers.single(name, images, op, kind, c, extra)
                layer.prepare(multiprocessors)
                for poison in (77, 5):
                    layer.out.fill_(poison)
                    if op == "depthwise" and layer.sums is not None:
                        layer.sums.zero_()
                    layer.run()
                    torch.cuda.synchronize()
                    layer.check()
                say(passed=name)
            else:
                if name.startswith("gated"):
                    images, plan = gated[name]
                else:
                    images, plan = plans.se_variants()[name]
                net = layers.Net(images, plan, multiprocessors)
                net.check(net.run)
                graph = graph_of(torch, net.run)
                net.check(graph.replay)
                say(passed=name)
                say(name=name, times=bench(graph.replay))
                net.check(graph.replay)
                if options.profile and name.startswith("se"):
                    say(name=name, layers=profile(torch, net))
                del graph, net
                torch.cuda.empty_cache()
        except Exception as e:
            say(failed=name, why=f"{type(e).__name__}: {e}"[:400])
            if "CUDA" in str(e) or "illegal" in str(e):
                traceback.print_exc()
                os._exit(3)
        say(end=name)


def peers(options):
    import torch

    sys.path.append(str(pathlib.Path(__file__).parents[1] / "cuda_gemm"))
    import gpu_peers as g
    from torch import nn

    torch.manual_seed(0)
    ready = []
    with torch.inference_mode():
        for name, net, shape, mode in (
            ("gated b1", nn.Sequential(*[g.GatedConv(64) for _ in range(6)]), (1, 64, 128, 128), "reduce-overhead"),
            ("gated b8", nn.Sequential(*[g.GatedConv(64) for _ in range(6)]), (8, 64, 128, 128), "reduce-overhead"),
            ("se b32", g.se_mobile_net(), (32, 3, 224, 224), "reduce-overhead"),
            ("se b1", g.se_mobile_net(), (1, 3, 224, 224), options.mode),
        ):
            torch._dynamo.reset()
            net = net.cuda().eval().bfloat16().to(memory_format=torch.channels_last)
            x = torch.randn(*shape, device="cuda").bfloat16().to(memory_format=torch.channels_last)
            compiled = torch.compile(net, mode=mode)
            for _ in range(4):
                compiled(x)
            torch.cuda.synchronize()
            open(os.path.join(options.folder, "compiled." + name.replace(" ", ".")), "w").close()
            ready.append((f"{name} torch.compile {mode}", compiled, x))
        open(os.path.join(options.folder, "ready"), "w").close()
        while not os.path.exists(os.path.join(options.folder, "go")):
            time.sleep(0.2)
        for name, compiled, x in ready:
            say(name="peer " + name, times=bench(lambda: compiled(x)))


def lead(options):
    import tempfile

    import plans

    start, rows, failed, passed, profiles = time.time(), [], {}, [], []
    what = options.what.split(",")
    names = ["test " + n for n in plans.tests()] if "tests" in what else []
    nets = list(plans.gated_variants()) if "gated" in what else []
    nets += ["try " + n for n in plans.experiments()] if "try" in what else []
    nets += list(plans.se_variants()) if "se" in what else []
    if options.words:
        names, nets = ([n for n in some if any(w in n for w in options.words.split(","))] for some in (names, nets))
    folder = tempfile.mkdtemp()
    peer = None
    if options.peers:
        log = open(os.path.join(os.environ.get("OUT", folder), "peers.log"), "w")
        peer = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--role", "peers", "--folder", folder, "--mode", options.mode],
                                stdout=subprocess.PIPE, stderr=log, text=True, cwd=HERE)  # fmt: skip

    def drive(names):
        while names and time.time() - start < options.total:
            command = [sys.executable, os.path.abspath(__file__), "--role", "worker", "--names", json.dumps(names), "--seed", str(options.seed)]
            child = subprocess.Popen(command + ["--profile"] * options.profile, stdout=subprocess.PIPE, text=True, cwd=HERE)
            lines: queue.Queue = queue.Queue()

            def read(pipe=child.stdout, lines=lines):
                for line in pipe:
                    lines.put(line)
                lines.put(None)

            threading.Thread(target=read, daemon=True).start()
            current, wait = None, 90
            while True:
                try:
                    line = lines.get(timeout=wait)
                except queue.Empty:
                    child.kill()
                    child.wait()
                    failed[current] = f"nothing for {wait} s: killed"
                    break
                if line is None:
                    child.wait()
                    break
                if not line.startswith("@"):
                    print(line, end="")
                    continue
                said = json.loads(line[1:])
                if "begin" in said:
                    current, wait = said["begin"], 25
                if "end" in said:
                    names.remove(said["end"])
                    current = None
                if "passed" in said:
                    passed.append(said["passed"])
                if "failed" in said:
                    failed[said["failed"]] = said["why"]
                    print("FAILED", said["failed"], said["why"], flush=True)
                if "times" in said:
                    rows.append((said["name"], said["times"]))
                if "layers" in said:
                    profiles.append((said["name"], said["layers"]))
            if current in names:
                failed.setdefault(current, f"the worker died: {child.returncode}")
                names.remove(current)
            elif current is None and names:
                print("the worker ended early", child.returncode)
                break

    drive(names)
    print(f"{time.time() - start:.0f} s: tests done, {len(passed)} passed, {len(failed)} failed", flush=True)
    if peer:
        while not os.path.exists(os.path.join(folder, "ready")) and peer.poll() is None and time.time() - start < options.wait:
            time.sleep(0.3)
        print(f"{time.time() - start:.0f} s: peers {'ready' if os.path.exists(os.path.join(folder, 'ready')) else 'NOT ready'}", flush=True)
    drive(nets)
    if peer:
        open(os.path.join(folder, "go"), "w").close()
        try:
            for line in peer.communicate(timeout=max(5, options.total - (time.time() - start)))[0].splitlines():
                if line.startswith("@"):
                    said = json.loads(line[1:])
                    rows.append((said["name"], said["times"]))
        except subprocess.TimeoutExpired:
            peer.kill()
            print("peers killed")
    out = os.environ.get("OUT")
    if out:
        with open(os.path.join(out, "results.json"), "w") as f:
            json.dump({"rows": rows, "failed": failed, "passed": passed, "profiles": profiles}, f)
    for name, found in profiles:
        print(name, f"sum {sum(t for _, t in found):.1f}:", " ".join(f"{n} {t}" for n, t in found))
    print(f"{time.time() - start:.0f} s; {len(passed)} passed; us: do_bench (L2 flushed), replays back to back")
    for name, times in rows:
        print(f"  {name:44s} {times[0]:8.1f} {times[1]:8.1f}")
    for name, why in failed.items():
        print("FAILED", name, why)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--role", default="lead")
    parser.add_argument("--names", default="[]")
    parser.add_argument("--words", default="")
    parser.add_argument("--what", default="tests,gated,se")
    parser.add_argument("--peers", type=int, default=0)
    parser.add_argument("--mode", default="reduce-overhead")
    parser.add_argument("--folder", default="")
    parser.add_argument("--total", type=float, default=300)
    parser.add_argument("--wait", type=float, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    {"worker": work, "peers": peers, "lead": lead}[options.role](options)
