"""Random layers on the GPU: their packed data, the kernel's parameters, and the exact reference in int64 / float64."""

import numpy as np
import torch

import build
import launch

KERNELS = {}


def kernel(kind, constants):
    key = kind, tuple(sorted(constants.items()))
    if key not in KERNELS:
        KERNELS[key] = launch.Kernel(build.path(kind, "90a", constants).read_bytes(), kind, **constants)
    return KERNELS[key]


def rand(low, high, *shape, dtype=torch.int8):
    return torch.randint(low, high + 1, shape, dtype=dtype, device="cuda")


def one(low, high):
    return int(torch.randint(low, high + 1, ()))


def scaled(a, m, s):
    return (a * m + (torch.ones_like(s) << (s - 1))) >> s


def tensor(v):
    return torch.tensor(v, dtype=torch.int64, device="cuda")


def product(v, g, q):
    """GatedProduct on int64."""
    y = scaled((v - q.value_zero) * (g - q.gate_zero), tensor(q.multiplier), tensor(q.shift)) + q.zero_point
    return y.clamp(q.low, q.high)


def column_parameters(n, depth, spread):
    """bias, multiplier, shift: mostly such that the int8 range is used, some at the edges."""
    deviation = spread * 80 * depth**0.5
    middle = max(32, round(31 + np.log2(deviation / 60)))
    bias = rand(-int(deviation) // 2, int(deviation) // 2, n, dtype=torch.int32)
    multiplier, shift = rand(1 << 30, (1 << 31) - 1, n, dtype=torch.int32), rand(middle, middle + 1, n, dtype=torch.int32)
    shift[0], shift[n // 2], shift[n - 1] = 32, 62, 33
    multiplier[n // 3] = 0
    multiplier[1 % n] = (1 << 31) - 1
    return bias, multiplier, shift


def order(kind, c):
    """Column -> logical index: of a pair 2 * channel + which."""
    n, pair = c["N"], c.get("PAIR", 0)
    if kind == "conv_mma":
        return np.arange(n)
    tile = c["TILE_N"]
    x = np.arange(tile)
    j, q, e = x // 8, x % 8 // 2, x % 2
    inner = 2 * (q * (tile // 8) + j) + e if pair else q * (tile // 4) + 2 * j + e
    return np.concatenate([b * tile + inner for b in range(n // tile)])


class Layer:
    """x: int8 [images, H, W, C] in place (its pitch's channels may hold anything)."""

    def __init__(self, name, op, kind, constants, extra, images, x, residual=None, gate=None, sums=None):
        self.name, self.op, self.kind, self.c, self.extra, self.images = name, op, kind, constants, extra, images
        self.x, self.residual, self.gate, self.sums = x, residual, gate, sums
        self.kernel = kernel(kind, constants)
        getattr(self, "make_" + op)()
        self.start = None

    def put(self, array):
        t = torch.from_numpy(np.ascontiguousarray(array)).cuda()
        self.keep.append(t)
        return t.data_ptr()

    def common(self, p, zero):
        c = self.c
        p.images, p.fill = self.images, int(np.uint32((zero & 255) * 0x01010101).view(np.int32))
        p.zero_point[:], p.low[:], p.high[:] = (one(-20, 20), one(-20, 20)), (one(-128, -110), -128), (one(110, 127), 127)
        p.x = self.x.data_ptr()
        self.tables = rand(-128, 127, 2, 256)
        if c.get("RESIDUAL"):
            self.p.residual = self.residual.data_ptr()
            self.p.sum = launch.Sum(one(-128, 127), one(-128, 127), one(1 << 18, 1 << 20), one(-(1 << 20), 1 << 20), 20, one(-30, 30), -127, 126)
        p.table = self.tables.data_ptr()

    def make_conv(self):
        c, self.keep, self.p = self.c, [], launch.Conv()
        p, n, real = self.p, c["N"], self.extra["real"]
        zero = self.zero = one(-128, 127) if one(0, 1) else one(-20, 20)
        depth = c["KH"] * c["KW"] * real
        self.common(p, zero)
        w = rand(-127, 127, n, c["KH"], c["KW"], c["C"])
        w[..., real:] = 0
        self.w = w
        self.columns = column_parameters(n, depth, 74)
        folded = self.columns[0].to(torch.int64) - zero * w.to(torch.int64).sum((1, 2, 3))
        assert folded.abs().max() < 1 << 31
        at = torch.from_numpy(order(self.kind, c)).cuda()
        packed = w[at]
        if self.kind == "conv_sm90":
            packed = packed.view(n // c["TILE_N"], c["TILE_N"], c["KH"], c["KW"], c["C"] // 16, 16).permute(0, 2, 3, 4, 1, 5).contiguous()
        data = [packed, folded.to(torch.int32)[at].contiguous(), self.columns[1][at].contiguous(), self.columns[2][at].contiguous()]
        self.keep += data
        p.weight, p.bias, p.multiplier, p.shift = (t.data_ptr() for t in data)
        p.product = launch.Product(one(-128, 127), one(0, 30), 1254792788, 38, one(-64, 20), -128, 127)
        if c.get("GATED"):
            p.gate = self.gate.data_ptr()
            p.gating = launch.Product(one(-128, 127), one(0, 1) * one(0, 30), one(1 << 30, (1 << 31) - 1), one(38, 39), one(-20, 20), -128, 127)
        self.channels = n // 2 if c.get("PAIR") else n
        self.out = torch.empty((self.images, c["OH"], c["OW"], -(-self.channels // 16) * 16), dtype=torch.int8, device="cuda")
        p.out = self.out.data_ptr()

    def make_depthwise(self):
        c, self.keep, self.p = self.c, [], launch.Conv()
        p, n = self.p, c["C"]
        zero = self.zero = one(-128, 127)
        self.common(p, zero)
        w = self.w = rand(-127, 127, c["KH"], c["KW"], n)
        self.columns = column_parameters(n, c["KH"] * c["KW"], 74)
        folded = (self.columns[0].to(torch.int64) - zero * w.to(torch.int64).sum((0, 1))).to(torch.int32)
        g = ((c["X"] - 1) * c["SX"] + c["KW"] + 3) // 4
        words = np.zeros((c["KH"], c["X"], g, n, 4), np.int8)
        wn = w.cpu().numpy()
        for x in range(c["X"]):
            for v in range(c["KW"]):
                at = x * c["SX"] + v
                words[:, x, at // 4, :, at % 4] = wn[:, v]
        p.weight = self.put(words)
        data = [folded, self.columns[1], self.columns[2]]
        self.keep += data
        p.bias, p.multiplier, p.shift = (t.data_ptr() for t in data)
        if c.get("SUMS"):
            if self.sums is None:
                self.sums = torch.zeros((self.images, n), dtype=torch.int32, device="cuda")
            p.sums = self.sums.data_ptr()
        self.channels = n
        self.out = torch.empty((self.images, c["OH"], c["OW"], n), dtype=torch.int8, device="cuda")
        p.out = self.out.data_ptr()

    def make_stem(self):
        c, self.keep, self.p = self.c, [], launch.Conv()
        p, n, real = self.p, c["N"], self.extra["real"]
        zero = self.zero = one(-128, 127)
        self.common(p, zero)
        w = rand(-127, 127, n, c["KH"], c["KW"], 4)
        w[..., real:] = 0
        self.w = w
        self.columns = column_parameters(n, c["KH"] * c["KW"] * real, 74)
        folded = (self.columns[0].to(torch.int64) - zero * w.to(torch.int64).sum((1, 2, 3))).to(torch.int32)
        data = [w.permute(1, 2, 0, 3).contiguous(), folded, self.columns[1], self.columns[2]]
        self.keep += data
        p.weight, p.bias, p.multiplier, p.shift = (t.data_ptr() for t in data)
        self.channels = n
        self.out = torch.empty((self.images, c["OH"], c["OW"], n), dtype=torch.int8, device="cuda")
        p.out = self.out.data_ptr()

    def make_pool(self):
        c, self.keep, self.p = self.c, [], launch.Conv()
        self.zero = 0
        self.common(self.p, 0)
        self.p.x = self.x.data_ptr()
        data = self.columns = [torch.tensor([v], dtype=torch.int32, device="cuda") for v in (one(-5000, 5000), one(1 << 30, (1 << 31) - 1), 36)]
        self.p.bias, self.p.multiplier, self.p.shift = (t.data_ptr() for t in data)
        self.channels = c["C"]
        self.out = torch.empty((self.images, 1, 1, c["C"]), dtype=torch.int8, device="cuda")
        self.p.out = self.out.data_ptr()

    def make_squeeze(self):
        c, self.keep, self.p = self.c, [], launch.Squeeze()
        p, pixels = self.p, self.extra["pixels"]
        n, mid, mids = c["C"], c["MID"], -(-c["MID"] // 16) * 16
        self.w1, w2 = rand(-127, 127, mid, n), rand(-127, 127, n, mids)
        w2[:, mid:] = 0
        self.w2 = w2
        self.c1, self.c2 = column_parameters(mid, n, 74), column_parameters(n, mid, 74)
        self.tables = rand(-128, 127, 2, 256)
        p.sums, p.down, p.up = self.sums.data_ptr(), self.w1.data_ptr(), w2.data_ptr()
        (p.bias_1, p.multiplier_1, p.shift_1), (p.bias_2, p.multiplier_2, p.shift_2) = ([t.data_ptr() for t in s] for s in (self.c1, self.c2))
        p.table_1, p.table_2 = self.tables[0].data_ptr(), self.tables[1].data_ptr()
        p.centre = pixels * one(-128, 127)
        # The sums are about pixels * 0 +- sqrt(pixels) * 74, or near uniform tables: use the range.
        p.mean_multiplier, p.mean_shift, p.mean_zero, p.mean_low, p.mean_high = (
            one(1 << 30, (1 << 31) - 1), max(32, round(31 + np.log2(pixels))), one(-60, 60), -128, 127)  # fmt: skip
        p.zero_1, p.low_1, p.high_1, p.zero_2, p.low_2, p.high_2 = one(-20, 20), -128, 127, one(-20, 20), -120, 127
        self.out = torch.empty((self.images, n), dtype=torch.uint8, device="cuda")
        self.channels = n
        p.gate = self.out.data_ptr()

    def prepare(self, multiprocessors, first=False):
        pdl = bool(self.c.get("PDL")) and not first
        self.start = self.kernel.prepare(self.p, self.images, multiprocessors, pdl)

    def run(self):
        self.start(torch.cuda.current_stream().cuda_stream)

    # The reference.
    def finish(self, acc, columns, which=0):
        """Rescale and table (both int64); acc without bias [..., n]."""
        b, m, s = (t.to(torch.int64) for t in columns)
        p = self.p
        y = (scaled(acc + b, m, s) + p.zero_point[which]).clamp(p.low[which], p.high[which])
        if self.c.get("PAIR") or self.c.get("TABLE"):
            t = self.tables[which]
            if which == 1 and not self.c.get("GATE_SIGNED"):
                t = t.view(torch.uint8)
            y = t.to(torch.int64)[y + 128]
        return y

    def taps(self, x):
        """Of each tap: x - zero at its positions, zeros in the padding, [images, OH, OW, C] float64."""
        c = self.c
        n, h, w, channels = x.shape
        top, left = c["TOP"], c["LEFT"]
        bottom = max(0, (c["OH"] - 1) * c["SY"] + (c["KH"] - 1) * c["DY"] + 1 - top - h)
        right = max(0, (c["OW"] - 1) * c["SX"] + (c["KW"] - 1) * c["DX"] + 1 - left - w)
        padded = torch.zeros((n, h + top + bottom, w + left + right, channels), dtype=torch.float64, device="cuda")
        padded[:, top : top + h, left : left + w] = x.double() - self.zero
        for u in range(c["KH"]):
            for v in range(c["KW"]):
                y0, x0 = u * c["DY"], v * c["DX"]
                yield u, v, padded[:, y0 : y0 + (c["OH"] - 1) * c["SY"] + 1 : c["SY"], x0 : x0 + (c["OW"] - 1) * c["SX"] + 1 : c["SX"]]

    def expected(self):
        c, p = self.c, self.p
        if self.op == "squeeze":
            a = self.sums.to(torch.int64) - p.centre
            mean = (scaled(a, tensor(p.mean_multiplier), tensor(p.mean_shift)) + p.mean_zero).clamp(p.mean_low, p.mean_high)
            b, m, s = (t.to(torch.int64) for t in self.c1)
            acc = (mean.double() @ self.w1.double().t()).to(torch.int64) + b
            mid = self.tables[0].to(torch.int64)[(scaled(acc, m, s) + p.zero_1).clamp(p.low_1, p.high_1) + 128]
            b, m, s = (t.to(torch.int64) for t in self.c2)
            acc = (mid.double() @ self.w2[:, : c["MID"]].double().t()).to(torch.int64) + b
            return self.tables[1].view(torch.uint8)[(scaled(acc, m, s) + p.zero_2).clamp(p.low_2, p.high_2) + 128]
        x = self.x
        if self.op == "pool":
            acc = x.to(torch.int64).sum((1, 2), keepdim=True)
            return self.finish(acc, self.columns).to(torch.int8)
        acc = torch.zeros((self.images, c["OH"], c["OW"], c.get("N", c.get("C"))), dtype=torch.float64, device="cuda")
        if c.get("GATED"):
            g = self.gate.view(torch.int8) if c.get("GATE_SIGNED") else self.gate
            x = product(x.to(torch.int64), g.to(torch.int64)[:, None, None, :], p.gating)
        for u, v, t in self.taps(x):
            if self.op == "depthwise":
                acc += t * self.w[u, v].double()
            else:
                real = self.extra["real"]
                acc += t[..., :real] @ self.w[:, u, v, :real].double().t()
        acc = acc.to(torch.int64)
        if c.get("PAIR"):
            f, g = (self.finish(acc[..., e::2], [t[e::2] for t in self.columns], e) for e in (0, 1))
            y = product(f, g, p.product)
        else:
            y = self.finish(acc, self.columns)
        if c.get("RESIDUAL"):
            q, r = p.sum, self.residual[..., : self.channels].to(torch.int64)
            t = (y - q.a_zero) * q.a_multiplier + (r - q.b_zero) * q.b_multiplier
            y = (((t + (1 << (q.shift - 1))) >> q.shift) + q.zero_point).clamp(q.low, q.high)
        return y.to(torch.int8)

    def check(self, when=""):
        """Compare what lies in out (and sums) with the reference."""
        wanted, got = self.expected(), self.out[..., : self.channels]
        if not torch.equal(got, wanted):
            bad = (got != wanted).nonzero()
            first = tuple(bad[0])
            raise AssertionError(f"{self.name} {when}: {len(bad)} of {wanted.numel()} wrong, first {bad[0].tolist()} last {bad[-1].tolist()}: "
                                 f"{got[first].item()} for {wanted[first].item()}")  # fmt: skip
        if self.op == "depthwise" and self.c.get("SUMS"):
            if not torch.equal(self.sums.to(torch.int64), wanted.to(torch.int64).sum((1, 2))):
                raise AssertionError(f"{self.name} {when}: sums")
        return wanted


def single(name, images, op, kind, constants, extra):
    """A layer on inputs of its own."""
    c = constants
    x = residual = gate = sums = None
    if op == "pool":
        x = rand(-128, 127, images, 7, c["PIXELS"] // 7, c["C"])
    elif op == "stem":
        x = rand(-128, 127, images, c["H"], c["W"], 4)
    elif op == "squeeze":
        sums = rand(-128 * extra["pixels"], 127 * extra["pixels"], images, c["C"], dtype=torch.int32)
    else:
        x = rand(-128, 127, images, c["H"], c["W"], c["C"])
        if c.get("RESIDUAL"):
            n = c["N"] // (2 if c.get("PAIR") else 1)
            residual = rand(-128, 127, images, c["OH"], c["OW"], -(-n // 16) * 16)
        if c.get("GATED"):
            gate = rand(0, 255, images, c["C"], dtype=torch.uint8)
    return Layer(name, op, kind, constants, extra, images, x, residual, gate, sums)


class Net:
    """Layers chained on real buffers."""

    def __init__(self, images, plan, multiprocessors):
        self.images, self.layers = images, []
        total = sum(c["C"] for _, op, _, c, _ in plan if op == "depthwise")
        self.sums = torch.zeros(total * images, dtype=torch.int32, device="cuda") if total else None
        used, x, sums, gate, block = 0, None, None, None, None
        for i, (name, op, kind, c, extra) in enumerate(plan):
            if i == 0:
                x = rand(-128, 127, images, c["H"], c["W"], c.get("C", 4))
                self.input = x
            if op == "depthwise":
                sums = self.sums[used : used + images * c["C"]].view(images, c["C"])
                used += images * c["C"]
            if name.endswith("expand"):
                block = x
            layer = Layer(name, op, kind, c, extra, images, x, block if c.get("RESIDUAL") else None, gate if c.get("GATED") else None, sums)
            layer.prepare(multiprocessors, first=i == 0)
            self.layers.append(layer)
            if op == "squeeze":
                gate = layer.out
            else:
                x = layer.out

    def run(self):
        if self.sums is not None:
            self.sums.zero_()
        for layer in self.layers:
            layer.run()

    def check(self, run):
        """Fresh inputs, poisoned outputs, each layer against the reference on what the one before left."""
        for poison in (77, -5 & 127):
            self.input.copy_(rand(-128, 127, *self.input.shape))
            for layer in self.layers:
                layer.out.fill_(poison)
            torch.cuda.synchronize()
            run()
            torch.cuda.synchronize()
            for layer in self.layers:
                layer.check(f"in the net, poison {poison}")
        return len(torch.unique(self.layers[-1].out))
