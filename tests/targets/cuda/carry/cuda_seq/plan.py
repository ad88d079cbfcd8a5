"""Integer graphs as plain Python (no onnx_ir on the device machine), a slow exact reference, and the C of element-wise chains.

A plan: nodes [(op, attributes, inputs, outputs)] in order, constants {name: array}, values {name: (dtype, shape)},
inputs and outputs by name.
"""

import numpy as np

TYPES = {3: np.int8, 2: np.uint8, 5: np.int16, 6: np.int32, 7: np.int64}
C_TYPES = {"int64": "int64_t"}  # everything narrower is an int
PRODUCTS = ("MatMul", "MatMul16x8", "MaskedMatMul")


def of_graph(graph, outer=None):
    """The plan of an onnx_ir graph; ``outer``: constants seen from outside are found through the values themselves."""
    import onnx_ir as ir

    plan = {"nodes": [], "constants": {}, "values": {}, "inputs": [v.name for v in graph.inputs], "outputs": [v.name for v in graph.outputs]}

    def note(v):
        if v is None:
            return None
        if v.dtype is not None and v.shape is not None:
            dtype = {"FLOAT": "float32"}.get(v.dtype.name, v.dtype.name.lower())
            plan["values"][v.name] = (dtype, tuple(int(d) for d in v.shape))
        if v.const_value is not None:
            plan["constants"][v.name] = v.const_value.numpy()
        return v.name

    for v in [*graph.inputs, *graph.outputs]:
        note(v)
    for node in graph:
        attributes = {}
        for k, a in node.attributes.items():
            attributes[k] = of_graph(a.value) if a.type == ir.AttributeType.GRAPH else a.value
        op = node.op_type if node.domain == "edgegate" else "onnx." + node.op_type
        plan["nodes"].append((op, attributes, [note(v) for v in node.inputs], [note(v) for v in node.outputs]))
    return plan


# ---- the reference ----


def _scale(x, m, s):
    s = s.astype(np.int64)
    return (x * m.astype(np.int64) + (np.int64(1) << (s - 1))) >> s


def _clip(y, a):
    return np.clip(y + a["output_zero_point"], a["low"], a["high"]).astype(TYPES[a["to"]])


def apply(op, a, x):
    """One op on arrays, in int64."""
    wide = [v.astype(np.int64) if isinstance(v, np.ndarray) and v.dtype.kind in "iu" else v for v in x]
    if op == "MatMul":
        return ((wide[0] - a["a_zero_point"]) @ (wide[1] - a["b_zero_point"]) + wide[2]).astype(np.int32)
    if op == "MatMul16x8":
        return wide[0] @ wide[1] + wide[2]
    if op == "MatMul16":
        return np.matmul(wide[0] - a["a_zero_point"], wide[1] - a["b_zero_point"])
    if op == "MaskedMatMul":
        bits = np.unpackbits(x[2], axis=-1, count=x[1].shape[1], bitorder="little").astype(np.int64)
        rows = wide[0] - a["x_zero_point"]
        halves = np.stack([wide[1] * bits, wide[1] * (1 - bits)], 1).transpose(2, 0, 1, 3).reshape(len(x[1]), -1)
        return (rows @ halves + wide[3]).astype(x[3].dtype)
    if op == "Rescale":
        return _clip(_scale(wide[0] - a["input_zero_point"], x[1], x[2]), a)
    if op == "Add":
        s = (wide[0] - a["a_zero_point"]) * a["a_multiplier"] + (wide[1] - a["b_zero_point"]) * a["b_multiplier"]
        return _clip((s + (1 << (a["shift"] - 1))) >> a["shift"], a)
    if op == "GatedProduct":
        return _clip(_scale((wide[0] - a["value_zero_point"]) * (wide[1] - a["gate_zero_point"]), x[2], x[3]), a)
    if op == "Table":
        return x[1][wide[0] + a["offset"]]
    if op == "Table16":
        index, fraction, knots = (wide[0] >> 7) + 256, wide[0] & 127, wide[1]
        return ((knots[index] << 7) + (knots[index + 1] - knots[index]) * fraction).astype(np.int32)
    if op == "onnx.Reshape" and x[0].size != abs(int(np.prod(x[1]))):
        return x[0]  # another batch than the graph's
    if op == "onnx.Reshape":
        return x[0].reshape([int(d) if d else x[0].shape[i] for i, d in enumerate(x[1])])
    if op == "onnx.Transpose":
        return x[0].transpose(a["perm"])
    if op == "onnx.Split":
        return tuple(np.split(x[0], np.cumsum(x[1])[:-1], a["axis"]))
    simple = {"onnx.Add": np.add, "onnx.Sub": np.subtract, "onnx.Mul": np.multiply, "onnx.Max": np.maximum, "onnx.Min": np.minimum}
    return simple[op](*x)


def run(plan, given, until=None):
    """All values of a plan, from its inputs by name. A Scan runs its body for every step."""
    known = {**plan["constants"], **given}
    for op, a, inputs, outputs in plan["nodes"]:
        if op in ("onnx.QuantizeLinear", "onnx.DequantizeLinear"):
            continue
        if all(o in known for o in outputs):
            continue  # given
        x = [known[i] if i else None for i in inputs]
        if op == "onnx.Scan":
            body, count = a["body"], a["num_scan_inputs"]
            y = scan(body, x[: len(x) - count], x[len(x) - count :])
        else:
            y = apply(op, a, x)
        for name, value in zip(outputs, y if isinstance(y, tuple) else (y,)):
            known[name] = value
    return known


def scan(body, states, sequences):
    """States at the end, and sequences out."""
    made = []
    for t in range(len(sequences[0])):
        known = run(body, dict(zip(body["inputs"], [*states, *(s[t] for s in sequences)])))
        out = [known[o] for o in body["outputs"]]
        states = out[: len(states)]
        made.append(out[len(states) :])
    return (*states, *(np.stack(m) for m in zip(*made)))


# ---- element-wise chains in C ----


class Chain:
    """Writes the C of element-wise nodes, one element at a time.

    ``names``: value -> C expression of what is known. ``parameter(array)``: C expression of an int32 per element (of the last
    axis). Tables are collected in ``words`` (int32), to stand in shared memory as ``const int32_t *tables``.
    """

    fused = False  # True: products that are added up are written as mad.wide.s32 (one instruction; nvcc takes up to five)

    def __init__(self, plan, names, parameter, tables="tables"):
        self.plan, self.names, self.parameter, self.tables = plan, dict(names), parameter, tables
        self.words, self._known, self.lines, self.count = [], {}, [], 0
        self.ranges = {}  # value -> least and greatest, where that is less than its type

    def table(self, name):
        """Where a table begins: 513 knots as 512 words (slope << 16 | knot), 256 entries as 256 words."""
        data = self.plan["constants"][name].astype(np.int64)
        key = data.tobytes()
        if key not in self._known:
            self._known[key] = len(self.words)
            words = (np.diff(data) << 16) + (data[:-1] & 0xFFFF) if len(data) == 513 else data
            self.words += [int(w) for w in (words & 0xFFFFFFFF).astype(np.uint32).view(np.int32)]
        return self._known[key]

    def scalar(self, name):
        """A literal where all entries are equal, else a parameter."""
        data = self.plan["constants"][name]
        flat = data.reshape(-1)
        return str(int(flat[0])) if (flat == flat[0]).all() else self.parameter(flat.astype(np.int32))

    def of(self, name):
        return self.names[name]

    def kind(self, name):
        return self.plan["values"][name][0]

    def range_of(self, name):
        """Least and greatest value; None: not known."""
        if name in self.ranges:
            return self.ranges[name]
        bits = {"int8": 7, "int16": 15, "int32": 31}.get(self.kind(name))
        return (0, 255) if self.kind(name) == "uint8" else None if bits is None else (-(1 << bits), (1 << bits) - 1)

    def scaled(self, product, multiplier, shift, a, wide, reach):
        """clip((product * multiplier + half >> shift) + zero point); ``reach``: what product lies in, or None."""
        half = f"(1LL << ({shift} - 1))"
        left = product if wide else f"(int64_t)({product})"
        text = f"(int)(({left} * {multiplier} + {half}) >> {shift})"
        if self.fused and not wide:
            text = f"(int)(mad_wide({product}, {multiplier}, {half}) >> {shift})"
        if not (multiplier.isdigit() and shift.isdigit()) or reach is None:
            return self.clipped(text, a, None)
        m, s = int(multiplier), int(shift)
        if m and not m & (m - 1) and s >= m.bit_length() and not wide:  # a power of two: 32 bits do
            s2 = s - m.bit_length() + 1
            if s2 < 31 and max(-reach[0], reach[1]) + (1 << (s2 - 1)) < 1 << 31:
                text = f"(({product} + {1 << (s2 - 1)}) >> {s2})"
        return self.clipped(text, a, tuple((r * m + (1 << (s - 1))) >> s for r in reach))

    def clipped(self, y, a, reach):
        """No limit that nothing reaches. Leaves the range in ``self.reached``."""
        zero = a["output_zero_point"]
        y = f"{y} + {zero}" if zero else y
        low, high = a["low"], a["high"]
        self.reached = (low, high) if reach is None else tuple(min(max(r + zero, low), high) for r in reach)
        if reach is None or reach[0] + zero < low:
            y = f"max({y}, {low})"
        if reach is None or reach[1] + zero > high:
            y = f"min({y}, {high})"
        return y

    def emit(self, node):
        """A node: its line, and the names of its outputs."""
        op, a, inputs, outputs = node
        y = outputs[0]
        small = [self.kind(i) in ("int8", "uint8", "int16") for i in inputs if i]

        def centred(name, zero):
            return f"({self.of(name)} - {zero})" if zero else self.of(name)

        self.reached = None
        if op in ("onnx.Reshape",):
            self.names[y] = self.of(inputs[0])
            if inputs[0] in self.ranges:
                self.ranges[y] = self.ranges[inputs[0]]
            return
        if op == "Rescale":
            x, wide = self.of(inputs[0]), self.kind(inputs[0]) == "int64" and not getattr(self, "narrow", {}).get(inputs[0])
            if a["input_zero_point"]:
                x, wide = (f"({x} - {a['input_zero_point']})", wide) if small[0] else (f"((int64_t){x} - {a['input_zero_point']})", True)
            reach = self.range_of(inputs[0])
            reach = reach and (reach[0] - a["input_zero_point"], reach[1] - a["input_zero_point"])
            text = self.scaled(x, self.scalar(inputs[1]), self.scalar(inputs[2]), a, wide, reach)
        elif op == "Add":
            terms = []
            for name, zero, factor, fits in zip(inputs, (a["a_zero_point"], a["b_zero_point"]), (a["a_multiplier"], a["b_multiplier"]), small):
                factor = f"{factor}" if abs(factor) < 1 << 31 else f"{factor}LL"
                terms.append(f"(int64_t)({centred(name, zero)}) * {factor}")
            total = f"({' + '.join(terms)} + (1LL << {a['shift'] - 1}))"
            factors = [a["a_multiplier"], a["b_multiplier"]]
            if self.fused and all(small) and all(abs(f) < 1 << 31 for f in factors):
                x = [centred(inputs[0], a["a_zero_point"]), centred(inputs[1], a["b_zero_point"])]
                # The value that is known last goes last.
                x = [f"{v}, {f}" for v, f in zip(x, factors)]
                total = f"mad_wide({x[1]}, mad_wide({x[0]}, 1LL << {a['shift'] - 1}))"
            reach = [1 << (a["shift"] - 1)] * 2
            for name, zero, factor in zip(inputs, (a["a_zero_point"], a["b_zero_point"]), (a["a_multiplier"], a["b_multiplier"])):
                ends = sorted((r - zero) * factor for r in self.range_of(name))
                reach = [reach[0] + ends[0], reach[1] + ends[1]]
            text = self.clipped(f"(int)({total} >> {a['shift']})", a, [r >> a["shift"] for r in reach])
        elif op == "GatedProduct":
            v, g = centred(inputs[0], a["value_zero_point"]), centred(inputs[1], a["gate_zero_point"])
            narrow = all(small[:2])
            product = f"({v} * {g})" if narrow else f"((int64_t){v} * {g})"
            ends = [(p - a["value_zero_point"]) * (q - a["gate_zero_point"]) for p in self.range_of(inputs[0]) for q in self.range_of(inputs[1])]
            text = self.scaled(product, self.scalar(inputs[2]), self.scalar(inputs[3]), a, not narrow, (min(ends), max(ends)))
        elif op == "Table":
            text = f"{self.tables}[{self.table(inputs[1]) + a['offset']} + {self.of(inputs[0])}]"
            data = self.plan["constants"][inputs[1]]
            self.reached = int(data.min()), int(data.max())
        elif op == "Table16":
            at, x = self.table(inputs[1]) + 256, self.of(inputs[0])
            text = f"knots({self.tables}[{at} + ({x} >> 7)], {x} & 127)"
            data = self.plan["constants"][inputs[1]]
            self.reached = int(data.min()) << 7, int(data.max()) << 7
        elif op in ("onnx.Add", "onnx.Sub", "onnx.Mul"):
            text = f"{self.of(inputs[0])} {'+-*'[('onnx.Add', 'onnx.Sub', 'onnx.Mul').index(op)]} {self.of(inputs[1])}"
        elif op in ("onnx.Max", "onnx.Min"):
            text = f"{op[5:].lower()}({self.of(inputs[0])}, {self.of(inputs[1])})"
        else:
            raise NotImplementedError(f"{op} in a chain")
        name = f"v{self.count}"
        self.count += 1
        self.lines.append(f"{C_TYPES.get(self.kind(y), 'int')} {name} = {text};  // {op} {y}")
        self.names[y] = name
        if self.reached is not None:
            self.ranges[y] = self.reached


def accumulator_fits(weight, bias, magnitude):
    """Whether every sum of products with inputs of such a magnitude, with the bias, fits int32, in any order."""
    most = np.abs(weight.astype(np.int64)).sum(0) * magnitude + np.abs(bias.astype(np.int64)).max(initial=0)
    return int(most.max(initial=0)) < 1 << 31


# ---- blocks: the reference of transform, quantization and product ----


def hadamard(size):
    r = np.arange(size)
    return 1 - 2 * np.array([[bin(int(a & b)).count("1") & 1 for b in r] for a in r], np.int64)


def block_quantize(x, block, low, high, top, rule, rounding):
    """Formats of integers that clamp: (significands, exponents)."""
    b = x.astype(np.int64).reshape(*x.shape[:-1], -1, block)
    most = np.abs(b).max(-1, keepdims=True)
    length = np.zeros_like(most)
    for i in range(34):
        length += (most >> i) > 0
    power = np.int64(1) << length
    carry = {0: np.zeros_like(length), 1: (most << (top + 2)) >= power * ((1 << (top + 2)) - 1), 2: (most << (top + 1)) > power * high}[rule]
    step = length - 1 - top + carry * (most > 0)
    shift, finer = np.maximum(step, 0), np.maximum(-step, 0)
    half = (np.int64(1) << shift) >> 1
    extra = {0: (b >> shift) & 1, 1: 1, 2: 0, 3: b >= 0}[rounding]
    bias = 0 if rounding == 2 else np.maximum(half - 1 + extra, 0)
    y = np.clip((b + bias) >> shift, -(-low >> finer), high >> finer)
    return y.astype(np.int8).reshape(x.shape), shift[..., 0].astype(np.int8)


def block_matmul(a, e, w, s, bias, block):
    rows, columns = a.reshape(len(a), -1, block).astype(np.float64), w.reshape(-1, block, w.shape[1]).astype(np.float64)
    sums = np.matmul(rows.transpose(1, 0, 2), columns).astype(np.int64)  # exact
    return ((sums << e.T.astype(np.int64)[..., None]) * s[:, None].astype(np.int64)).sum(0) + bias
