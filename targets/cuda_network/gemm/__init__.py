"""int8 products on tensor cores: from templates of CUDA C++ to kernels.

``C[m, n] = finish(A[m, k] B[n, k]^T)``, both operands row-major along k, a multiple of 16; exact int32 sums, and behind
them a bias per column, the rescale to int8 and a table (``common.cu``).

============  =====================================================  ==================
kind          what                                                   from
============  =====================================================  ==================
gemm_sm90     persistent, TMA and wgmma, specialised warps           sm_90a
small_sm90    few rows: operands swapped, k split over a cluster     sm_90a
gemm_mma      cp.async, ldmatrix and mma.sync                        sm_80; sm_75 slow
thin          1 to 32 rows, mma.sync straight from memory            sm_75
gemv          1 to 8 rows, dot products of four bytes                sm_75
============  =====================================================  ==================

PTX ISA 8.0, sections "wgmma.mma_async", "cp.async.bulk.tensor", "mma.sync".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files

PARTS = {
    "gemm_sm90": ("common", "hopper", "wgmma", "gemm_sm90"),
    "small_sm90": ("common", "hopper", "wgmma", "small_sm90"),
    "gemm_mma": ("common", "gemm_mma"),
    "gemv": ("common", "gemv"),
    "thin": ("common", "thin"),
}
DEFAULTS = {
    "gemm_sm90": {
        "TILE_M": 128, "TILE_N": 256, "STAGES": 4, "CONSUMERS": 2, "CLUSTER_M": 1, "CLUSTER_N": 1, "GROUP": 8,
        "STORE_TMA": 1, "STAGING": 1, "PINGPONG": 0, "EVICT_FIRST": 0,
    },
    "small_sm90": {"TILE_T": 32, "CONSUMERS": 2, "STAGES": 8, "SPLIT": 4, "TOGETHER": 1},
    "gemm_mma": {
        "TILE_M": 128, "TILE_N": 256, "TILE_K": 64, "WARPS_M": 2, "WARPS_N": 4, "STAGES": 3, "GROUP": 8,
    },
    "gemv": {"BATCH": 1, "ROWS": 4, "WARPS_N": 4, "WARPS_K": 1, "UNROLL": 4},
    "thin": {"TOKENS": 8, "TILES": 1, "WARPS_K": 4, "UNROLL": 4},
}  # fmt: skip
EPILOGUE = {"OUT_INT8": 0, "BIAS": 0, "PER_COLUMN": 1, "TABLE": 0}


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A kernel: a template and its constants.

    Attributes:
        kind: Name of the template.
        given: The constants that are not the default.
    """

    kind: str
    given: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := set(self.given) - {*EPILOGUE, *DEFAULTS[self.kind]}:
            raise ValueError(f"{self.kind} has no constant {', '.join(sorted(unknown))}")

    @property
    def constants(self) -> dict[str, int]:
        """All of them."""
        return {**EPILOGUE, **DEFAULTS[self.kind], **self.given}

    @property
    def name(self) -> str:
        """Of the kernel in its text."""
        return self.kind if self.kind in ("gemv", "thin") else "gemm"

    def text(self) -> str:
        """CUDA C++."""
        columns = {"gemm_sm90": "TILE_N", "small_sm90": "TILE_T"}.get(self.kind)
        texts = [f"#define {name} {value}" for name, value in self.constants.items()]
        for part in PARTS[self.kind]:
            texts.append(wgmma(self.constants[str(columns)]) if part == "wgmma" else template(__name__, part))
        return "\n".join(texts)

    def shared(self) -> int:
        """Bytes of dynamic shared memory."""
        return SHARED[self.kind](self.constants) if self.kind in SHARED else 0

    def threads(self) -> int:
        """Of a block."""
        c = self.constants
        if self.kind == "gemm_sm90":
            return 128 * (c["CONSUMERS"] + 1)
        if self.kind == "small_sm90":
            return 128 * c["CONSUMERS"] + 32
        if self.kind == "thin":
            return 32 * c["WARPS_K"]
        return 32 * c["WARPS_N"] * (c["WARPS_M"] if self.kind == "gemm_mma" else c["WARPS_K"])

    def grid(self, m: int, n: int) -> tuple[int, int, int]:
        """Blocks along x, y and z for a result of m rows and n columns: of the persistent kernel as many as tiles."""
        c = self.constants
        if self.kind == "small_sm90":
            across = _ceil(n, 64 * c["CONSUMERS"] * c["TOGETHER"]) * c["TOGETHER"] * c["SPLIT"]
            return across, _ceil(m, c["TILE_T"]), 1
        if self.kind == "thin":
            return _ceil(n, 16 * c["TILES"]), _ceil(m, c["TOKENS"]), 1
        if self.kind == "gemv":
            return _ceil(n, c["ROWS"] * c["WARPS_N"]), 1, 1
        return _ceil(m, c["TILE_M"]) * _ceil(n, c["TILE_N"]), 1, 1


def _persistent_shared(c: dict[str, int]) -> int:
    stage = (c["TILE_M"] + c["TILE_N"]) * 128
    kept = 12 * c["TILE_N"] * c["CONSUMERS"] if (c["OUT_INT8"] and c["PER_COLUMN"]) or c["BIAS"] else 0
    boxes = c["CONSUMERS"] * c["STAGING"] * 64 * min(128, c["TILE_N"] * (1 if c["OUT_INT8"] else 4))
    return c["STAGES"] * stage + boxes + 16 * c["STAGES"] + 16 + 256 + kept


def _small_shared(c: dict[str, int]) -> int:
    rows = 64 * c["CONSUMERS"]
    ring = c["STAGES"] * (rows + c["TILE_T"]) * 128
    part = c["TILE_T"] // c["SPLIT"] * (rows + 4) * 4
    return 1024 + max(ring, part * c["SPLIT"]) + part * (c["SPLIT"] - 1) + 16 * c["STAGES"] + 8 + 256


def _mma_shared(c: dict[str, int]) -> int:
    ring = c["STAGES"] * (c["TILE_M"] + c["TILE_N"]) * c["TILE_K"]
    return max(ring, c["OUT_INT8"] * c["TILE_M"] * (c["TILE_N"] + 16)) + 256


SHARED = {"gemm_sm90": _persistent_shared, "small_sm90": _small_shared, "gemm_mma": _mma_shared}


def template(package: str, name: str) -> str:
    """A template of a package."""
    return files(package).joinpath(f"{name}.cu").read_text(encoding="utf-8")


def wgmma(columns: int) -> str:
    """The instruction of one width: its list of operands has columns / 2 registers."""
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


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
