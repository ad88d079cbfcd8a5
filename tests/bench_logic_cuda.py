"""Images a second of the trained net of 48,000 gates on a GPU, beside its layers one at a time.

In two halves, since the machine that compiles needs no GPU and the machine with the GPU needs no compiler:

    python -m tests.bench_logic_cuda build FOLDER --data DATA    # nvcc and the extra ``compile``
    python -m tests.bench_logic_cuda run FOLDER                  # NVIDIA's driver and numpy

DATA holds the net (``lgn_mnist20x20_6x8000.npz``) and MNIST's test images (``mnist_t10k.npz``). Half of the images
that are checked are MNIST's, half are drawn anew in every run. The peer runs the net as it was trained, a kernel for
each layer and one for the sums, values in global memory, four words a thread: difflogic's way, with narrower indices.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from edgegate import Artifact
from edgegate._cuda_driver import Device, Event, Memory, Module, Pointer
from edgegate._cuda_program import LogicKernel, pitch_of

NET, IMAGES, CLASSES = "lgn_mnist20x20_6x8000.npz", "mnist_t10k.npz", 10
ROUNDS = 15
PEER = r"""
typedef unsigned int word;
// Gates of one layer: bit 3 - (2 a + b) of the number of a gate is its value, as difflogic has it.
__device__ __forceinline__ word gate(int op, word a, word b) {
  const word m0 = -(op >> 3 & 1), m1 = -(op >> 2 & 1), m2 = -(op >> 1 & 1), m3 = -(op & 1);
  const word low = (b & m1) | (~b & m0), high = (b & m3) | (~b & m2);
  return (a & high) | (~a & low);
}
extern "C" __global__ void layer(const uint4* x, uint4* y, const int* a, const int* b, const unsigned char* op,
                                 int gates, int quads) {
  const int quad = blockIdx.x * blockDim.x + threadIdx.x;
  for (int g = blockIdx.y; g < gates && quad < quads; g += gridDim.y) {
    const uint4 u = x[(long long)a[g] * quads + quad], v = x[(long long)b[g] * quads + quad];
    const int o = op[g];
    y[(long long)g * quads + quad] =
        make_uint4(gate(o, u.x, v.x), gate(o, u.y, v.y), gate(o, u.z, v.z), gate(o, u.w, v.w));
  }
}
extern "C" __global__ void sums(const word* x, int* counts, int size, int words) {
  const int column = blockIdx.x * blockDim.x + threadIdx.x, k = blockIdx.y, classes = gridDim.y;
  if (column >= words) return;
  word planes[10] = {};
  for (int i = 0; i < size; ++i) {
    word carry = x[(long long)(k * size + i) * words + column];
#pragma unroll
    for (int p = 0; p < 10; ++p) { const word next = planes[p] & carry; planes[p] ^= carry; carry = next; }
  }
  for (int s = 0; s < 32; ++s) {
    int total = 0;
#pragma unroll
    for (int p = 0; p < 10; ++p) total += int(planes[p] >> s & 1u) << p;
    counts[((long long)column * 32 + s) * classes + k] = total;
  }
}
"""


def trained(data: Path) -> tuple[Any, Any, Any]:
    """The net as a netlist, its sums, and MNIST's test images as bits."""
    from edgegate.logic import GroupSum, Netlist

    net, images = np.load(data / NET), np.load(data / IMAGES)["images"]
    layers, width = net["gate"].shape
    inputs = 400
    starts = np.array([1, *(1 + inputs + width * i for i in range(layers - 1))], np.int32)[:, None]
    fanins = np.stack([net["input_a"] + starts, net["input_b"] + starts], -1).reshape(-1, 2).astype(np.int32)
    gate = net["gate"].reshape(-1).astype(np.uint64)
    tables = sum(
        (gate >> np.uint64(3 - (2 * a + b)) & np.uint64(1)) << np.uint64(a + 2 * b) for a in (0, 1) for b in (0, 1)
    )
    last = 1 + inputs + width * (layers - 1) + np.arange(width)
    netlist = Netlist(inputs=inputs, fanins=fanins, tables=tables, outputs=(2 * last).astype(np.int32))
    bits = (images[:, 4:24, 4:24] >= 128).reshape(-1, inputs).astype(np.uint8)
    return netlist, GroupSum.contiguous(width, CLASSES), bits


def build(folder: Path, data: Path, architecture: str) -> None:
    """Compile the net and the peer, and compute what is right."""
    from edgegate import CompileOptions
    from edgegate.logic import counts, evaluate
    from edgegate.passes.logic.optimise import optimise
    from edgegate.stages import prove
    from edgegate.targets._nvcc import compiled
    from edgegate.targets.cuda import cuda
    from tests.targets.logic_models import classifier

    netlist, sums, bits = trained(data)
    small = optimise(netlist, sums)
    model = classifier(small.netlist, small.sums)
    cuda(CompileOptions(target="cuda", mcpu=architecture))(model, prove(model)).save(folder / "net.egate")
    (folder / "peer.cubin").write_bytes(compiled(PEER, architecture.removeprefix("sm_")))
    rng = np.random.default_rng()
    fresh = rng.random(bits.shape) < rng.random((len(bits), 1))
    samples = np.concatenate([bits, fresh.astype(np.uint8)])
    expected = np.concatenate([counts(sums, evaluate(netlist, part)) for part in np.split(samples, 10)])
    net = np.load(data / NET)
    np.savez_compressed(
        folder / "data.npz", bits=np.packbits(samples, axis=1, bitorder="little"), counts=expected,
        a=net["input_a"].astype(np.int32), b=net["input_b"].astype(np.int32), gate=net["gate"].astype(np.uint8),
    )  # fmt: skip


def median(start: Any) -> float:
    """Milliseconds of two calls of ``start``, halved: the median of several turns."""
    start()
    times = []
    for _ in range(ROUNDS):
        before, after = Event(), Event()
        before.record()
        start()
        start()
        after.record()
        times.append(after.since(before) / 2)
    return float(np.median(times))


class Images:
    """Many images on the device, drawn from those that are known; what is right for them."""

    def __init__(self, kernel: LogicKernel, data: Any, samples: int) -> None:
        order = np.random.default_rng().integers(0, len(data["counts"]), samples)
        self.rows, self.expected = data["bits"][order], data["counts"][order]
        self.samples, self.pitch, self.inputs = samples, pitch_of(samples), kernel.inputs
        self.bytes = Memory.of(self.rows)
        self.packed = Memory(4 * kernel.inputs * self.pitch)
        self.counts, self.classes = Memory(4 * CLASSES * samples + 64), Memory(8 * samples + 64)
        kernel.pack(self.bytes.pointer, self.packed.pointer, self.pitch, samples, bits=True)

    def bools(self, samples: int | None = None) -> Any:
        """uint8 [samples, inputs] of the first samples; None: of all."""
        return np.ascontiguousarray(np.unpackbits(self.rows[:samples], axis=1, bitorder="little")[:, : self.inputs])

    def poison(self) -> None:
        self.counts.fill(0xCD)
        self.classes.fill(0xCD)

    def check(self, what: str, samples: int, classes: bool = False) -> None:
        """Stop unless the counts of the first samples are right and nothing was written behind them."""
        found = self.counts.read(np.empty(CLASSES * samples + 16, np.int32))
        assert (found[:-16].reshape(-1, CLASSES) == self.expected[:samples]).all(), f"{what}: wrong counts"
        assert (found[-16:].view(np.uint8) == 0xCD).all(), f"{what}: writes behind its output"
        if classes:
            made = self.classes.read(np.empty(self.samples, np.int64))
            assert (made == self.expected.argmax(1)).all(), f"{what}: wrong classes"


def run(folder: Path, samples: int) -> list[dict[str, Any]]:
    """Check and time; a row for each way."""
    device = Device()
    artifact, data = Artifact.load(folder / "net.egate"), np.load(folder / "data.npz")
    assert artifact.verify() > 1
    kernel = LogicKernel(artifact.files, device)
    for n in (1, 31, 32, 33, 255, 256, 257, 1000, 10_000):
        few = Images(kernel, data, n)
        few.poison()
        kernel.run(few.packed.pointer, few.pitch, n, counts=few.counts.pointer, classes=few.classes.pointer)
        few.check(f"{n} images", n, classes=True)
        few.poison()
        _from_bools(kernel, few, Memory.of(few.bools()), n)
        few.check(f"{n} images in bytes", n)
    images = Images(kernel, data, samples)
    rows = [_timed("fused, packed input", images, lambda: _fused(kernel, images), samples)]
    rows.append(_timed("fused, packed rows of bytes", images, lambda: _from_bits(kernel, images), samples))
    part = min(samples, 1 << 20)
    full = Memory.of(images.bools(part))
    rows.append(_timed("fused, bool rows", images, lambda: _from_bools(kernel, images, full, part), part))
    rows.append(_timed("layer at a time, packed input", images, _Peer(folder, data, images), samples))
    return rows


def _timed(name: str, images: Images, start: Any, samples: int) -> dict[str, Any]:
    images.poison()
    start()
    images.check(name, samples)
    milliseconds = median(start)
    return {
        "what": name,
        "images": samples,
        "ms": round(milliseconds, 3),
        "G/s": round(samples / milliseconds / 1e6, 3),
    }


def _fused(kernel: LogicKernel, images: Images) -> None:
    kernel.run(images.packed.pointer, images.pitch, images.samples, counts=images.counts.pointer)


def _from_bits(kernel: LogicKernel, images: Images) -> None:
    kernel.pack(images.bytes.pointer, images.packed.pointer, images.pitch, images.samples, bits=True)
    _fused(kernel, images)


def _from_bools(kernel: LogicKernel, images: Images, rows: Memory, samples: int) -> None:
    kernel.pack(rows.pointer, images.packed.pointer, images.pitch, samples)
    kernel.run(images.packed.pointer, images.pitch, samples, counts=images.counts.pointer)


class _Peer:
    """A kernel for each layer."""

    def __init__(self, folder: Path, data: Any, images: Images) -> None:
        module = Module((folder / "peer.cubin").read_bytes())
        self._layer, self._sums = module.kernel("layer"), module.kernel("sums")
        self._images = images
        self._wiring = [[Memory.of(data[name][i]) for name in ("a", "b", "gate")] for i in range(len(data["gate"]))]
        self._width = data["gate"].shape[1]
        self._buffers = [Memory(4 * self._width * images.pitch) for _ in range(2)]

    def __call__(self) -> None:
        images, source = self._images, self._images.packed
        quads, gates = images.pitch // 4, ctypes.c_int(self._width)
        for i, wiring in enumerate(self._wiring):
            target = self._buffers[i % 2]
            places = [Pointer(m.pointer) for m in (source, target, *wiring)]
            self._layer.launch((-(-quads // 256), 256), 256, [*places, gates, ctypes.c_int(quads)])
            source = target
        size, words = ctypes.c_int(self._width // CLASSES), ctypes.c_int(images.pitch)
        arguments = [Pointer(source.pointer), Pointer(images.counts.pointer), size, words]
        self._sums.launch((-(-images.pitch // 128), CLASSES), 128, arguments)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("half", choices=("build", "run"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--architecture", default="sm_90")
    parser.add_argument("--images", type=int, default=1 << 22, help="a multiple of 256")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.half == "build":
        build(given.folder, given.data, given.architecture)
        return
    rows = run(given.folder, given.images)
    machine = {"device": Device().name, "date": str(datetime.date.today()), "python": platform.python_version()}
    if given.json:
        print(json.dumps({**machine, "rows": rows}))
        return
    print(*(f"{key} {value}" for key, value in machine.items()), sep=", ")
    for row in rows:
        print(f"{row['what']:32} {row['images']:>9} images  {row['ms']:9.3f} ms  {row['G/s']:7.3f} G images/s")


if __name__ == "__main__":
    main()
