"""A transform of blocks of 32, block floating point and the product with weights in blocks: two kernels from the graph's nodes."""

import pathlib

import numpy as np

import plan as plans
from gated import C

TEMPLATES = pathlib.Path(__file__).parent / "templates"


class Quantize:
    """BlockTransform or Hadamard, (Rescale,) BlockQuantize. Attributes of the nodes, and the transform's matrices (or None)."""

    def __init__(self, kind, matrices, zero_point, rescale, quantize, after=0, batches=1):
        if quantize["block"] != 32 or quantize["digits"] or quantize["overflow"] or quantize["input_zero_point"]:
            raise NotImplementedError("blocks other than 32, minifloats, bumps")
        self.kind, self.matrices, self.zero, self.rescale, self.quantize = kind, matrices, zero_point, rescale, quantize
        self.given = {"AFTER": after, "BATCHES": batches}

    def source(self):
        a = self.quantize
        wide = self.kind == "int16"
        defines = {**self.given, "A16": int(wide), "HADAMARD": int(self.matrices is None), "ZERO_POINT": self.zero, "TOP": a["top"], "RULE": a["rule"],
                   "HIGH": a["high"], "LOW": a["low"], "ROUNDING": a["rounding"]}  # fmt: skip
        if self.rescale is None or self.rescale[0] == 1 << (self.rescale[1]):
            body = "return v;"
        else:
            m, s = self.rescale
            body = f"return (int)(((int64_t)v * {m} + (1LL << {s - 1})) >> {s});"
        return "\n".join([*(f"#define {k} ({v})" if k not in ("RULE",) else f"#define {k} {v}" for k, v in defines.items()), (TEMPLATES / "chain.cu").read_text(), f"typedef {C[self.kind]} X;",
                          f"__device__ __forceinline__ int rescaled(int v)\n{{\n{body}\n}}", (TEMPLATES / "block_quantize.cu").read_text()])  # fmt: skip

    def offsets(self):
        """int32 [n, 32]: what each result misses."""
        if self.matrices is None:
            return np.zeros(1, np.int32)
        return ((128 if self.kind == "int16" else 0) - self.zero) * self.matrices.astype(np.int32).sum(-1)

    def grid(self, m, k):
        tokens = (4 if self.kind == "int16" else 8) * self.given["BATCHES"]
        return -(-k // 128), -(-m // tokens)


class Product:
    """BlockMatMul and what follows, element by element, up to ``output``."""

    def __init__(self, plan, node, output, kind=0, **given):
        self.plan, self.kind = plan, kind
        self.given = {**({"ROWS": 2, "WARPS_N": 4, "WARPS_K": 1, "UNROLL": 1} if kind == 0 else {"NS": 2, "WARPS_K": 8, "UNROLL": 2}), "AFTER": 1, **given}
        self.columns, self._known = [], {}
        bias = plan["constants"][node[2][4]].astype(np.int64)
        low, high = self._parameter(bias & 0xFFFFFFFF), self._parameter(bias >> 32)
        chain = plans.Chain(plan, {node[3][0]: "sum"}, self._parameter)
        made = {o: n for n in plan["nodes"] for o in n[3]}
        order, v = [], output
        while v != node[3][0]:
            order.append(made[v])
            v = made[v][2][0]
        for n in reversed(order):
            chain.emit(n)
        self.words, self.output = chain.words, output
        self.chain = [f"const int64_t sum = a[0] + ((int64_t){high} << 32 | (uint32_t){low});", *(f"const {ln}" for ln in chain.lines), f"return {chain.of(output)};"]

    def _parameter(self, data):
        data = np.ascontiguousarray(data.astype(np.int64).astype(np.int32))
        key = data.tobytes()
        if key not in self._known:
            self._known[key] = len(self.columns)
            self.columns.append(data)
        return f"p.p{self._known[key]}"

    def source(self):
        defines = {**self.given, "KIND": self.kind, "WORDS": len(self.words)}
        count = len(self.columns)
        return "\n".join([*(f"#define {k} {v}" for k, v in defines.items()), (TEMPLATES / "chain.cu").read_text(),
            f"typedef {C[self.plan['values'][self.output][0]]} Y;\ntypedef int64_t Sum;\nstruct Columns {{", *(f"int p{i};" for i in range(count)),
            "__device__ __forceinline__ Columns(const int32_t *__restrict__ c, int n, int N)\n{", *(f"p{i} = __ldg(c + (int64_t){i} * N + n);" for i in range(count)), "}\n};",
            "__device__ __forceinline__ int chain(const Sum *a, const Columns &p, const int32_t *tables)\n{\n(void)p, (void)tables;", *self.chain, "}",
            (TEMPLATES / "block_product.cu").read_text()])  # fmt: skip

    def threads(self):
        return 32 * self.given["WARPS_K"] * self.given.get("WARPS_N", 1)

    def grid(self, m, n):
        g = self.given
        return (-(-n // (g["ROWS"] * g["WARPS_N"])), 1) if self.kind == 0 else (-(-n // 16), -(-m // (8 * g["NS"])))

    def pack(self, weights):
        """int8 [K, N] -> [N, K]; for KIND 1 16 bytes are 8 of each of two blocks."""
        w = np.ascontiguousarray(weights.T)
        if self.kind:
            n, k = w.shape
            w = w.reshape(n, k // 64, 2, 4, 8).transpose(0, 1, 3, 2, 4).reshape(n, k)
        return np.ascontiguousarray(w)
