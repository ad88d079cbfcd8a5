"""From templates to CUDA source, shared memory and launch shape."""

import pathlib

TEMPLATES = pathlib.Path(__file__).parents[5] / "targets" / "cuda_network" / "gemm"
PARTS = {
    "gemm_sm90": ("common", "hopper", "wgmma", "gemm_sm90"),
    "small_sm90": ("common", "hopper", "wgmma", "small_sm90"),
    "gemm_mma": ("common", "gemm_mma"),
    "gemv": ("common", "gemv"),
    "thin": ("common", "thin"),
}
DEFAULTS = {
    "gemm_sm90": {"TILE_M": 128, "TILE_N": 256, "STAGES": 4, "CONSUMERS": 2, "CLUSTER_M": 1, "CLUSTER_N": 1, "GROUP": 8,
                  "STORE_TMA": 1, "STAGING": 1, "PINGPONG": 0, "EVICT_FIRST": 0},
    "small_sm90": {"TILE_T": 32, "CONSUMERS": 2, "STAGES": 8, "SPLIT": 4, "TOGETHER": 1},
    "gemm_mma": {"TILE_M": 128, "TILE_N": 256, "TILE_K": 64, "WARPS_M": 2, "WARPS_N": 4, "STAGES": 3, "GROUP": 8},
    "gemv": {"BATCH": 1, "ROWS": 4, "WARPS_N": 4, "WARPS_K": 1, "UNROLL": 4},
    "thin": {"TOKENS": 8, "TILES": 1, "WARPS_K": 4, "UNROLL": 4},
}
EPILOGUE = {"OUT_INT8": 0, "BIAS": 0, "PER_COLUMN": 1, "TABLE": 0}


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


def constants(kind: str, **given: int) -> dict[str, int]:
    """All constants of an instance."""
    known = {**EPILOGUE, **DEFAULTS[kind]}
    extra = {"FORCE_SM75": 0} if kind in ("gemm_mma", "thin") else {}
    if wrong := set(given) - set(known) - set(extra):
        raise ValueError(f"{kind} has no {wrong}")
    return {**known, **given}


def source(kind: str, **given: int) -> str:
    """CUDA source of an instance."""
    c = constants(kind, **given)
    columns = {"gemm_sm90": "TILE_N", "small_sm90": "TILE_T"}.get(kind)
    texts = [f"#define {name} {value}" for name, value in c.items()]
    for part in PARTS[kind]:
        texts.append(wgmma(c[columns]) if part == "wgmma" else (TEMPLATES / f"{part}.cu").read_text())
    return "\n".join(texts)


def shared(kind: str, **given: int) -> int:
    """Bytes of dynamic shared memory."""
    c = constants(kind, **given)
    if kind == "gemm_sm90":
        stage = (c["TILE_M"] + c["TILE_N"]) * 128
        kept = 12 * c["TILE_N"] * c["CONSUMERS"] if c["OUT_INT8"] and c["PER_COLUMN"] or c["BIAS"] else 0
        boxes = c["CONSUMERS"] * c["STAGING"] * 64 * min(128, c["TILE_N"] * (1 if c["OUT_INT8"] else 4))
        return c["STAGES"] * stage + boxes + 16 * c["STAGES"] + 16 + 256 + kept
    if kind == "small_sm90":
        rows = 64 * c["CONSUMERS"]
        ring = c["STAGES"] * (rows + c["TILE_T"]) * 128
        part = c["TILE_T"] // c["SPLIT"] * (rows + 4) * 4
        return 1024 + max(ring, part * c["SPLIT"]) + part * (c["SPLIT"] - 1) + 16 * c["STAGES"] + 8 + 256
    if kind == "gemm_mma":
        ring = c["STAGES"] * (c["TILE_M"] + c["TILE_N"]) * c["TILE_K"]
        return max(ring, c["OUT_INT8"] * c["TILE_M"] * (c["TILE_N"] + 16)) + 256
    return 0


def threads(kind: str, **given: int) -> int:
    """Threads of a block."""
    c = constants(kind, **given)
    if kind == "gemm_sm90":
        return 128 * (c["CONSUMERS"] + 1)
    if kind == "small_sm90":
        return 128 * c["CONSUMERS"] + 32
    if kind == "gemm_mma":
        return 32 * c["WARPS_M"] * c["WARPS_N"]
    if kind == "thin":
        return 32 * c["WARPS_K"]
    return 32 * c["WARPS_N"] * c["WARPS_K"]


def grid(kind: str, m: int, n: int, multiprocessors: int, **given: int) -> tuple[int, int]:
    """Blocks along x and y. ``multiprocessors``: how many of the persistent kernel's CTAs run at once."""
    c = constants(kind, **given)
    if kind == "gemm_sm90":
        cluster = c["CLUSTER_M"] * c["CLUSTER_N"]
        tiles = -(-m // (c["TILE_M"] * c["CLUSTER_M"])) * -(-n // (c["TILE_N"] * c["CLUSTER_N"]))
        return cluster * min(tiles, multiprocessors // cluster), 1
    if kind == "small_sm90":
        return -(-n // (64 * c["CONSUMERS"] * c["TOGETHER"])) * c["TOGETHER"] * c["SPLIT"], -(-m // c["TILE_T"])
    if kind == "gemm_mma":
        return -(-m // c["TILE_M"]) * -(-n // c["TILE_N"]), 1
    if kind == "thin":
        return -(-n // (16 * c["TILES"])), -(-m // c["TOKENS"])
    return -(-n // (c["ROWS"] * c["WARPS_N"])), 1
