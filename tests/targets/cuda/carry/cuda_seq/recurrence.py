"""A Scan whose step is products of vectors with constant weights and element-wise chains, as one persistent kernel.

Sections of a step: section 0 is what needs no product; section s + 1 begins with the products whose inputs section s gives
(or the state, for s = 0), and holds the chains that then can be computed. Units (places of a vector) are dealt to CTAs in
equal runs of a multiple of 16; each CTA keeps its rows of all weights on chip, as fragments of mma.sync m16n8k32.
int16 vectors are two signed planes (high byte; low byte - 128), which are two of the instruction's eight columns.

CTA-to-CTA: mode "cluster" sends with st.async (16 bytes and their count on the receiver's mbarrier in one trip), "grid"
through global memory and a counter (cooperative launch), "one": a single CTA.
"""

import pathlib
from dataclasses import dataclass, field

import numpy as np

import plan as plans

TEMPLATES = pathlib.Path(__file__).parent / "templates"


@dataclass
class Vector:
    """What products read: gathered by every CTA."""

    name: str
    kind: str  # int8 or int16
    width: int
    state: int | None = None  # its number, of a state
    index: int = 0

    @property
    def size(self):
        return 2 if self.kind == "int16" else 1


@dataclass
class Product:
    node: tuple
    vector: Vector
    weight: np.ndarray = None  # [K, N]
    bias: np.ndarray = None  # int64 [N], zero points and planes folded in
    narrow: bool = True


@dataclass
class Section:
    products: list = field(default_factory=list)
    nodes: list = field(default_factory=list)
    sends: list = field(default_factory=list)


class Recurrence:
    """
    Args:
        body: Plan of the Scan's body.
        ctas: How many share the units (of one cluster: up to 8, or 16 non-portable).
        parts: Warps that share K.
        teams: Groups of warps that share the rows.
        mode: cluster, grid or one.
        batch: Rows of every vector; None: as the body has it.
        absorbed: Sequence input -> the Rescale node before the loop that makes it: then the kernel reads its int32.
    """

    def __init__(self, body, *, ctas=8, parts=4, teams=2, mode="cluster", batch=None, absorbed=None, held=96, sequences, profile=False, ahead=2, early=False):
        self.early = early
        self.ahead = ahead
        self.profile = profile
        self.body, self.ctas, self.parts, self.teams, self.mode = body, ctas, parts, teams, mode
        self.absorbed, self.held = absorbed or {}, held
        if mode == "one" and ctas != 1:
            raise ValueError("one CTA")
        values, constants = body["values"], body["constants"]
        self.states = body["inputs"][: len(body["inputs"]) - sequences]
        self.sequences = body["inputs"][len(self.states) :]
        dims = {values[v][1] for v in body["inputs"]}
        if len({d[-1] for d in dims}) != 1:
            raise NotImplementedError(f"vectors of several widths: {dims}")
        self.width = next(iter(dims))[-1]
        self.batch = batch or int(np.prod(values[self.states[0]][1])) // self.width
        self.units = -(-self.width // (16 * ctas)) * 16
        self.threads = 32 * parts * teams
        self.items = self.units * self.batch
        self.rounds = -(-self.items // self.threads)
        self._sections(values, constants)
        self._layout()

    # -- analysis --

    def _sections(self, values, constants):
        stage = dict.fromkeys(self.body["inputs"], 0)
        alias = {v: v for v in self.body["inputs"]}
        vectors, self.sections = {}, [Section()]
        for node in self.body["nodes"]:
            op, a, inputs, outputs = node
            live = [i for i in inputs if i and i not in constants]
            for i in live:
                if i not in stage:
                    raise NotImplementedError(f"{i} comes from before the loop")
            now = max(stage[i] for i in live)
            if op == "onnx.Reshape":
                stage[outputs[0]], alias[outputs[0]] = now, alias[inputs[0]]
            elif op in plans.PRODUCTS:
                source = alias[inputs[0]]
                kind, shape = values[source]
                if source not in vectors:
                    state = self.states.index(source) if source in self.states else None
                    vectors[source] = Vector(source, kind, shape[-1], state, len(vectors))
                    if state is None:
                        self._section(stage[source]).sends.append(vectors[source])
                now += 1
                self._section(now).products.append(self._product(node, vectors[source]))
                alias[outputs[0]] = outputs[0]
            else:
                alias[outputs[0]] = outputs[0]
            if op != "onnx.Reshape":
                if op not in plans.PRODUCTS:
                    self._section(now).nodes.append(node)
                stage[outputs[0]] = now
        self.stage, self.alias, self.vectors = stage, alias, list(vectors.values())
        self.next = [alias[v] for v in self.body["outputs"][: len(self.states)]]
        self.made = [alias[v] for v in self.body["outputs"][len(self.states) :]]
        for v in self.vectors:
            if v.state is not None:
                self._section(stage[self.next[v.state]]).sends.append(v)

    def _section(self, number):
        while len(self.sections) <= number:
            self.sections.append(Section())
        return self.sections[number]

    def _product(self, node, vector):
        op, a, inputs, outputs = node
        weight = self.body["constants"][inputs[1]].astype(np.int64)
        bias = self.body["constants"][inputs[2]].astype(np.int64)
        if weight.shape[1] != self.width:
            raise NotImplementedError(f"a product of width {weight.shape[1]} beside {self.width}")
        magnitude = {"int16": 1 << 15, "int8": 256}[vector.kind]
        narrow = plans.accumulator_fits(weight, bias, magnitude)
        if op == "MatMul16x8":
            bias = bias + 128 * weight.sum(0) if vector.kind == "int16" else bias
        else:
            if a["b_zero_point"]:
                raise NotImplementedError("weights with a zero point")
            bias = bias - a["a_zero_point"] * weight.sum(0)
        if not narrow:
            raise NotImplementedError("sums beyond int32 in a recurrence")
        return Product(node, vector, weight, bias, narrow)

    # -- layout --

    def pitch(self, v):
        """Elements per row of a gathered vector."""
        return max(-(-v.width // 32) * 32, self.ctas * self.units)

    def _layout(self):
        tiles = self.units // 16
        self.jobs = []  # per section: (vector, products, tiles, slots, chunks per warp), the register fragments in this order
        self.fragments = 0
        for s in self.sections:
            jobs = []
            for v in self.vectors:
                products = [p for p in s.products if p.vector is v]
                if products:
                    count = len(products) * tiles
                    chunks = -(-v.width // 32)
                    job = {"vector": v, "products": products, "count": count, "slots": -(-count // self.teams),
                           "each": -(-chunks // self.parts), "first": self.fragments}  # fmt: skip
                    self.fragments += job["slots"] * job["each"]
                    jobs.append(job)
            self.jobs.append(jobs)
        self.in_registers = min(self.fragments, self.held // 4)
        self.in_shared = self.fragments - self.in_registers
        self.columns = {v.index: -(-self.batch * (2 if v.kind == "int16" else 1) // 8) for v in self.vectors}  # n-tiles
        offset = 0
        self.places = {}

        def room(name, size, align=16):
            nonlocal offset
            offset = -(-offset // align) * align
            self.places[name] = offset
            offset += size

        for v in self.vectors:
            if self.mode != "grid":
                room(f"vector{v.index}", 2 * self.batch * self.pitch(v) * v.size)
        rows = max(sum(len(j["products"]) for j in jobs) for jobs in self.jobs)
        room("sums", rows * self.items * self.parts * 4)
        room("stage", self.rounds * self.threads * 2)
        room("barriers", 16 * len(self.vectors))
        room("weights", self.in_shared * self.threads * 16)
        self.fixed = offset

    def pack(self):
        """Fragments as the kernel reads them: [ctas][fragment][thread][16 bytes], int8."""
        out = np.zeros((self.ctas, self.fragments, self.threads, 16), np.int8)
        lane = np.arange(32)
        g, q = lane // 4, lane % 4
        tiles = self.units // 16
        for jobs in self.jobs:
            for j in jobs:
                depth = j["each"] * self.parts * 32
                whole = []
                for p in j["products"]:
                    w = np.zeros((self.ctas * self.units, depth), np.int8)
                    w[: self.width, : p.weight.shape[0]] = p.weight.T
                    whole.append(w.reshape(self.ctas, tiles, 16, depth))
                rows = np.stack(whole, 1).reshape(self.ctas, -1, 16, depth)  # tile = product * tiles + tile of units
                for team in range(self.teams):
                    for slot in range(j["slots"]):
                        tile = team + slot * self.teams
                        if tile >= j["count"]:
                            continue
                        for part in range(self.parts):
                            thread = (team * self.parts + part) * 32
                            for e in range(j["each"]):
                                k = (e * self.parts + part) * 32 + 8 * q
                                for word, (r, d) in enumerate([(0, 0), (8, 0), (0, 4), (8, 4)]):
                                    for b in range(4):
                                        out[:, j["first"] + slot * j["each"] + e, thread : thread + 32, 4 * word + b] = rows[:, tile, g + r, k + d + b]
        return out

    # -- code --

    def source(self):
        types = {"int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "uint8": "uint8_t"}
        self.parameters = []  # int32 arrays [width]
        self.parameter_names = {}

        def parameter(array):
            key = array.tobytes()
            if key not in self.parameter_names:
                self.parameter_names[key] = len(self.parameters)
                self.parameters.append(array.astype(np.int64).astype(np.int32))
            return f"p{self.parameter_names[key]}[r]"

        chain = plans.Chain(self.body, {}, parameter)
        chain.fused = self.early
        chain.narrow = {}
        L = []
        values = self.body["values"]
        # sequences come one step ahead
        for i, v in enumerate(self.sequences):
            if v in self.absorbed:
                plan, node, _ = self.absorbed[v]
                outer = plans.Chain(plan, {node[2][0]: f"(s{i}_now[r])"}, parameter)
                outer.count, outer.fused = 1000 + 100 * i, self.early
                outer.emit(node)
                self_lines = outer.lines
                chain.lines += self_lines
                chain.names[v] = outer.of(node[3][0])
            else:
                chain.names[v] = f"s{i}_now[r]"
        for i, v in enumerate(self.states):
            chain.names[v] = f"h{i}[r]"
        bodies = []
        held = []  # values that later sections read
        for number, s in enumerate(self.sections):
            before = [] if number else chain.lines
            chain.lines = []
            offset = 0
            lines = list(before)
            for j in self.jobs[number]:
                for p in j["products"]:
                    name = p.node[3][0]
                    bias = parameter(p.bias.astype(np.int32))
                    chain.names[name] = f"a_{p.node[3][0].replace('.', '_')}"
                    chain.narrow[name] = True
                    row = offset
                    offset += 1
                    loads = " + ".join(f"w{row}_{q}.{c}" for q in range(self.parts // 4) for c in "xyzw") if self.parts % 4 == 0 else \
                        " + ".join(f"from[{q}]" for q in range(self.parts))
                    if self.parts % 4 == 0:
                        for q in range(self.parts // 4):
                            lines.append(f"const int4 w{row}_{q} = ((const int4 *)(sums + ({row} * ITEMS + item) * PARTS))[{q}];")
                    else:
                        loads = " + ".join(f"sums[({row} * ITEMS + item) * PARTS + {q}]" for q in range(self.parts))
                    lines.append(f"const int {chain.names[name]} = {loads} + {bias};")
            for node in s.nodes:
                chain.emit(node)
            lines += chain.lines
            chain.lines = []
            bodies.append(lines)
        # What a later section uses becomes an array over rounds.
        text = [[ln for ln in b] for b in bodies]
        names = {}
        for n, lines in enumerate(text):
            for ln in lines:
                parts = ln.split(" = ")[0].split()
                names.setdefault(parts[-1], n)
        import re

        late = set()
        for n, lines in enumerate(text):
            for ln in lines:
                for word in re.findall(r"\b(?:v\d+|a_\w+)\b", ln.split(" = ", 1)[1].split("//")[0]):
                    if names[word] < n:
                        late.add(word)
        # New states and outputs are stored at the end: keep what they are.
        for v in [*self.next, *self.made]:
            word = chain.of(v)
            if word in names and names[word] < len(text) - 1:
                late.add(word)

        def spread(ln):
            head, rest = ln.split(" = ", 1)
            body, *comment = rest.split("//")
            for w in late:
                body = re.sub(rf"\b{w}\b", f"{w}[r]", body)
            word = head.split()[-1]
            head = f"{word}[r]" if word in late else head
            return f"{head} = {body}" + (f"//{comment[0]}" if comment else "")

        text = [[spread(ln) for ln in b] for b in text]
        final = lambda v: chain.of(v) + ("[r]" if chain.of(v) in late else "")  # noqa: E731
        self.words = chain.words
        P = self.places
        d = L.append
        for k, x in (("CTAS", self.ctas), ("PARTS", self.parts), ("TEAMS", self.teams), ("UNITS", self.units), ("BATCH", self.batch),
                     ("WIDTH", self.width), ("ITEMS", self.items), ("THREADS", self.threads), ("ROUNDS", self.rounds),
                     ("FRAGMENTS", self.fragments), ("IN_REGISTERS", self.in_registers), ("WORDS", len(self.words)),
                     ("AHEAD", self.ahead), ("MODE_CLUSTER", int(self.mode == "cluster")), ("MODE_GRID", int(self.mode == "grid"))):  # fmt: skip
            d(f"#define {k} {x}")
        d((TEMPLATES / "chain.cu").read_text())
        d((TEMPLATES / "recurrence.cu").read_text())
        # parameters
        args = ["const uint4 *__restrict__ weights", "const int32_t *__restrict__ columns", "const int32_t *__restrict__ table_words", "int steps",
                "uint8_t *shared_vectors", "unsigned *counter"]  # fmt: skip
        for i, v in enumerate(self.sequences):
            kind = "int32_t" if v in self.absorbed else types[values[v][0]]
            args += [f"const {kind} *__restrict__ s{i}", f"int64_t s{i}_pitch"]  # elements from row to row (steps * batch rows)
        for i, v in enumerate(self.states):
            args += [f"const {types[values[v][0]]} *__restrict__ begin{i}", f"{types[values[v][0]]} *__restrict__ end{i}"]
        for i, v in enumerate(self.made):
            args += [f"{types[values[v][0]]} *__restrict__ y{i}"]
        d(f"extern \"C\" __global__ void {'IN_CLUSTER' if self.mode == 'cluster' else ''} __launch_bounds__(THREADS, 1) recurrence({', '.join(args)})\n{{")
        d("extern __shared__ __align__(16) uint8_t memory[];")
        d("const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32, part = warp % PARTS, team = warp / PARTS;")
        d("const int cta = blockIdx.x % CTAS;")
        for name in ("sums", "stage", "weights", "barriers"):
            kind = {"sums": "int", "stage": "uint8_t", "weights": "uint4", "barriers": "uint64_t"}[name]
            d(f"{kind} *const {'kept' if name == 'weights' else name} = ({kind} *)(memory + {P[name]});")
        d(f"int32_t *const tables = (int32_t *)(memory + {-(-self.fixed // 16) * 16});")
        self.shared = -(-self.fixed // 16) * 16 + 4 * len(self.words)
        d("(void)kept; (void)barriers; (void)counter; (void)shared_vectors; (void)stage;")
        for v in self.vectors:
            size = self.batch * self.pitch(v) * v.size
            if self.mode == "grid":
                base = sum(2 * self.batch * self.pitch(w) * w.size for w in self.vectors[: v.index])
                d(f"uint8_t *const vector{v.index} = shared_vectors + {base};")
            else:
                d(f"uint8_t *const vector{v.index} = memory + {P[f'vector{v.index}']};")
            kind = types[v.kind]
            d(f"// {v.name}: {v.kind} [2][BATCH][{self.pitch(v)}]")
            whole = f"{2 * size} / 16"
            each = "blockIdx.x * THREADS + thread" if self.mode == "grid" else "thread"
            if self.mode != "grid":
                d(f"for (int i = {each}; i < {whole}; i += THREADS) ((uint4 *)vector{v.index})[i] = make_uint4(0, 0, 0, 0);")
        d("for (int i = thread; i < WORDS; i += THREADS) tables[i] = table_words[i];")
        d("__syncthreads();")
        for v in self.vectors:
            if v.state is not None and self.mode != "grid":
                d(f"for (int i = thread; i < BATCH * WIDTH; i += THREADS) (({types[v.kind]} *)vector{v.index})[i / WIDTH * {self.pitch(v)} + i % WIDTH] = begin{v.state}[i];")
        if self.in_registers:
            d("uint4 w[IN_REGISTERS];\n#pragma unroll\nfor (int f = 0; f < IN_REGISTERS; ++f) w[f] = weights[((int64_t)cta * FRAGMENTS + f) * THREADS + thread];")
        if self.in_shared:
            d("for (int f = IN_REGISTERS; f < FRAGMENTS; ++f) kept[(f - IN_REGISTERS) * THREADS + thread] = weights[((int64_t)cta * FRAGMENTS + f) * THREADS + thread];")
        d("int unit[ROUNDS], row[ROUNDS];\nbool mine[ROUNDS];\n#pragma unroll\nfor (int r = 0; r < ROUNDS; ++r) {\nconst int item = r * THREADS + thread;\n"
          "row[r] = item / UNITS;\nunit[r] = cta * UNITS + item % UNITS;\nmine[r] = item < ITEMS && unit[r] < WIDTH;\nif (!mine[r]) unit[r] = row[r] = 0;\n}")
        for k in range(len(self.parameters)):
            d(f"int p{k}[ROUNDS];\n#pragma unroll\nfor (int r = 0; r < ROUNDS; ++r) p{k}[r] = columns[{k} * WIDTH + unit[r]];")
        for i in range(len(self.states)):
            d(f"int h{i}[ROUNDS];\n#pragma unroll\nfor (int r = 0; r < ROUNDS; ++r) h{i}[r] = begin{i}[row[r] * WIDTH + unit[r]];")
        # Elements come AHEAD steps early, into registers that no move touches: a move would wait for the load.
        each = "#pragma unroll\nfor (int r = 0; r < ROUNDS; ++r) "
        for i in range(len(self.sequences)):
            first = f"element(s{i} + (min(u, steps - 1) * BATCH + row[r]) * s{i}_pitch + unit[r])" if self.early else f"u < steps ? s{i}[(u * BATCH + row[r]) * s{i}_pitch + unit[r]] : 0"
            d(f"int s{i}_ahead[AHEAD][ROUNDS];\n#pragma unroll\nfor (int u = 0; u < AHEAD; ++u)\n{each}s{i}_ahead[u][r] = {first};")
        if self.mode == "cluster":
            d("if (thread == 0) {")
            for v in self.vectors:
                for b in range(2):
                    d(f"barrier_init(barriers + {2 * v.index + b});")
            d("barriers_ready();")
            for v in self.vectors:
                for b in range(2):
                    d(f"barrier_expect(barriers + {2 * v.index + b}, {self.batch * self.ctas * self.units * v.size});")
            d("}")
        d("__syncthreads();")
        if self.mode == "cluster":
            d("cluster_arrive();\ncluster_wait();")
        if self.mode == "grid":
            d("unsigned rounds = 0;")
            for v in self.vectors:
                if v.state is not None:
                    d(f"for (int i = blockIdx.x * THREADS + thread; i < BATCH * WIDTH; i += THREADS * CTAS) (({types[v.kind]} *)vector{v.index})[i / WIDTH * {self.pitch(v)} + i % WIDTH] = begin{v.state}[i];")
            d("grid_arrive(counter);\ngrid_wait(counter, ++rounds * CTAS);")
        mark = (lambda i: d(f"if (thread == 0) {{ const long long now = clock64(); spent[{i}] += now - last, last = now; }}")) if self.profile else (lambda i: None)  # noqa: E731
        if self.profile:
            d("long long spent[8] = {}, last = clock64();")
        d("for (int t0 = 0; t0 < steps; t0 += AHEAD) {\n#pragma unroll\nfor (int u = 0; u < AHEAD; ++u) {\nconst int t = t0 + u;\nif (t >= steps) break;")
        for i in range(len(self.sequences)):
            later = f"element(s{i} + ((int64_t)min(t + AHEAD, steps - 1) * BATCH + row[r]) * s{i}_pitch + unit[r])" if self.early else f"t + AHEAD < steps ? s{i}[((int64_t)(t + AHEAD) * BATCH + row[r]) * s{i}_pitch + unit[r]] : 0"
            d(f"int s{i}_now[ROUNDS];\n{each}s{i}_now[r] = s{i}_ahead[u][r], s{i}_ahead[u][r] = {later};")
        for w in sorted(late):
            d(f"int {w}[ROUNDS];")
        waited = set()
        for n, lines in enumerate(text):
            jobs = self.jobs[n]
            for j in jobs:
                v = j["vector"]
                size = self.batch * self.pitch(v) * v.size
                if v.index not in waited:
                    waited.add(v.index)
                    if self.mode == "cluster":
                        bar = f"barriers + {2 * v.index} + (t & 1)"
                        again = f"if (thread == 0) barrier_expect({bar}, {self.batch * self.ctas * self.units * v.size});"
                        if v.state is not None:
                            d(f"if (t) {{\nbarrier_wait({bar}, (t - 1) >> 1 & 1);\n{again}\n}}")
                        else:
                            d(f"barrier_wait({bar}, t >> 1 & 1);\n{again}")
                mark(0)
                d("{")
                d(f"const uint8_t *const from = vector{v.index} + (t & 1) * {size};")
                d(f"int d[{j['slots']}][{self.columns[v.index]}][4];")
                d(f"#pragma unroll\nfor (int i = 0; i < {j['slots']}; ++i)\n#pragma unroll\nfor (int c = 0; c < {self.columns[v.index]}; ++c) d[i][c][0] = d[i][c][1] = d[i][c][2] = d[i][c][3] = 0;")
                d(f"#pragma unroll\nfor (int e = 0; e < {j['each']}; ++e) {{\nconst int k = (e * PARTS + part) * 32 + 8 * (lane % 4);")
                d(f"#pragma unroll\nfor (int c = 0; c < {self.columns[v.index]}; ++c) {{")
                load = "load_cg" if self.mode == "grid" else "load_shared"
                if v.kind == "int16":
                    d(f"const uint4 x = {load}(from + (min(c * 4 + lane / 8, BATCH - 1) * {self.pitch(v)} + k) * 2);")
                    d("const uint2 b = plane(x, lane & 4 ? 0x6420 : 0x7531, lane & 4 ? 0x80808080u : 0u);")
                else:
                    d(f"const uint2 b = {load}2(from + min(c * 8 + lane / 4, BATCH - 1) * {self.pitch(v)} + k);")
                d(f"#pragma unroll\nfor (int i = 0; i < {j['slots']}; ++i) {{\nconst int f = {j['first']} + i * {j['each']} + e;")
                if self.in_shared and self.in_registers:
                    d("const uint4 a = f < IN_REGISTERS ? w[f < IN_REGISTERS ? f : 0] : kept[(f - IN_REGISTERS) * THREADS + thread];")
                elif self.in_shared:
                    d("const uint4 a = kept[f * THREADS + thread];")
                else:
                    d("const uint4 a = w[f];")
                d("mma(d[i][c], a.x, a.y, a.z, a.w, b.x, b.y);\n}\n}\n}")
                # partial sums
                base = sum(len(k["products"]) for k in jobs[: jobs.index(j)])
                d(f"#pragma unroll\nfor (int i = 0; i < {j['slots']}; ++i) {{\nconst int tile = team + i * TEAMS;\nif (tile >= {j['count']}) break;")
                d(f"int *const to = sums + ({base} + tile / (UNITS / 16)) * (ITEMS * PARTS) + (tile % (UNITS / 16) * 16 + lane / 4) * PARTS + part;")
                d(f"#pragma unroll\nfor (int c = 0; c < {self.columns[v.index]}; ++c) {{")
                if v.kind == "int16":
                    d("const int b = c * 4 + lane % 4;\nif (b < BATCH) {\nto[b * UNITS * PARTS] = 256 * d[i][c][0] + d[i][c][1];\nto[(b * UNITS + 8) * PARTS] = 256 * d[i][c][2] + d[i][c][3];\n}\n}\n}\n}")
                else:
                    d("#pragma unroll\nfor (int e = 0; e < 2; ++e) {\nconst int b = c * 8 + 2 * (lane % 4) + e;\nif (b < BATCH) {\nto[b * UNITS * PARTS] = d[i][c][e];\nto[(b * UNITS + 8) * PARTS] = d[i][c][2 + e];\n}\n}\n}\n}\n}")
            if jobs:
                mark(1)
                d("__syncthreads();")
                mark(2)
            sends = self.sections[n].sends
            d("#pragma unroll\nfor (int r = 0; r < ROUNDS; ++r) {\nconst int item = r * THREADS + thread;\nif (r * THREADS + warp * 32 >= ITEMS) break;")
            d("{")
            d("(void)item;")
            guard = "const int item_read = min(item, ITEMS - 1);" if jobs else ""
            d(guard)
            for ln in lines:
                ln = ln.replace("+ item) * PARTS", "+ item_read) * PARTS")
                d(("const " if ln.startswith("int ") and "[r]" not in ln.split(" = ")[0] else "") + ln)
            mark(3)
            for v in sends:
                value = final(self.next[v.state]) if v.state is not None else final(v.name)
                size = self.batch * self.pitch(v) * v.size
                buffer = "((t + 1) & 1)" if v.state is not None else "(t & 1)"
                kind = types[v.kind]
                bar = f"barriers + {2 * v.index} + {buffer}"
                d(f"// {v.name} to every CTA")
                d(f"(({kind} *)stage)[item] = ({kind})({value});\n__syncwarp();")
                words = 32 * v.size // 16
                d(f"send_words<{words}, {v.size}>(stage, vector{v.index} + {buffer} * {size}, {self.pitch(v)}, r * THREADS + warp * 32, cta, lane, barriers + {2 * v.index} + {buffer});")
                if len(sends) > 1:
                    d("__syncwarp();")
                mark(4)
            if n == len(text) - 1:
                d("if (mine[r]) {")
                for i, v in enumerate(self.made):
                    d(f"y{i}[((int64_t)t * BATCH + row[r]) * WIDTH + unit[r]] = ({types[values[v][0]]})({final(v)});")
                d("}")
                fresh = [(i, final(v)) for i, v in enumerate(self.next)]
                for i, x in fresh:
                    d(f"const int new{i} = {x};")
                for i, x in fresh:
                    d(f"h{i}[r] = new{i};")
            d("}\n}")
            if (sends and self.mode == "one") or (jobs and not sends):
                d("__syncthreads();")  # nobody writes sums or vectors that are still read
            if sends and self.mode == "grid":
                d("grid_arrive(counter);\ngrid_wait(counter, ++rounds * CTAS);")
        d("}\n}")  # steps
        d("#pragma unroll\nfor (int r = 0; r < ROUNDS; ++r)\nif (mine[r]) {")
        for i, v in enumerate(self.states):
            d(f"end{i}[row[r] * WIDTH + unit[r]] = ({types[values[v][0]]})h{i}[r];")
        d("}")
        if self.profile:
            d("if (thread == 0 && blockIdx.x == 0) for (int i = 0; i < 8; ++i) ((long long *)counter)[i] = spent[i];")
        if self.mode == "cluster":
            for v in self.vectors:
                if v.state is not None:
                    d(f"if (steps > 0) barrier_wait(barriers + {2 * v.index} + (steps & 1), (steps - 1) >> 1 & 1);")
            d("cluster_arrive();\ncluster_wait();")
        d("}")
        return "\n".join(x for x in L if x)
