import pytest

from edgegate.errors import CompileError
from edgegate.graph import DOMAIN
from edgegate.passes.hard_gates import hard_gates
from edgegate.passes.stage_gates import stage_gates
from tests.passes.text import check, lines, parse, unchanged


def compared(op: str, sides: str = "s, t", between: str = "s = Sigmoid (z)", limit: float = 0.5) -> str:
    return f"""g (float[2,3] z, float[2,3] a) => (y) <float t = {{{limit}}}, float zero = {{0}}, float two = {{2}}> {{
        {between} m = {op} ({sides}) y = Where (m, a, zero)
    }}"""


def gate(bound: str, limit: str, strict: int, below: int, source: str = "z") -> str:
    attributes = f'bounds = ["{bound}"], strict: int = {strict}, below: int = {below}'
    return f"""g (float[2,3] z, float[2,3] a) => (y) <float t = {{{limit}}}, float zero = {{0}}> {{
        m = edgegate.HardGate <{attributes}> ({source}, t) y = Where (m, a, zero)
    }}"""


@pytest.mark.parametrize(
    ("op", "mirrored", "strict", "below"),
    [("Greater", "Less", 1, 0), ("GreaterOrEqual", "LessOrEqual", 0, 0), ("Less", "Greater", 0, 1),
     ("LessOrEqual", "GreaterOrEqual", 1, 1)],
)  # fmt: skip
def test_a_sigmoid_above_a_half_is_a_logit_above_zero(op, mirrored, strict, below):
    limit = "0" if strict else "-1e-45"
    for text in (compared(op), compared(mirrored, "t, s")):
        check(hard_gates, text, gate("0", limit, strict, below))


@pytest.mark.parametrize(
    ("between", "bound", "limit", "strict", "below"),
    [
        ("s = Identity (z)", "3/4", "0.75", 1, 0),
        ("s = Neg (z)", "-3/4", "-0.75", 0, 1),
        ("s = Mul (z, two)", "3/8", "0.375", 1, 0),
        ("s = Sub (two, z)", "5/4", "1.25", 0, 1),
        ("p = Add (z, two) s = Div (p, two)", "-1/2", "-0.5", 1, 0),
    ],
)
def test_lines_are_gone_back_through_exactly(between, bound, limit, strict, below):
    if not strict:
        model = parse(compared("Greater", between=between, limit=0.75))
        hard_gates(model)
        (line,) = (text for text in lines(model) if "HardGate" in text)
        assert f"bounds=['{bound}']" in line and "strict=0" in line and f"below={below}" in line
        return
    check(hard_gates, compared("Greater", between=between, limit=0.75), gate(bound, limit, strict, below))


def test_what_is_multiplied_is_chosen():
    check(
        hard_gates,
        """g (float[2,3] z, float[2,3] a) => (y) <float t = {0.5}> {
            m = Greater (z, t) b = Cast <to = 1> (m) y = Mul (a, b)
        }""",
        """g (float[2,3] z, float[2,3] a) => (y) <float t = {0.5}, float one = {1}, float zero = {0}> {
            m = edgegate.HardGate <bounds = ["1/2"], strict: int = 1, below: int = 0> (z, t)
            y = Where (m, a, zero)
        }""",
    )


def test_of_a_function_of_one_number_the_comparison_is_a_part():
    unchanged(
        hard_gates,
        """g (float[2,3] z) => (y) <float t = {20}> {
            m = Greater (z, t) s = Softplus (z) y = Where (m, z, s)
        }""",
    )
    unchanged(hard_gates, "g (float[2,3] z, float[2,3] a) => (y) { m = Greater (z, a) y = Where (m, a, z) }")


def test_an_unreachable_threshold_is_refused():
    with pytest.raises(CompileError, match="choose a threshold between 0 and 1"):
        hard_gates(parse(compared("Greater", limit=1.0)))


CUT = """g (float[2,3] z, float[2,5] x) => (y) <float t = {0.5}> {
    m = Greater (DECIDED, t) h = edgegate.StageGate (x, m) y = Relu (h)
}"""


def test_the_bit_of_a_cut_is_an_output():
    model = parse(CUT.replace("float[2,3] z", "float[2,1] z").replace("DECIDED", "z"))
    hard_gates(model)
    stage_gates(model)
    assert [v.name for v in model.graph.outputs] == ["y", "gate_0"]
    before = lines(model)
    stage_gates(model)
    assert lines(model) == before


@pytest.mark.parametrize("shape", ["2,3", "1,1"])
def test_one_bit_decides_for_a_sample(shape):
    model = parse(CUT.replace("float[2,3] z", f"float[{shape}] z").replace("DECIDED", "z"))
    hard_gates(model)
    with pytest.raises(CompileError, match="give one gate a sample"):
        stage_gates(model)
    assert all(n.domain in ("", DOMAIN) for n in model.graph)
