"""The Scheme: how every value of a model is stored. Data, not graph; the only thing that ``quant`` makes.

Its JSON is canonical (same scheme, same bytes) and meant to be read and edited by people:

    {"schema": 1,
     "values": {"x": {"dtype": "int8", "scale": 0.0078125, "zero_point": 0}},
     "weights": {"w": {"bits": 8, "axis": 0, "scales": [0.01, 0.02]}},
     "biases": {"b": [0.001, -0.002]},
     "blocks": {"v": {"weights": "bfp12", "activations": "bfp16", "scales": [], "tensor_scale": 1.0}},
     "transforms": {},
     "products": {},
     "options": {"method": "mse"}}

A scheme with ``products`` or ``transforms`` is one of the model before they are applied, in that order
(:func:`edgegate.quant.apply.apply_scheme`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeAlias

from edgegate.quant.product_storage import ProductStorage
from edgegate.quant.storage import BlockStorage, Storage, WeightStorage
from edgegate.quant.transform_storage import TransformStorage

SCHEMA = 2
"""Version of the JSON form."""
Option: TypeAlias = "str | int | float | bool | list[str] | list[float] | None"


PARTS = (
    ("values", Storage), ("weights", WeightStorage), ("blocks", BlockStorage), ("transforms", TransformStorage),
    ("products", ProductStorage),
)  # fmt: skip
"""The attributes that map names to how something is stored."""


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """How a model is stored.

    Attributes:
        values: By name of the activation (graph input, node output, or constant operand of a binary op).
        weights: By name of the weight initializer.
        biases: By name of the bias initializer: corrections, added to the float bias before it is rounded.
        blocks: By name of the weight initializer: what is stored in blocks, and not in ``weights``.
        transforms: What stands before the layers in blocks, by a name of its own.
        products: By name of the scores: the products of queries and keys that are stored in blocks.
        options: Where the scheme came from: the recipe and the calibration. Nothing reads it but people.

    Raises:
        ValueError: A correction is not finite, or something has the wrong type.
    """

    values: Mapping[str, Storage]
    weights: Mapping[str, WeightStorage] = field(default_factory=dict)
    biases: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    blocks: Mapping[str, BlockStorage] = field(default_factory=dict)
    transforms: Mapping[str, TransformStorage] = field(default_factory=dict)
    products: Mapping[str, ProductStorage] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, kind in PARTS:
            entries = dict(getattr(self, name))
            if not all(isinstance(k, str) and isinstance(v, kind) for k, v in entries.items()):
                raise ValueError(f"{name} must map names to {kind.__name__}")
            object.__setattr__(self, name, entries)
        if both := sorted(set(self.weights) & set(self.blocks)):
            raise ValueError(f"weights and blocks both say how to store {', '.join(both)}")
        biases = {name: tuple(map(_number, numbers)) for name, numbers in self.biases.items()}
        object.__setattr__(self, "biases", biases)
        options = dict(self.options)
        for option in options.values():
            _check_option(option)
        object.__setattr__(self, "options", options)

    def to_json(self) -> str:
        """The canonical JSON text, sorted by name, with a final newline."""
        document = {
            "schema": SCHEMA,
            "values": {k: asdict(v) for k, v in self.values.items()},
            "weights": {k: asdict(v) for k, v in self.weights.items()},
            "biases": self.biases,
            "blocks": {k: asdict(v) for k, v in self.blocks.items()},
            "transforms": {k: asdict(v) for k, v in self.transforms.items()},
            "products": {k: asdict(v) for k, v in self.products.items()},
            "options": self.options,
        }
        return json.dumps(document, allow_nan=False, ensure_ascii=False, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Scheme:
        """Read what :meth:`to_json` wrote, or what someone made of it.

        Raises:
            ValueError: Not JSON, another schema version, an unknown, missing or repeated key, a NaN or
                infinite number, or an impossible storage; the message names the entry.
        """
        document = _parse(text)
        keys = ("schema", "values", "weights", "biases", "blocks", "transforms", "products", "options")
        _expect_keys("the scheme", document, keys)
        if document["schema"] != SCHEMA or isinstance(document["schema"], bool):
            raise ValueError(f"schema {document['schema']!r} is not {SCHEMA}: written by another version")
        return cls(
            values=_entries(document, "values", _storage),
            weights=_entries(document, "weights", _weight_storage),
            biases=_entries(document, "biases", lambda entry: tuple(map(_number, _list(entry)))),
            blocks=_entries(document, "blocks", _block_storage),
            transforms=_entries(document, "transforms", _transform_storage),
            products=_entries(document, "products", _product_storage),
            options=_entries(document, "options", _check_option),
        )


def _parse(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a number")

    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=_unique)
    except RecursionError as e:
        raise ValueError("nested too deeply") from e


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"key {key!r} appears twice")
        result[key] = value
    return result


def _expect_keys(what: str, entry: Any, keys: tuple[str, ...]) -> None:
    if not isinstance(entry, dict):
        raise ValueError(f"{what} must be an object, got {entry!r:.60}")
    if set(entry) != set(keys):
        unknown, missing = sorted(set(entry) - set(keys)), sorted(set(keys) - set(entry))
        raise ValueError(f"{what}: unknown keys {unknown}, missing keys {missing}")


def _entries(document: dict[str, Any], name: str, read: Any) -> dict[str, Any]:
    if not isinstance(document[name], dict):
        raise ValueError(f"{name} must be an object, got {document[name]!r:.60}")
    result = {}
    for key, entry in document[name].items():
        try:
            result[key] = read(entry)
        except ValueError as e:
            raise ValueError(f"{name}[{key!r}]: {e}") from e
    return result


def _storage(entry: Any) -> Storage:
    _expect_keys("a storage", entry, ("dtype", "scale", "zero_point"))
    if not isinstance(entry["dtype"], str):
        raise ValueError(f"dtype must be a string, got {entry['dtype']!r:.60}")
    return Storage(**entry)


def _weight_storage(entry: Any) -> WeightStorage:
    _expect_keys("a weight storage", entry, ("bits", "axis", "scales"))
    return WeightStorage(bits=entry["bits"], axis=entry["axis"], scales=tuple(_list(entry["scales"])))


def _block_storage(entry: Any) -> BlockStorage:
    _expect_keys("a block storage", entry, ("weights", "activations", "scales", "tensor_scale"))
    weights, activations = entry["weights"], entry["activations"]
    if not isinstance(weights, str) or not (activations is None or isinstance(activations, str)):
        raise ValueError(f"a format must be a name, got {weights!r:.60} and {activations!r:.60}")
    scales = tuple(map(_number, _list(entry["scales"])))
    tensor = _number(entry["tensor_scale"])
    return BlockStorage(weights=weights, activations=activations, scales=scales, tensor_scale=tensor)


def _transform_storage(entry: Any) -> TransformStorage:
    _expect_keys("a transform", entry, tuple(field.name for field in fields(TransformStorage)))
    lists = {name: tuple(_list(entry[name])) for name in ("readers", "diagonal", "matrices")}
    return TransformStorage(**{**entry, **lists, "diagonal": tuple(map(_number, lists["diagonal"]))})


def _product_storage(entry: Any) -> ProductStorage:
    _expect_keys("a product", entry, tuple(field.name for field in fields(ProductStorage)))
    if not isinstance(entry["keys"], str) or not isinstance(entry["queries"], str | None):
        raise ValueError(f"a format must be a name, got {entry['keys']!r:.60} and {entry['queries']!r:.60}")
    order, scale = tuple(_list(entry["order"])), tuple(map(_number, _list(entry["scale"])))
    return ProductStorage(**{**entry, "order": order, "scale": scale})


def _list(entry: Any) -> list[Any]:
    if not isinstance(entry, list):
        raise ValueError(f"must be a list, got {entry!r:.60}")
    return entry


def _number(entry: Any) -> float:
    if isinstance(entry, bool) or not isinstance(entry, int | float):
        raise ValueError(f"must be a number, got {entry!r:.60}")
    if (isinstance(entry, int) and entry.bit_length() > 128) or not math.isfinite(entry):
        raise ValueError("must be finite")
    return float(entry)


def _check_option(option: Any) -> Any:
    """A scalar, or a list of scalars; numbers finite."""
    for part in option if isinstance(option, list) else [option]:
        if isinstance(part, int | float) and not isinstance(part, bool):
            _number(part)
        elif part is not None and not isinstance(part, str | bool):
            raise ValueError(f"an option must be a scalar or a list of scalars, got {part!r:.60}")
    return option
