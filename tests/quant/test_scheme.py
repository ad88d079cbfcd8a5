"""The Scheme's JSON: canonical, strict, and made to be edited."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegate.quant import ProductStorage, Scheme, Storage, WeightStorage

SCALES = st.floats(2.0**-60, 2.0**60)
STORAGES = st.one_of(
    st.builds(Storage, dtype=st.just("int8"), scale=SCALES, zero_point=st.integers(-128, 127)),
    st.builds(Storage, dtype=st.just("uint8"), scale=SCALES, zero_point=st.integers(0, 255)),
    st.builds(Storage, dtype=st.just("int16"), scale=SCALES),
)
WEIGHTS = st.builds(WeightStorage, axis=st.integers(0, 3), scales=st.lists(SCALES, min_size=1, max_size=4).map(tuple))
PRODUCTS = st.builds(
    ProductStorage, keys=st.just("bfp12"), queries=st.sampled_from([None, "bfp16"]),
    rotary=st.sampled_from(["none", "half"]), order=st.just((1, 0)), scale=st.sampled_from([(), (0.5, 3.0)]),
)  # fmt: skip
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SCHEMES = st.builds(
    Scheme,
    values=st.dictionaries(st.text(), STORAGES, max_size=4),
    weights=st.dictionaries(st.text(), WEIGHTS, max_size=3),
    biases=st.dictionaries(st.text(), st.lists(NUMBERS, max_size=3).map(tuple), max_size=3),
    products=st.dictionaries(st.text(), PRODUCTS, max_size=2),
    options=st.dictionaries(st.text(), st.one_of(st.none(), st.booleans(), st.integers(-9, 9), NUMBERS, st.text())),
)


@given(SCHEMES)
def test_round_trip_is_exact_and_canonical(scheme: Scheme) -> None:
    text = scheme.to_json()
    again = Scheme.from_json(text)
    assert again == scheme
    assert again.to_json() == text


def example() -> dict[str, Any]:
    scheme = Scheme(
        values={"x": Storage(dtype="int8", scale=0.5, zero_point=3)},
        weights={"w": WeightStorage(axis=0, scales=(0.25, 0.5))},
        biases={"b": (0.0, -1.5)},
        products={"p": ProductStorage(keys="bfp12", queries="bfp16", order=(1, 0), scale=(0.5, 2.0))},
        options={"method": "mse", "int16": ["a*"]},
    )
    document: dict[str, Any] = json.loads(scheme.to_json())
    return document


def test_order_does_not_matter() -> None:
    a, b = Storage(dtype="int8", scale=1.0), Storage(dtype="int16", scale=2.0)
    assert Scheme(values={"a": a, "b": b}).to_json() == Scheme(values={"b": b, "a": a}).to_json()


def test_an_edit_is_given_back() -> None:
    document = example()
    document["values"]["x"].update(dtype="int16", scale=0.125, zero_point=0)
    assert Scheme.from_json(json.dumps(document)).values["x"] == Storage(dtype="int16", scale=0.125)


@pytest.mark.parametrize(("path", "value"), [
    (("schema",), 1), (("schema",), True), (("schema",), "1"), (("extra",), 1), (("values",), []),
    (("values", "x"), None), (("values", "x", "scale"), 0), (("values", "x", "scale"), "1"),
    (("values", "x", "scale"), 10**400), (("values", "x", "scale"), True), (("values", "x", "scale"), [1.0]),
    (("values", "x", "zero_point"), 128), (("values", "x", "zero_point"), 1.0), (("values", "x", "zp"), 1),
    (("values", "x", "dtype"), "float32"), (("values", "x", "dtype"), ["int8"]),
    (("weights", "w", "bits"), 16),
    (("weights", "w", "scales"), 1.0), (("weights", "w", "scales"), []), (("weights", "w", "scales"), "12"),
    (("weights", "w", "axis"), None), (("biases", "b"), 1.0), (("biases", "b"), [None]),
    (("biases", "b"), [10**400]), (("products", "p"), None), (("products", "p", "keys"), None),
    (("products", "p", "keys"), "bfp99"), (("products", "p", "queries"), 12), (("products", "p", "rotary"), "whole"),
    (("products", "p", "rotary"), ["none"]), (("products", "p", "order"), [1.0, 0]),
    (("products", "p", "order"), [-1, 0]),
    (("products", "p", "order"), [True, 0]), (("products", "p", "order"), 1), (("products", "p", "order"), [0]),
    (("products", "p", "scale"), [0, 1]), (("products", "p", "scale"), ["1", 1]), (("products", "p", "extra"), 1),
    (("options", "deep"), {"a": 1}), (("options", "deep"), [[1]]),
])  # fmt: skip
def test_hostile_entries_are_refused(path: tuple[str, ...], value: Any) -> None:
    document = example()
    entry = document
    for key in path[:-1]:
        entry = entry[key]
    entry[path[-1]] = value
    with pytest.raises(ValueError, match=r"\w"):
        Scheme.from_json(json.dumps(document))


@pytest.mark.parametrize("text", [
    "", "{", "null", "[]", "1", '{"schema": 1}', "[" * 100_000,
    json.dumps(example()).replace("0.5", "NaN", 1), json.dumps(example()).replace("0.5", "Infinity", 1),
    json.dumps(example()).replace("0.5", "1e999", 1), json.dumps(example()).replace("-1.5", "-1e999", 1),
    json.dumps(example()).replace('"zero_point"', '"scale": 1.0, "zero_point"', 1),
    json.dumps(example()).replace("0.25", "9" * 5000, 1),
])  # fmt: skip
def test_hostile_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Scheme.from_json(text)


@pytest.mark.parametrize(
    "missing", ["schema", "values", "weights", "biases", "blocks", "transforms", "products", "options"]
)
def test_missing_parts_are_named(missing: str) -> None:
    document = example()
    del document[missing]
    with pytest.raises(ValueError, match=missing):
        Scheme.from_json(json.dumps(document))


def test_wrong_types_are_refused_at_construction() -> None:
    with pytest.raises(ValueError, match="Storage"):
        Scheme(values={"x": 1.0})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="finite"):
        Scheme(values={}, biases={"b": (float("nan"),)})
