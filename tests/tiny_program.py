"""The smallest real artifacts: a Relax VM program that adds a constant to int8."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edgegate import _json, _zip, vectors
from edgegate.artifact import Artifact, IOSpec, Storage, Target
from edgegate.manifest import MANIFEST

STORED = Storage(dtype="int8", scale=0.5, zero_point=3)


@cache
def library(constant: int, batch: int = 1, outputs: int = 1) -> bytes:
    """program.so: int8 [batch, 8] + constant, wrapping; further outputs are the input itself, reshaped."""
    import tvm
    from tvm import relax, te

    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((batch, 8), "int8"))

    def add(a):
        value = tvm.tirx.const(constant, "int8")
        return te.compute(a.shape, lambda i, j: (a[i, j] + value).astype("int8"))

    with builder.function("main", [x]):
        with builder.dataflow():
            y = builder.emit(builder.call_te(add, x))
            views = [builder.emit(relax.op.reshape(x, (batch, 8))) for _ in range(outputs - 1)]
            result = builder.emit_output(relax.Tuple([y, *views]) if views else y)
        builder.emit_func_output(result)
    with TemporaryDirectory() as folder:
        path = Path(folder, "program.so")
        module = relax.transform.LegalizeOps()(builder.get())
        tvm.compile(module, tvm.target.Target({"kind": "llvm"})).export_library(str(path))
        return path.read_bytes()


def artifact(
    program: bytes = b"no program",
    *,
    batch: int = 1,
    outputs: int = 1,
    constant: int = 1,
    target: Target | None = None,
    storage: Storage | None = STORED,
    more: Mapping[str, bytes] | None = None,
    options: Mapping[str, Any] | None = None,
    proof: Mapping[str, Any] | None = None,
) -> Artifact:
    """An artifact of ``program`` with two correct test vectors."""
    x = [np.full((batch, 8), n, np.int8) for n in (0, 5)]
    names = ["y", *(f"view{i}" for i in range(1, outputs))]
    answers = [dict.fromkeys(names, a) | {"y": a + np.int8(constant)} for a in x]
    tests = [vectors.Vector(inputs={"x": a}, outputs=y) for a, y in zip(x, answers, strict=True)]
    dtype = "float32" if storage else "int8"
    return Artifact.create(
        {"program.so": program, "vectors.npz": vectors.pack(tests), "model.onnx": b"graph" * 50, **(more or {})},
        target=target or Target(kind="llvm"),
        inputs=[IOSpec(name="x", shape=(batch, 8), dtype=dtype, storage=storage)],
        outputs=[IOSpec(name=n, shape=(batch, 8), dtype=dtype, storage=storage) for n in names],
        options={"batch": batch} if options is None else options,
        proof={"conv": {"low": -5, "high": 7}} if proof is None else proof,
    )


def forged(made: Artifact, **changes: Any) -> bytes:
    """The .egate file of ``made`` with another manifest, whose digest is right."""
    body = {**made.manifest.document(), **changes}
    return file_of(made, _json.canonical({**body, "digest": _digest(body)}))


def _digest(body: Any) -> str:
    import hashlib

    return hashlib.sha256(_json.canonical(body)).hexdigest()


def file_of(made: Artifact, manifest: bytes) -> bytes:
    """The .egate file with these manifest bytes and the files of ``made``."""
    return b"".join(_zip.pack({MANIFEST: manifest, **dict(sorted(made.files.items()))}))
