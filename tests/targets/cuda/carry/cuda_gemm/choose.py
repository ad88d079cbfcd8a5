"""Which kernel, with which constants, for a product: from times measured on an H100 (notes.md)."""

SHARED = {75: 65536, 80: 166912, 86: 101376, 87: 166912, 89: 101376, 90: 232448}


def choose(m, n, k, capability=90, multiprocessors=132, **epilogue):
    """(kind, constants) for C[m, n] = A[m, k] x B[n, k]^T; epilogue: OUT_INT8, BIAS, PER_COLUMN, TABLE."""
    if k % 16:
        raise ValueError("K is no multiple of 16: pad the operands")
    item = 1 if epilogue.get("OUT_INT8") else 4
    if m <= 4:
        ways = {"WARPS_N": 1, "WARPS_K": 4, "UNROLL": 3} if k >= 4096 else {"WARPS_N": 4, "WARPS_K": 1, "UNROLL": 4}
        if m > 1 and k < 4096:
            ways["UNROLL"] = 2
        return "gemv", {"BATCH": m, "ROWS": 2 if m == 1 else 4, **ways, **epilogue}
    if m <= 8 or capability < 90 and m <= 32:
        return "thin", {"TOKENS": -(-m // 8) * 8, "WARPS_K": 8 if k >= 4096 else 4, "UNROLL": 4, **epilogue}
    if capability < 90:
        if capability < 80:
            return "gemm_mma", {"TILE_M": 128, "TILE_N": 128, "TILE_K": 64, "WARPS_M": 2, "WARPS_N": 2, "STAGES": 2, **epilogue}
        tiles = -(-m // 128) * -(-n // 128)
        if tiles * 2 <= multiprocessors:
            return "gemm_mma", {"TILE_M": 64, "TILE_N": 64, "TILE_K": 128, "WARPS_M": 2, "WARPS_N": 2, "STAGES": 4, **epilogue}
        return "gemm_mma", {"TILE_M": 128, "TILE_N": 128, "TILE_K": 128, "WARPS_M": 2, "WARPS_N": 2, "STAGES": 3, **epilogue}
    if m <= 64:
        tokens = 16 if m <= 16 else 32 if m <= 32 else 64
        split = 2 if -(-n // 64) * 2 <= multiprocessors and k >= 1024 else 1
        stages = max(2, min(200_000 // ((64 + tokens) * 128), -(-k // 128 // split)))
        return "small_sm90", {"TILE_T": tokens, "CONSUMERS": 1, "SPLIT": split, "STAGES": stages, **epilogue}
    # Persistent tiles: cycles of all waves, the store of a tile included; ping-pong hides all stores but the last.
    best = None
    for rows, columns, efficiency, constants in (
        (64, 64, 0.6, {"CONSUMERS": 1, "STAGES": 12}),
        (64, 128, 0.8, {"CONSUMERS": 1, "STAGES": 8}),
        (128, 64, 0.65, {"STAGES": 7}),
        (128, 128, 0.93, {"STAGES": 6}),
        (128, 128, 0.83, {"STAGES": 6, "PINGPONG": 1}),
        (128, 256, 0.97, {"STAGES": 4}),
    ):
        waves = -(-(-(-m // rows) * -(-n // columns)) // multiprocessors)
        multiply, store = rows * columns * -(-k // 128) * 128 / 4096 / efficiency, rows * columns * 0.19
        pong = constants.get("PINGPONG")
        if pong and waves == 1:
            continue
        cycles = waves * multiply + (1 if pong else waves) * store
        if best is None or cycles < best[0]:
            best = cycles, {"TILE_M": rows, "TILE_N": columns, **constants}
    constants = best[1]
    return "gemm_sm90", {**constants, "STORE_TMA": int(n * item % 16 == 0), **epilogue}
