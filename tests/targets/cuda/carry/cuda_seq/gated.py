"""Layers that read one input, and the element-wise chain behind them, as one kernel: gate and up of SwiGLU, a masked pair."""

import pathlib

import numpy as np

import plan as plans

TEMPLATES = pathlib.Path(__file__).parent / "templates"
DEFAULTS = {
    "gemv": {"BATCH": 1, "UNITS": 1, "WARPS_N": 4, "WARPS_K": 1, "UNROLL": 4, "AFTER": 0},
    "sm90": {"TILE_M": 128, "TILE_N": 128, "STAGES": 6, "CONSUMERS": 2, "CLUSTER_M": 1, "CLUSTER_N": 1, "GROUP": 8, "PINGPONG": 0},
    "thin": {"TOKENS": 16, "TILES": 1, "WARPS_K": 4, "UNROLL": 2, "AFTER": 0},
}
C = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "int32": "int32_t"}


class Gated:
    """
    Args:
        plan: That the nodes are from.
        products: Names of the values that the products make (MatMul, MatMul16x8, MaskedMatMul), one or two.
        output: Name of the value that goes out.
        kind: gemv or thin.
    """

    def __init__(self, plan, products, output, kind="gemv", force_wide=False, **given):
        self.force_wide = force_wide
        self.plan, self.output, self.kind = plan, output, kind
        self.made = {o: n for n in plan["nodes"] for o in n[3]}
        self.products = [self.made[p] for p in products]
        self.x = self.products[0][2][0]
        if any(n[2][0] != self.x for n in self.products):
            raise NotImplementedError("products of several inputs")
        self.a16 = plan["values"][self.x][0] == "int16"
        self.masked = self.products[0][0] == "MaskedMatMul"
        self.masks = self._constant(self.products[0], 2).shape[0] if self.masked else 0
        self.given = {**DEFAULTS[kind], **given}
        self.columns, self._known = [], {}
        self._write()

    def _constant(self, node, i):
        return self.plan["constants"][node[2][i]]

    def _parameter(self, data):
        data = np.ascontiguousarray(data.astype(np.int64).astype(np.int32))
        key = data.tobytes()
        if key not in self._known:
            self._known[key] = len(self.columns)
            self.columns.append(data)
        return f"p.p{self._known[key]}"

    def _wide(self, data):
        low, high = self._parameter(data & 0xFFFFFFFF), self._parameter(data >> 32)
        return f"((int64_t){high} << 32 | (uint32_t){low})"

    def _write(self):
        names, narrow, lines = {}, {}, []
        self.wide = False
        for s, node in enumerate(self.products):
            op, a, inputs, outputs = node
            w, bias = self._constant(node, 1).astype(np.int64), self._constant(node, 3 if self.masked else 2).astype(np.int64)
            if self.masked:
                if self.a16 or len(self.products) > 1:
                    raise NotImplementedError("a masked product of int16")
                n = w.shape[1]
                bits = np.unpackbits(self._constant(node, 2), axis=-1, count=n, bitorder="little").astype(np.int64)
                split = next(m for m in self.plan["nodes"] if m[0] == "onnx.Split" and m[2][0] == outputs[0])
                for i in range(self.masks):
                    for h in range(2):
                        part = (w * (bits[i] == 1 - h)).sum(0)
                        b = self._parameter(bias.reshape(self.masks, 2, n)[i, h] - a["x_zero_point"] * part)
                        name = split[3][2 * i + h]
                        names[name], narrow[name] = f"m{i}_{h}", True
                        lines.append(f"const int m{i}_{h} = {f'a[0] - a[{i + 1}]' if h else f'a[{i + 1}]'} + {b};")
                continue
            magnitude = 1 << 15 if self.a16 else 256
            fits = not self.force_wide and plans.accumulator_fits(w, bias, magnitude)
            if self.a16 and self.kind != "gemv":
                bias = bias + 128 * w.sum(0)
            if not self.a16:
                bias = bias - a["a_zero_point"] * w.sum(0)
            self.wide |= not fits
            if self.a16 and self.kind == "gemv":  # a lane's sum
                each = -(-w.shape[0] // (512 * self.given["WARPS_K"])) * 16
                if each * int(np.abs(w).max(initial=0)) << 15 >= 1 << 31:
                    raise NotImplementedError(f"a lane sums {each} products: more WARPS_K")
            names[outputs[0]], narrow[outputs[0]] = f"sum{s}", fits
            lines.append((s, fits, bias))
        written = []
        for ln in lines:
            if isinstance(ln, tuple):
                s, fits, bias = ln
                written.append(f"const int sum{s} = (int)(a[{s}] + {self._parameter(bias)});" if fits else f"const int64_t sum{s} = a[{s}] + {self._wide(bias)};")
            else:
                written.append(ln)
        chain = plans.Chain(self.plan, names, self._parameter)
        chain.narrow = narrow
        needed, stack = set(), [self.output]
        while stack:
            v = stack.pop()
            node = self.made.get(v)
            if v in names or node is None or id(node) in needed:
                continue
            needed.add(id(node))
            stack += [i for i in node[2] if i and i not in self.plan["constants"]]
        for node in self.plan["nodes"]:
            if id(node) in needed:
                chain.emit(node)
        self.words = chain.words
        self.chain = [*written, *(f"const {ln}" for ln in chain.lines), f"return {chain.of(self.output)};"]

    def source(self):
        x, y = (C[self.plan["values"][v][0]] for v in (self.x, self.output))
        defines = {**self.given, "A16": int(self.a16), "MASKS": self.masks, "MATRICES": len(self.products), "WORDS": len(self.words)}
        count = len(self.columns)
        return "\n".join([
            *(f"#define {k} {v}" for k, v in defines.items()), (TEMPLATES / "chain.cu").read_text(),
            f"typedef {x} X;\ntypedef {y} Y;\ntypedef {'int64_t' if self.wide else 'int'} Sum;",
            "// The parameters of column n.\nstruct Columns {", *(f"int p{i};" for i in range(count)),
            "__device__ __forceinline__ Columns(const int32_t *__restrict__ c, int n, int N)\n{",
            "(void)c, (void)n, (void)N;", *(f"p{i} = {'c[' if self.kind == 'sm90' else '__ldg(c + (int64_t)'}{i} * N + n{']' if self.kind == 'sm90' else ')'};" for i in range(count)), "}\n};",
            f"__device__ __forceinline__ int chain(const Sum *a, const Columns &p, const int32_t *tables)\n{{\n(void)p, (void)tables;",
            *self.chain, "}", *self._hopper(), (TEMPLATES / f"gated_{self.kind}.cu").read_text(),
        ])  # fmt: skip

    def _hopper(self):
        if self.kind != "sm90":
            return []
        count = self.given["TILE_N"] // 2
        names, outputs = ", ".join(f"%{i}" for i in range(count)), ", ".join(f'"+r"(d[{i}])' for i in range(count))
        return [(pathlib.Path(__file__).parents[5] / "targets/cuda_network/gemm/hopper.cu").read_text(), f"""
#define PAIR {int(len(self.products) == 2)}
#define COLUMNS {len(self.columns)}
// d (+)= 64 x 32 of A times ({2 * count} x 32 of B)^T; more == 0: d is overwritten ("scale-d").
__device__ __forceinline__ void wgmma(int (&d)[{count}], uint64_t a, uint64_t b, int more)
{{
    asm volatile(
        "{{\\n.reg .pred p;\\nsetp.ne.b32 p, %{count + 2}, 0;\\n"
        "wgmma.mma_async.sync.aligned.m64n{2 * count}k32.s32.s8.s8 {{{names}}}, %{count}, %{count + 1}, p;\\n}}"
        : {outputs}
        : "l"(a), "l"(b), "r"(more));
}}
"""]

    def shared(self):
        """Bytes of dynamic shared memory."""
        if self.kind != "sm90":
            return 0
        g, pair = self.given, len(self.products) == 2
        units = g["TILE_N"] // 2 if pair else g["TILE_N"]
        boxes = 4 * g["CONSUMERS"] * (32 if pair else 8) * units
        return g["STAGES"] * (g["TILE_M"] + g["TILE_N"]) * 128 + boxes + 16 * g["STAGES"] + 16 + 4 * len(self.words) + 4 * g["CONSUMERS"] * len(self.columns) * units

    def threads(self):
        if self.kind == "sm90":
            return 128 * (self.given["CONSUMERS"] + 1)
        return 32 * self.given["WARPS_K"] * self.given.get("WARPS_N", 1)

    def grid(self, m, n):
        g = self.given
        if self.kind == "sm90":  # m, n: rows and columns of the product
            return min(132, -(-m // g["TILE_M"]) * -(-n // g["TILE_N"])), 1
        if self.kind == "gemv":
            return -(-n // (g["UNITS"] * g["WARPS_N"])), 1
        return -(-n // (16 * g["TILES"])), -(-m // g["TOKENS"])

    @staticmethod
    def pack_masks(masks, columns):
        """uint8 [m, K, ceil(N / 8)] -> uint32 [N, K / 32, m]."""
        bits = np.unpackbits(masks, axis=-1, count=columns, bitorder="little")  # m, K, N
        m, k, n = bits.shape
        words = np.zeros((n, k // 32, m), np.uint32)
        grouped = bits.transpose(2, 1, 0).reshape(n, k // 32, 8, 4, m).astype(np.uint32)
        for j in range(8):
            for b in range(4):
                words |= grouped[:, :, j, b] << np.uint32(8 * b + 7 - j)
        return words
