"""Where the cycles of the sm_90a kernel go: instances with clock reads patched in. python profile.py build | run

Per variant: cycles of a step of K in the main loop, cycles of the epilogue of a tile, clock over the run."""

import pathlib
import subprocess
import sys

import instantiate

FOLDER = pathlib.Path(__file__).parent / "profile"
COMMON = {}
VARIANTS = {
    "128x256": {},
    "128x128": {"TILE_N": 128, "STAGES": 6},
    "128x128 pp": {"TILE_N": 128, "STAGES": 6, "PINGPONG": 1},
    "8 128x256": {"OUT_INT8": 1, "BIAS": 1},
    "8 128x128 pp": {"OUT_INT8": 1, "BIAS": 1, "TILE_N": 128, "STAGES": 6, "PINGPONG": 1},
}


def patched(**given):
    s = instantiate.source("gemm_sm90", **given)

    def once(old, new):
        nonlocal s
        assert s.count(old) == 1, old
        s = s.replace(old, new)

    once("        uint32_t phase = 0;\n        // The ring holds", "        uint32_t phase = 0;\n long long in_loop = 0, began = clock64(); unsigned long long wall; asm volatile(\"mov.u64 %0, %%globaltimer;\" : \"=l\"(wall));\n        // The ring holds")
    once("            int before = 0;\n", "            int before = 0; long long t0 = clock64();\n")
    once("            wgmma_wait<0>();\n            if (releases)", "            wgmma_wait<0>(); long long t1 = clock64(); in_loop += t1 - t0;\n            if (releases)")
    once("        if (STORE_TMA && lane == 0) stores_done();", """        if (STORE_TMA && lane == 0) stores_done();
        unsigned long long wall2; asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(wall2));
        if (threadIdx.x % 128 == 0 && parameters.table) {
            long long *to = (long long *)parameters.table + (blockIdx.x * CONSUMERS + consumer) * 4;
            to[0] = in_loop; to[1] = clock64() - began; to[2] = wall2 - wall; to[3] = (tiles - first + stride - 1) / stride; if (PINGPONG) to[3] = (to[3] + 1 - consumer) / 2;
        }""")
    return s


def build():
    FOLDER.mkdir(exist_ok=True)
    for name, c in VARIANTS.items():
        (FOLDER / "p.cu").write_text(patched(**c))
        subprocess.check_call(["nvcc", "-cubin", "-gencode=arch=compute_90a,code=sm_90a", "-O3", "--std=c++17", "-o",
                               str(FOLDER / (name.replace(" ", "_") + ".cubin")), str(FOLDER / "p.cu")])


def run():
    import launch
    import torch

    torch.zeros(1, device="cuda")
    for m, n, k in [(4096, 4096, 4096), (1024, 4096, 11008)]:
        for zeros in (False, True):
            a = torch.randint(-128, 128, (m, k), dtype=torch.int8, device="cuda") * (not zeros)
            b = torch.randint(-128, 128, (n, k), dtype=torch.int8, device="cuda") * (not zeros)
            for name, c in VARIANTS.items():
                kernel = launch.Kernel((FOLDER / (name.replace(" ", "_") + ".cubin")).read_bytes(), "gemm_sm90", **c)
                out = torch.empty((m, n), dtype=torch.int8 if c.get("OUT_INT8") else torch.int32, device="cuda")
                ints = torch.full((n,), 1 << 30, dtype=torch.int32, device="cuda")
                shifts = torch.full((n,), 42, dtype=torch.int32, device="cuda")
                buffer = torch.zeros((132 * 2 * 4,), dtype=torch.int64, device="cuda")
                f = launch.Finish(ints.data_ptr(), ints.data_ptr(), shifts.data_ptr(), buffer.data_ptr(), 0, 0, 0, -128, 127)
                start = kernel.prepare(a.data_ptr(), b.data_ptr(), out.data_ptr(), m, n, k, f, 132)
                for _ in range(200 if m == 4096 else 500):
                    start(torch.cuda.current_stream().cuda_stream)
                torch.cuda.synchronize()
                t = buffer.view(-1, 4).double()
                t = t[t[:, 3] > 0]
                steps = -(-k // 128)
                tiles = t[:, 3]
                print(f"{m}x{n}x{k} {'zeros ' if zeros else 'random'} {name:16s} step {(t[:, 0] / tiles / steps).mean():7.1f} "
                      f"epilogue {((t[:, 1] - t[:, 0]) / tiles).mean():8.0f} all {t[:, 1].mean():9.0f} max {t[:, 1].max():9.0f} cycles, "
                      f"{t[:, 2].max() / 1e3:6.1f} us, {(t[:, 1] / t[:, 2]).mean():.3f} GHz", flush=True)


if __name__ == "__main__":
    {"build": build, "run": run}[sys.argv[1]]()
