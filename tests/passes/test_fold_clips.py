import pytest

from edgegate.passes.fold_clips import fold_clips
from tests.passes.integer_text import ONE, check, rescale, unchanged

HALF = "int32[1] half = {1073741824}, int32[1] shift = {31}"
PER_CHANNEL = "int32[2] multiplier = {1073741824, 1610612736}, int32[2] shift = {31, 33}"
PER_CHANNEL_ONE = "int32[2] ones = {1073741824, 1073741824}, int32[2] thirties = {30, 30}"
SUM = "a_zero_point = 3, b_zero_point = -5, a_multiplier = 524288, b_multiplier = 699051, shift = 20"
GATE = "value_zero_point = 3, gate_zero_point = 0"


def test_into_a_rescale():
    """The text-book case: a ReLU behind a layer's Rescale."""
    check(
        fold_clips,
        f"""g (int16[3,2] x) => (y) <{ONE}, {PER_CHANNEL}> {{
            a = {rescale("x", "multiplier, shift", at=-7)}
            y = {rescale("a", zero=-7, at=-7, low=-7, high=55)}
        }}""",
        f"""g (int16[3,2] x) => (y) <{PER_CHANNEL}> {{
            y = {rescale("x", "multiplier, shift", at=-7, low=-7, high=55)}
        }}""",
    )


def test_into_a_sum_and_a_product():
    wide, narrow = (f"output_zero_point = 4, low = {low}, high = 127, to = 3" for low in (-128, 4))
    inputs, factor = "g (int8[256] a, int8[256] b) => (y, z)", "int32[1] half = {1073741824}, int32[1] shift = {36}"
    check(
        fold_clips,
        f"""{inputs} <{ONE}, {factor}> {{
            s = edgegate.Add <{SUM}, {wide}> (a, b)
            p = edgegate.GatedProduct <{GATE}, {wide}> (a, b, half, shift)
            y = {rescale("s", zero=4, at=4, low=4)}
            z = {rescale("p", zero=4, at=4, low=4)}
        }}""",
        f"""{inputs} <{factor}> {{
            y = edgegate.Add <{SUM}, {narrow}> (a, b)
            z = edgegate.GatedProduct <{GATE}, {narrow}> (a, b, half, shift)
        }}""",
    )


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [((-40, 30), (-20, 127), (-20, 30)), ((-50, 20), (40, 60), (40, 40)), ((50, 60), (-9, 8), (8, 8))],
)
def test_clips_intersect(first, second, both):
    """Ranges that do not meet leave one value: the bound of the later clip that is nearer."""
    ends = [dict(zip(("low", "high"), pair, strict=True)) for pair in (first, second, both)]
    check(
        fold_clips,
        f"""g (int8[256] x) => (y) <{ONE}, {HALF}> {{
            a = {rescale("x", "half, shift", zero=-128, at=-60)}
            b = {rescale("a", **ends[0])}
            y = {rescale("b", **ends[1])}
        }}""",
        f"g (int8[256] x) => (y) <{HALF}> {{ y = {rescale('x', 'half, shift', zero=-128, at=-60, **ends[2])} }}",
    )


def test_a_clip_per_channel_and_a_narrower_type():
    """A factor of 1 for each channel is a factor of 1; the result has the clip's type."""
    check(
        fold_clips,
        f"""g (int16[3,2] x) => (y) <{PER_CHANNEL_ONE}, {HALF}> {{
            a = {rescale("x", "half, shift", low=-32768, high=32767, to=5)}
            y = {rescale("a", "ones, thirties", low=0, high=255, to=2)}
        }}""",
        f"g (int16[3,2] x) => (y) <{HALF}> {{ y = {rescale('x', 'half, shift', low=0, high=255, to=2)} }}",
    )


def test_what_does_nothing_goes_whoever_reads():
    """Bounds as wide as the type, or as what was proved of the input."""
    check(
        fold_clips,
        f"""g (int8[256] x) => (y, z, w) <{ONE}, {HALF}> {{
            a = {rescale("x", zero=9, at=9)}
            y = {rescale("a", "half, shift", low=0, high=40)}
            b = {rescale("y", low=-1, high=40)}
            z = {rescale("b", "half, shift")}
            w = {rescale("b", "half, shift", at=1)}
        }}""",
        f"""g (int8[256] x) => (y, z, w) <{HALF}> {{
            y = {rescale("x", "half, shift", low=0, high=40)}
            z = {rescale("y", "half, shift")}
            w = {rescale("y", "half, shift", at=1)}
        }}""",
    )


def _clipped(factor: str, more: str = "", outputs: str = "y", **clip: int) -> str:
    constants = f"{ONE}, {HALF}, {PER_CHANNEL.replace('shift', 'shifts')}"
    return f"""g (int8[128,2] x) => ({outputs}) <{constants}> {{
        a = {rescale("x", "half, shift", at=5)}
        y = {rescale("a", factor, **{"zero": 5, "at": 5, "low": 0, **clip})}
        {more}
    }}"""


def test_only_clips():
    unchanged(fold_clips, _clipped("half, shift"))
    unchanged(fold_clips, _clipped("multiplier, shifts"))
    unchanged(fold_clips, _clipped("one, thirty", zero=4))


def test_the_unclipped_value_has_another_reader():
    unchanged(fold_clips, _clipped("one, thirty", outputs="a, y"))
    unchanged(fold_clips, _clipped("one, thirty", "z = " + rescale("a", "half, shift"), "y, z"))


def test_names_of_graph_outputs_stay():
    """What does nothing stays if the graph's output would otherwise be its input, or two outputs one value."""
    unchanged(fold_clips, f"g (int8[256] x) => (y) <{ONE}> {{ y = {rescale('x')} }}")
    unchanged(fold_clips, f"g (int16[256] x) => (a, y) <{ONE}> {{ a = {rescale('x', low=-9)} y = {rescale('a')} }}")


def test_a_wider_type_is_no_identity():
    wider = rescale("a", low=-32768, high=32767, to=5)
    unchanged(fold_clips, f"g (int8[256] x) => (y) <{ONE}> {{ a = Max (x, x) y = {wider} }}")


def test_an_input_holds_all_that_its_type_can():
    clip, half = rescale("x", low=-9, high=9), rescale("a", "half, shift")
    unchanged(fold_clips, f"g (int8[256] x) => (y) <{ONE}, {HALF}> {{ a = {clip} y = {half} }}")
