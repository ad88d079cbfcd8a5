import numpy as np
import pytest

from edgegate.passes.compose_tables import compose_tables
from tests.passes.integer_text import ONE, check, ints, rescale, unchanged

RNG = np.random.default_rng(0)
FIRST, SECOND = (RNG.integers(-128, 128, 256) for _ in range(2))
BYTES, WIDE = RNG.integers(0, 256, 256), RNG.integers(-32768, 32768, 256)
FACTOR = "int32[1] factor = {1518500250}, int32[1] shift = {33}"
HALVES = (np.arange(-128, 128) - 3 + 1 >> 1) + 7
"""What ``rescale(zero=3, at=7)`` makes of every int8, at half the scale."""
HALF = "int32[1] half = {1073741824}, int32[1] half_shift = {31}"
PER_CHANNEL = "int32[2] multipliers = {1073741824, 1610612736}, int32[2] shifts = {31, 31}"


def table(source: str, entries: str, offset: int = 128) -> str:
    return f"edgegate.Table <offset = {offset}> ({source}, {entries})"


@pytest.mark.parametrize(("kind", "middle", "offset"), [("int8", FIRST, 128), ("uint8", BYTES, 0)])
def test_two_tables(kind, middle, offset):
    check(
        compose_tables,
        f"""g (int8[256] x) => (y) <{kind}[256] f = {ints(middle)}, int16[256] g = {ints(WIDE)}> {{
            a = {table("x", "f")} y = {table("a", "g", offset)}
        }}""",
        f"""g (int8[256] x) => (y) <int16[256] h = {ints(WIDE[middle + offset])}> {{ y = {table("x", "h")} }}""",
    )


def test_a_rescale_on_either_side():
    check(
        compose_tables,
        f"""g (int8[256] x) => (y, z) <{HALF}, int8[256] f = {ints(FIRST)}> {{
            a = {rescale("x", "half, half_shift", zero=3, at=7)} y = {table("a", "f")}
            b = {table("x", "f")} z = {rescale("b", "half, half_shift", zero=3, at=7)}
        }}""",
        f"""g (int8[256] x) => (y, z)
        <int8[256] f = {ints(FIRST[HALVES + 128])}, int8[256] h = {ints(HALVES[FIRST + 128])}> {{
            y = {table("x", "f")} z = {table("x", "h")}
        }}""",
    )


def test_unsigned_bytes_and_a_clip():
    """Entries are clipped, and take the clip's type."""
    check(
        compose_tables,
        f"""g (uint8[256] x) => (y) <{ONE}, int16[256] f = {ints(WIDE)}> {{
            a = {table("x", "f", 0)} y = {rescale("a", low=-9, high=100)}
        }}""",
        f"""g (uint8[256] x) => (y) <int8[256] f = {ints(np.clip(WIDE, -9, 100))}> {{ y = {table("x", "f", 0)} }}""",
    )


def test_a_long_chain_is_one_table():
    halves = (FIRST - 3 + 1 >> 1) + 7
    check(
        compose_tables,
        f"""g (int8[2,128] x) => (y) <{HALF}, int8[256] f = {ints(FIRST)}, int8[256] g = {ints(SECOND)}> {{
            a = {rescale("x", "half, half_shift", zero=3, at=7)}
            b = {rescale("a", "half, half_shift", zero=3, at=7)}
            c = {table("b", "f")}
            d = {rescale("c", "half, half_shift", zero=3, at=7)}
            e = {rescale("d", "half, half_shift", zero=3, at=7)}
            y = {table("e", "g")}
        }}""",
        f"""g (int8[2,128] x) => (y)
        <int8[256] h = {ints(SECOND[HALVES[halves + 128] + 128][HALVES[HALVES + 128] + 128])}> {{
            y = {table("x", "h")}
        }}""",
    )


def test_rescales_behind_a_table_go_one_by_one():
    check(
        compose_tables,
        f"""g (int8[256] x) => (y) <{HALF}, int8[256] f = {ints(FIRST)}> {{
            a = {table("x", "f")}
            b = {rescale("a", "half, half_shift", zero=3, at=7)}
            y = {rescale("b", "half, half_shift", zero=3, at=7)}
        }}""",
        f"""g (int8[256] x) => (y) <int8[256] h = {ints(HALVES[HALVES[FIRST + 128] + 128])}> {{
            y = {table("x", "h")}
        }}""",
    )


def test_every_reader_takes_it():
    """The value in between goes, so there is no more work than before."""
    check(
        compose_tables,
        f"""g (int8[256] x) => (y, z) <{HALF}, int8[256] f = {ints(FIRST)}, int8[256] g = {ints(SECOND)}> {{
            a = {table("x", "f")} y = {table("a", "g")} z = {rescale("a", "half, half_shift", zero=3, at=7)}
        }}""",
        f"""g (int8[256] x) => (y, z)
        <int8[256] f = {ints(SECOND[FIRST + 128])}, int8[256] g = {ints(HALVES[FIRST + 128])}> {{
            y = {table("x", "f")} z = {table("x", "g")}
        }}""",
    )


def test_one_factor_for_all_channels_is_one_factor():
    check(
        compose_tables,
        f"""g (int8[128,2] x) => (y)
        <int32[2] m = {{1073741824, 1073741824}}, int32[2] s = {{31, 31}}, int8[256] f = {ints(FIRST)}> {{
            a = {rescale("x", "m, s", zero=3, at=7)} y = {table("a", "f")}
        }}""",
        f"g (int8[128,2] x) => (y) <int8[256] f = {ints(FIRST[HALVES + 128])}> {{ y = {table('x', 'f')} }}",
    )


def _two(outputs: str, first: str, second: str, more: str = "", kind: str = "int8") -> str:
    constants = f"{HALF}, {PER_CHANNEL}, int8[256] f = {ints(FIRST)}, int8[256] g = {ints(SECOND)}"
    wide = f"int16[513] knots = {ints(np.arange(513) * 9)}, int16[256] h = {ints(WIDE)}"
    return f"g ({kind}[128,2] x) => ({outputs}) <{constants}, {wide}> {{ a = {first} y = {second} {more} }}"


def test_a_reader_needs_the_value():
    unchanged(compose_tables, _two("a, y", table("x", "f"), table("a", "g")))
    reads = "z = " + rescale("a", "multipliers, shifts")
    unchanged(compose_tables, _two("y, z", table("x", "f"), table("a", "g"), reads))


def test_no_table_can_hold_it():
    """Channels that differ, inputs of 16 bits, results of 32, entries in another order than the type's values."""
    unchanged(compose_tables, _two("y", rescale("x", "multipliers, shifts"), table("a", "g")))
    unchanged(compose_tables, _two("y", rescale("x", "half, half_shift"), table("a", "g"), kind="int16"))
    unchanged(compose_tables, _two("y", table("x", "h"), "edgegate.Table16 (a, knots)"))
    wide = rescale("a", "half, half_shift", low=-99999, high=99999, to=6)
    unchanged(compose_tables, _two("y", table("x", "f"), wide))
    unchanged(compose_tables, _two("y", rescale("x", "half, half_shift", low=0), table("a", "g", 0)))


def test_two_rescales_stay():
    unchanged(compose_tables, _two("y", rescale("x", "half, half_shift"), rescale("a", "half, half_shift")))
