"""From templates to CUDA source, shared memory and launch shape of the convolution kernels."""

import pathlib

HERE, ROOT = pathlib.Path(__file__).parent, pathlib.Path(__file__).parents[5] / "targets" / "cuda_network"
TEMPLATES = (HERE / "templates", ROOT / "conv", ROOT / "gemm")
"""Where templates are looked for: on trial, or in the package."""
PARTS = {
    "conv_mma": ("conv_common", "conv_mma"),
    "conv_sm90": ("conv_common", "hopper", "wgmma", "conv_sm90"),
    "depthwise": ("conv_common", "depthwise"),
    "squeeze": ("conv_common", "squeeze"),
    "stem": ("conv_common", "stem"),
    "pool": ("conv_common", "pool"),
}
ENTRY = {"conv_mma": "conv", "conv_sm90": "conv"}


def template(part: str) -> str:
    return next(path.read_text() for folder in TEMPLATES if (path := folder / f"{part}.cu").exists())


def wgmma(columns: int) -> str:
    """The instruction for one width: its operand list has columns / 2 registers."""
    count = columns // 2
    names = ", ".join(f"%{i}" for i in range(count))
    outputs = ", ".join(f'"+r"(d[{i}])' for i in range(count))
    return f"""
// d (+)= 64 x 32 of A times ({columns} x 32 of B)^T; more == 0: d is overwritten ("scale-d").
__device__ __forceinline__ void wgmma(int (&d)[{count}], uint64_t a, uint64_t b, int more)
{{
    asm volatile(
        "{{\\n.reg .pred p;\\nsetp.ne.b32 p, %{count + 2}, 0;\\n"
        "wgmma.mma_async.sync.aligned.m64n{columns}k32.s32.s8.s8 {{{names}}}, %{count}, %{count + 1}, p;\\n}}"
        : {outputs}
        : "l"(a), "l"(b), "r"(more));
}}
"""


def source(kind, **c):
    """CUDA source of an instance."""
    texts = [f"#define {name} {value}" for name, value in c.items()]
    for part in PARTS[kind]:
        texts.append(wgmma(c["TILE_N"]) if part == "wgmma" else template(part))
    return "\n".join(texts)


def patch(c):
    """Bytes of a warpgroup's patch (conv_sm90)."""
    chunks = c["C"] // 16
    high, wide = 7 * c["SY"] + (c["KH"] - 1) * c["DY"] + 1, 7 * c["SX"] + (c["KW"] - 1) * c["DX"] + 1
    pixels = high * (-(-wide // c["SX"])) * c["SX"]
    turn = {2: 4, 4: 2}.get(chunks, 1)
    plane = (pixels + (turn + 8 - pixels % 8) % 8) * 16
    return -(-plane * chunks // 128) * 128


def shared(kind, **c):
    """Bytes of dynamic shared memory."""
    if kind == "conv_mma":
        ring = c["STAGES"] * (c["TILE_M"] + c["TILE_N"]) * c["TILE_K"]
        ring = max(ring, (c.get("WARPS_K", 1) - 1) * c["TILE_M"] * c["TILE_N"] * 4)
        return max(ring, c["TILE_M"] * (c["TILE_N"] // (2 if c.get("PAIR") else 1) + 16))
    if kind == "conv_sm90":
        return c["KH"] * c["KW"] * c["C"] * c["TILE_N"] + c["WGS"] * c["BUFFERS"] * patch(c)
    return 0


def static_shared(kind, **c):
    """About the bytes of static shared memory."""
    if kind == "conv_mma":
        gates = ((c["TILE_M"] - 1) // (c["OH"] * c["OW"]) + 2) * c["C"] if c.get("GATED") else 0
        return tables(c) + 16 * c["TILE_N"] + gates
    return tables(c) + 16 * c["TILE_N"] + 16 if kind == "conv_sm90" else 0


def tables(c):
    """Bytes of the tables, each entry 32 times."""
    return 16384 if c.get("PAIR") else 8192 if c.get("TABLE") else 0


def threads(kind, **c):
    """Threads of a block."""
    if kind == "conv_mma":
        return 32 * c["WARPS_M"] * c["WARPS_N"] * c.get("WARPS_K", 1)
    if kind == "conv_sm90":
        return 128 * c["WGS"]
    return 256 if kind == "pool" else c["THREADS"]


def grid(kind, images, multiprocessors, **c):
    """Blocks along x and y."""
    if kind == "conv_mma":
        return -(-images * c["OH"] * c["OW"] // c["TILE_M"]) * -(-c["N"] // c["TILE_N"]), 1
    if kind == "conv_sm90":
        units, columns = images * -(-c["OH"] // 8) * -(-c["OW"] // 8), c["N"] // c["TILE_N"]
        return min(max(1, multiprocessors // columns), units), columns
    if kind == "depthwise":
        each = -(-c["OH"] // c["R"]) * -(-c["OW"] // c["X"]) * c["C"] // 4
        return -(-each // c["THREADS"]), images
    if kind == "squeeze":
        return c["CLUSTER"] * images, 1
    if kind == "stem":
        return -(-c["OH"] * c["OW"] * c["N"] // 8 // (c["THREADS"] * c["PIXELS"])), images
    return -(-c["C"] // 128), images
