"""The page of plots: what it says, that it is the same each time, and that no report makes it fail."""

import re
import struct
import warnings

import matplotlib
import pytest

from edgegate.errors import InputError
from edgegate.plots import CEILING, COLOURS, KINDS, LETTERS, amount, bits, compared, draw, elided, kind_of, told_apart
from tests.cli.findings import TRIED, in_blocks, in_int8, report

STARTS = {"png": b"\x89PNG\r\n", "svg": b"<?xml", "pdf": b"%PDF-"}


def texts(*layers):
    """What stands on the page: in an .svg, each text is a comment beside its outline."""
    return re.findall("<!-- (.*?) -->", draw(report(*layers), "svg").decode(), re.DOTALL)


def size(*layers):
    """Width and height of the page in pixels (PNG, IHDR)."""
    return struct.unpack(">II", draw(report(*layers), "png")[16:24])


@pytest.mark.parametrize(
    ("path", "kind"), [("a.png", "png"), ("a.SVG", "svg"), ("b/a.b.pdf", "pdf"), (".x/y.png", "png")]
)
def test_kinds(path, kind):
    assert kind_of(path) == kind


@pytest.mark.parametrize("path", ["a", "a.jpg", "png", ".png", "a.png/", "a.png.", ""])
def test_other_kinds_are_refused(path):
    with pytest.raises(InputError, match=re.escape("a plot is a .png, .svg or .pdf file")):
        kind_of(path)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_report_gives_the_same_bytes_whatever_the_users_style(kind):
    found = report(in_blocks(), in_blocks("c", transform="identity"), in_int8())
    once = draw(found, kind)
    assert once.startswith(STARTS[kind])
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 20, "svg.hashsalt": None, "axes.grid": False}):
        assert draw(found, kind) == once
    assert not re.search(rb"CreationDate|<dc:date>", once)
    assert draw(report(in_blocks(rho=0.5)), kind) != once


def test_what_the_page_says():
    said = texts(in_blocks("encoder.up"), in_blocks("", name="named", transform="identity"), in_int8())
    assert {"encoder.up", "named", "Layers: 2 in blocks, 1 in int8"} <= {*said}
    assert {"no transform", "Hadamard", "WUSH-diag", "WUSH", "before", "after", "also tried"} <= {*said}
    assert {"SQNR on held-out vectors, dB", "bits per weight", "per inference", "predicted (ρ)"} <= {*said}
    whole, stored = 3 * 4 * 6144, 2 * (3264 + 2048) + 6144
    assert {amount(whole, "B"), amount(stored, "B"), "float32", "stored"} <= {*said}
    assert f"Weights of all layers: {stored / whole:.0%} of float32" in said
    assert {"weights in blocks: 6.53 kB", "weights in int8: 6.14 kB", "transforms: 4.1 kB"} <= {*said}


def test_losses_are_compared_where_both_were_measured():
    rows = [
        in_blocks(sqnr={"identity": 10.0, "hadamard": 12.0, "wush": 22.0}, rho=0.125, transform="hadamard"),
        in_blocks(sqnr={"identity": 10.0, "hadamard": 22.0, "wush": 12.0}, rho=1.0),
        in_blocks(sqnr={"identity": 10.0, "hadamard": 12.0}, transform="hadamard"),
    ]
    assert compared(rows) == [(0.125, 0.1, COLOURS["hadamard"]), (1.0, 10.0, COLOURS["wush"])]


def test_bits_count_scales_padding_and_the_transform():
    assert bits(in_blocks(shape=(32, 2), weight_bytes=34, transform_bytes=16)) == (4.25, 2.0)


def test_added_operations_are_a_share_where_the_report_tells_of_what():
    assert "% of the layer's multiplications" in texts(in_blocks(multiplications=6144))
    assert "per inference" in texts(in_blocks(multiplications=6144), in_blocks("c"))


@pytest.mark.parametrize(
    "layer",
    [
        in_blocks(sqnr={"identity": 12.0}, transform="identity", rho=1.0, operations=0),
        in_blocks(sqnr={"identity": 12.0, "hadamard": 11.0}, transform="hadamard"),
        in_blocks(sqnr={"identity": 12.0, "wush": 15.0}),
    ],
)
def test_nothing_to_compare(layer):
    assert "no layer has tried both" in texts(layer)


@pytest.mark.parametrize("layers", [(), (in_int8(),), (in_int8("a", "too few channels"), in_int8())])
def test_no_layer_in_blocks(layers):
    assert texts(*layers) == ["No layer was put in blocks: there is nothing to draw."]
    assert draw({}, "svg") == draw(report(*layers), "svg")  # a report on a scheme that was given has no layers


def test_a_page_of_many_layers_is_no_larger():
    (width, one), (same, many), (_, most) = (size(*(in_blocks() for _ in range(n))) for n in (1, 70, 140))
    assert width == same
    assert one < many == most < 3000


def test_labels_of_many_layers_are_thinned():
    names = [name for name in texts(*(in_blocks(f"layer.{i}") for i in range(150))) if name.startswith("layer.")]
    assert names[:2] == ["layer.0", "layer.2"]
    assert len(names) == 75


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_only_text(kind):
    names = ["$x^{", "a_b$\\frac$", "<&>-->", "層.重み", "\x1b[31m\n\x00", "%s{}", "a" * 10_000, "\\", "_", " "]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw(report(*map(in_blocks, names)), kind).startswith(STARTS[kind])


@pytest.mark.parametrize("value", [-200.0, 0.0, CEILING, 200.0])
def test_extreme_losses(value):
    layer = in_blocks(sqnr={**TRIED, "wush": value}, rho=1 / 128)
    label = [text for text in texts(layer, in_blocks()) if text.startswith("SQNR")]
    assert label == [f"SQNR on held-out vectors, dB{'; 80 and more alike' if value > CEILING else ''}"]


def test_elided():
    assert elided("abcdefgh", 8) == "abcdefgh"
    assert elided("abcdefghi", 8) == "abc…fghi"


def test_long_names_lose_what_all_share_first():
    shared = "model.encoder.layers."
    assert told_apart([f"{shared}{i}.feed_forward.down" for i in range(2)], LETTERS) == [
        "…0.feed_forward.down",
        "…1.feed_forward.down",
    ]
    assert told_apart([f"{shared}a", f"{shared}b"], LETTERS) == [f"{shared}a", f"{shared}b"]
    long = [f"{shared}{i}.{'x' * 50}" for i in range(2)]
    assert all(len(name) == LETTERS and name.startswith(f"…{i}.") for i, name in enumerate(told_apart(long, LETTERS)))
    assert told_apart(["a" * 40, "b" * 40], 5) == ["aa…aa", "bb…bb"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (51_530, "51.5 kB"), (999_499, "999 kB"), (999_500, "1 MB"),
     (2**40, "1.1 TB")],
)  # fmt: skip
def test_amounts(value, text):
    assert amount(value, "B") == text
    assert amount(value, "") == text.removesuffix("B").strip()
