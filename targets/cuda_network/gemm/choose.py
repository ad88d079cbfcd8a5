"""Which kernel for a product, by what was measured on an H100 (BENCHMARKS.md, "Products on a GPU")."""

from __future__ import annotations

from edgegate.targets.cuda_network.gemm import Instance

MULTIPROCESSORS = 132
"""Of the GPUs that the choice is made for; others compute the same, in another time."""
TILES: tuple[tuple[int, int, float, dict[str, int]], ...] = (
    (64, 64, 0.6, {"CONSUMERS": 1, "STAGES": 12}),
    (64, 128, 0.8, {"CONSUMERS": 1, "STAGES": 8}),
    (128, 64, 0.65, {"STAGES": 7}),
    (128, 128, 0.93, {"STAGES": 6}),
    (128, 128, 0.83, {"STAGES": 6, "PINGPONG": 1}),
    (128, 256, 0.97, {"STAGES": 4}),
)
"""Rows and columns of a tile, the share of the tensor cores' rate that its main loop reaches, and the constants."""
STORE = 0.19
"""Cycles that writing an element of a tile takes."""


def choose(m: int, n: int, k: int, capability: int, epilogue: dict[str, int]) -> Instance:
    """The kernel for C[m, n] = A[m, k] B[n, k]^T on GPUs of one compute capability.

    Args:
        m: Rows.
        n: Columns.
        k: A multiple of 16.
        capability: 10 times the major version plus the minor.
        epilogue: OUT_INT8, BIAS, PER_COLUMN, TABLE.
    """
    if m <= 4:
        return Instance(kind="gemv", given={**_vector(m, k), **epilogue})
    if m <= 8 or (capability < 90 and m <= 32):
        ways = 8 if k >= 4096 else 4
        return Instance(kind="thin", given={"TOKENS": _ceil(m, 8) * 8, "WARPS_K": ways, **epilogue})
    if capability // 10 != 9:
        return Instance(kind="gemm_mma", given={**_mma(m, n, capability), **epilogue})
    if m <= 64:
        return Instance(kind="small_sm90", given={**_small(m, n, k), **epilogue})
    store = int(n * (1 if epilogue["OUT_INT8"] else 4) % 16 == 0)
    return Instance(kind="gemm_sm90", given={**_persistent(m, n, k), "STORE_TMA": store, **epilogue})


def _vector(m: int, k: int) -> dict[str, int]:
    found = {"BATCH": m, "ROWS": 2 if m == 1 else 4}
    if k >= 4096:
        return {**found, "WARPS_N": 1, "WARPS_K": 4, "UNROLL": 3}
    return {**found, "UNROLL": 4 if m == 1 else 2}


def _mma(m: int, n: int, capability: int) -> dict[str, int]:
    if capability < 80:
        return {"TILE_N": 128, "TILE_K": 64, "WARPS_N": 2, "STAGES": 2}
    if _ceil(m, 128) * _ceil(n, 128) * 2 <= MULTIPROCESSORS:
        return {"TILE_M": 64, "TILE_N": 64, "TILE_K": 128, "WARPS_N": 2, "STAGES": 4}
    return {"TILE_N": 128, "TILE_K": 128, "WARPS_N": 2}


def _small(m: int, n: int, k: int) -> dict[str, int]:
    tokens = 16 if m <= 16 else 32 if m <= 32 else 64
    split = 2 if _ceil(n, 64) * 2 <= MULTIPROCESSORS and k >= 1024 else 1
    stages = max(2, min(200_000 // ((64 + tokens) * 128), _ceil(k, 128 * split)))
    return {"TILE_T": tokens, "CONSUMERS": 1, "SPLIT": split, "STAGES": stages}


def _persistent(m: int, n: int, k: int) -> dict[str, int]:
    """By the cycles of all waves, writing the tiles included; ping-pong hides all writing but the last."""
    found: dict[float, dict[str, int]] = {}
    for rows, columns, efficiency, constants in TILES:
        waves = _ceil(_ceil(m, rows) * _ceil(n, columns), MULTIPROCESSORS)
        multiply, write = rows * columns * _ceil(k, 128) * 128 / 4096 / efficiency, rows * columns * STORE
        hidden = bool(constants.get("PINGPONG"))
        if not hidden or waves > 1:
            cycles = waves * multiply + (1 if hidden else waves) * write
            found.setdefault(cycles, {"TILE_M": rows, "TILE_N": columns, **constants})
    return found[min(found)]


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
