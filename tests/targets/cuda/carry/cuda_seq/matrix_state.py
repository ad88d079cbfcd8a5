"""A Scan whose state is a matrix per head (gated linear attention, delta rules), on chip, as one launch.

The state S [heads, rows i, columns j] is read by sums over i (MatMul16 of a row vector and a matrix) and written by outer
products, so each column lives alone: a warp keeps 32 / SPLIT columns of one head for the whole sequence, SPLIT lanes share the
rows of a column. No warp ever waits for another one.

Values have one of four classes: ij (a matrix), i (a vector over rows), j (over columns), h (one per head). Sequence inputs
serve as i or j as they are asked for; what is computed by sums is j.
"""

import pathlib

import numpy as np

import plan as plans
from gated import C

TEMPLATES = pathlib.Path(__file__).parent / "templates"


class MatrixState:
    """
    Args:
        body: Plan of the Scan's body.
        sequences: How many of its inputs are sequences.
        split: Lanes that share a column's rows, 2 to 32.
        warps: Warps of a block.
        dims: (heads over all samples, rows, columns); None: as the body has it.
    """

    def __init__(self, body, *, sequences, split=8, warps=1, dims=None, ahead=4):
        self.ahead = ahead
        self.body, self.split, self.warps = body, split, warps
        self.states, self.sequences = body["inputs"][:-sequences], body["inputs"][-sequences:]
        if len(self.states) != 1:
            raise NotImplementedError("one matrix state")
        self.own = body["values"][self.states[0]][1]
        self.dims = dims or (int(np.prod(self.own[:-2])), self.own[-2], self.own[-1])
        if self.dims[1] % split:
            raise NotImplementedError("rows that lanes do not share evenly")
        self.each = self.dims[1] // split
        self.made = body["outputs"][1:]

    def cls(self, name):
        lead, (rows, columns) = self.own[:-2], self.own[-2:]
        dims = self.body["values"][name][1]
        rest = dims[len(lead) :] if dims[: len(lead)] == lead else None
        if rest is None:
            raise NotImplementedError(f"{name} of {dims}")
        found = {(): "h", (1,): "h", (1, 1): "h", (rows, 1): "i", (1, columns): "j", (columns,): "j", (rows, columns): "ij"}
        if tuple(rest) not in found:
            raise NotImplementedError(f"{name} of {dims}")
        return found[tuple(rest)]

    def source(self):
        body, values, constants = self.body, self.body["values"], self.body["constants"]
        made = {o: n for n in body["nodes"] for o in n[3]}
        alias = {}
        for n in body["nodes"]:
            if n[0] == "onnx.Reshape":
                alias[n[3][0]] = alias.get(n[2][0], n[2][0])

        def root(v):
            return alias.get(v, v)

        def scalar_only(_):
            raise NotImplementedError("a parameter per channel in a matrix recurrence")

        chain = plans.Chain(body, {}, scalar_only)
        E, names, L, loads = self.each, {}, [], {}  # names: (root value, class) -> C name

        def load(v, c):
            """A sequence input as class c: registers of this step, filled two steps ahead."""
            if (v, c) not in loads:
                loads[v, c] = f"q{len(loads)}"
            return loads[v, c]

        def ask(v, c):
            v = root(v)
            own = c
            if v in self.states:
                return "s"
            if v in self.sequences:
                k = self.cls(v)
                if k == "h":
                    return load(v, "h")
                return load(v, "i" if c == "i" else "j")
            if (v, own) in names:
                return names[v, own]
            raise NotImplementedError(f"{v} over {c}")

        def as_input(v, node_class, left=False):
            """C expression of an input of a node of a class."""
            k = "i" if left else self.cls(v)
            name = ask(v, k)
            return f"{name}[k]" if k in ("i", "ij") else name

        for node in body["nodes"]:
            op, a, inputs, outputs = node
            if op == "onnx.Reshape":
                continue
            y = outputs[0]
            if op == "MatMul16":
                if a["a_zero_point"] or a["b_zero_point"] or self.cls(inputs[1]) != "ij":
                    raise NotImplementedError("a product of other things than a vector and a matrix")
                left, right = as_input(inputs[0], "ij", True), as_input(inputs[1], "ij")
                name = f"sum{len(L)}"
                L.append(f"int64_t {name} = 0;\n#pragma unroll\nfor (int k = 0; k < EACH; ++k) {name} += (int64_t){left} * {right};\n{name} = sum_over_lanes({name});")
                names[y, "j"] = name
                continue
            k = self.cls(y)
            chain.names = {}
            for v in inputs:
                if v and v not in constants:
                    chain.names[v] = as_input(v, k)
            before = len(chain.lines)
            chain.emit(node)
            line = chain.lines.pop()
            assert len(chain.lines) == before
            head, text = line.split(" = ", 1)
            kind, name = head.split()
            if k in ("i", "ij"):
                L.append(f"{kind} {name}[EACH];\n#pragma unroll\nfor (int k = 0; k < EACH; ++k) {name}[k] = {text}")
            else:
                L.append(f"const {kind} {name} = {text}")
            names[y, k] = name
        self.words = chain.words
        if self.words:
            tables = ["__shared__ int32_t tables[WORDS];", "for (int i = threadIdx.x; i < WORDS; i += THREADS) tables[i] = table_words[i];", "__syncthreads();"]
        else:
            tables = ["(void)table_words;"]
        heads, rows, columns = self.dims
        T = [f"#define {k} {v}" for k, v in {"HEADS": heads, "ROWS": rows, "COLUMNS": columns, "SPLIT": self.split, "EACH": E, "WARPS": self.warps,
                                              "THREADS": 32 * self.warps, "AHEAD": self.ahead, "WORDS": len(self.words)}.items()]  # fmt: skip
        T += [(TEMPLATES / "chain.cu").read_text(), (TEMPLATES / "matrix_state.cu").read_text()]
        args = ["const int32_t *__restrict__ table_words", "int steps"]
        args += [f"const {C[values[v][0]]} *__restrict__ x{i}" for i, v in enumerate(self.sequences)]
        args += ["const int16_t *__restrict__ begin", "int16_t *__restrict__ end", *(f"{C[values[v][0]]} *__restrict__ y{i}" for i, v in enumerate(self.made))]
        T.append(f'extern "C" __global__ void BOUNDS matrix_state({", ".join(args)})\n{{')
        T += tables
        T.append("const int lane = threadIdx.x % 32, warp = blockIdx.x * WARPS + threadIdx.x / 32;\n"
                 "const int column = warp * (32 / SPLIT) + lane / SPLIT, part = lane % SPLIT;\n"
                 "if (warp * (32 / SPLIT) >= HEADS * COLUMNS) return;\n"
                 "const int head = min(column, HEADS * COLUMNS - 1) / COLUMNS, j = min(column, HEADS * COLUMNS - 1) % COLUMNS, i0 = part * EACH;")  # fmt: skip
        T.append("int s[EACH];\n#pragma unroll\nfor (int k = 0; k < EACH; ++k) s[k] = begin[((int64_t)head * ROWS + i0 + k) * COLUMNS + j];")
        for (v, c), name in loads.items():
            x = f"x{self.sequences.index(v)}"
            kind = C[values[v][0]]
            whole = "#pragma unroll\nfor (int u = 0; u < AHEAD; ++u) "
            if c == "i":
                T.append(f"Piece<{kind}> {name}_ahead[AHEAD];\n{whole}{name}_ahead[u].load({x} + ((int64_t)min(u, steps - 1) * HEADS + head) * ROWS + i0);")
            else:
                at = "+ head" if c == "h" else "* COLUMNS + j"
                first = "(int64_t)min(u, steps - 1) * HEADS + head" if c == "h" else "((int64_t)min(u, steps - 1) * HEADS + head) * COLUMNS + j"
                T.append(f"int {name}_ahead[AHEAD];\n{whole}{name}_ahead[u] = {x}[{first}];")
        T.append("for (int t0 = 0; t0 < steps; t0 += AHEAD) {\n#pragma unroll\nfor (int u = 0; u < AHEAD; ++u) {\nconst int t = t0 + u;\nif (t >= steps) break;\nconst int64_t later = min(t + AHEAD, steps - 1);")
        for (v, c), name in loads.items():
            x = f"x{self.sequences.index(v)}"
            if c == "i":
                T.append(f"int {name}[EACH];\n#pragma unroll\nfor (int k = 0; k < EACH; ++k) {name}[k] = {name}_ahead[u].at(k);\n{name}_ahead[u].load({x} + (later * HEADS + head) * ROWS + i0);")
            else:
                at = "later * HEADS + head" if c == "h" else "(later * HEADS + head) * COLUMNS + j"
                T.append(f"const int {name} = {name}_ahead[u];\n{name}_ahead[u] = {x}[{at}];")
        T += L
        for i, v in enumerate(self.made):
            T.append(f"if (part == 0 && column < HEADS * COLUMNS) y{i}[((int64_t)t * HEADS + head) * COLUMNS + j] = ({C[values[v][0]]})({ask(v, 'j')});")
        new = ask(body["outputs"][0], "ij")
        T.append(f"#pragma unroll\nfor (int k = 0; k < EACH; ++k) s[k] = {new}[k];")
        T.append("}\n}\nif (column < HEADS * COLUMNS) {\n#pragma unroll\nfor (int k = 0; k < EACH; ++k) end[((int64_t)head * ROWS + i0 + k) * COLUMNS + j] = (int16_t)s[k];\n}\n}")
        return "\n".join(T)

    def grid(self):
        per = 32 // self.split * self.warps
        return -(-self.dims[0] * self.dims[2] // per), 1
