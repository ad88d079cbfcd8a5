"""The table of layers that ``edgegate quantize`` shows where blocks were used or asked for."""

import pytest

from edgegate.cli.table import MOST, NAME, table
from tests.cli.findings import in_blocks, in_int8, report

TABLE = """\
layer         format        transform                   SQNR, dB       rho  bits  added ops
encoder.up    mxfp4:mxint8  wush                        12.0 -> 21.0  0.25  4.25     2.05 k
encoder.down  mxfp4:float   wush_diag, diagonal folded  12.0 -> 18.0  0.50  4.25        320
linear        bfp12:mxint8  none                        12.0 -> 12.0  0.25  4.25          0
head          int8                                                          8.00             shared
norm          int8                                                          8.00
weights: 123 kB in float32, 22.1 kB stored, and 2.05 kB of transforms
transforms add 2.37 k operations per inference
"""


def test_a_line_per_layer():
    found = report(
        in_blocks("encoder.up"),
        in_blocks("encoder.down", transform="wush_diag", folded="diagonal", activations="float", rho=0.5,
                  operations=320, transform_bytes=0),
        in_blocks("", format="bfp12", transform="identity", operations=0, transform_bytes=0),
        in_int8("head", "shared"), in_int8("norm"),
    )  # fmt: skip
    assert table(found) == TABLE.splitlines()


@pytest.mark.parametrize("layers", [(), (in_int8(),)])
def test_nothing_where_blocks_were_not_asked_for(layers):
    assert table(report(*layers)) == []
    assert table({}) == []


def test_why_all_layers_are_in_int8():
    lines = table(report(in_int8("a", "too few channels")))
    assert lines[1].split("8.00")[1].strip() == "too few channels"


def test_many_layers():
    lines = table(report(*(in_blocks(str(i)) for i in range(MOST + 2))))
    assert len(lines) == 1 + MOST + 3
    assert lines[MOST].startswith(f"{MOST - 1} ")
    assert lines[MOST + 1] == "... and 2 layers more: --report tells of all"


def test_names_keep_the_columns():
    lines = table(report(in_blocks("a\x1b[31m\n"), in_blocks("b" * 1000), in_int8("c", "d\r" * 100)))
    assert lines[1].startswith(r"a\x1b[31m\n" + " " * (NAME - 11) + "  mxfp4:")
    assert all(line.isprintable() and len(line) < 200 for line in lines)
    assert len({line.find("mxfp4") for line in lines[1:3]}) == 1
