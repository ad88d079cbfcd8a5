"""Small circuits for the tests of files and proofs."""

import numpy as np

from edgegate.errors import FileError, UnsafeError
from edgegate.logic import Netlist

GATES = np.repeat(
    [0, 15, 3, 5, 12, 10, 1, 2, 4, 6, 7, 8, 9, 11, 13, 14], [1, 1, 5, 5, 5, 5, 4, 4, 4, 4, 4, 3, 3, 2, 2, 2]
)
"""Gate ids about as often as training leaves them: two in five pass one operand on."""


def layers(rng, inputs, widths):
    """A netlist of layers of two-input gates with random wiring, as difflogic makes them."""
    fanins, tables = [], []
    before, node = np.arange(1, inputs + 1), inputs + 1
    for width in widths:
        fanins.append(rng.choice(before, (width, 2)))
        ids = rng.choice(GATES, width)
        tables.append(sum(((ids >> (3 - 2 * a - b)) & 1) << (a + 2 * b) for a in (0, 1) for b in (0, 1)))
        before, node = np.arange(node, node + width), node + width
    return net(inputs, np.concatenate(fanins), np.concatenate(tables), 2 * before)


def tables_of(rng, inputs, gates, k, outputs=8):
    """A netlist of random gates of up to ``k`` inputs, some of them the constant."""
    own = np.arange(inputs + 1, inputs + 1 + gates)[:, None]
    fanins = (rng.random((gates, k)) * own).astype(np.int32)
    tables = rng.integers(0, 1 << 63, gates, dtype=np.uint64) * np.uint64(2) + rng.integers(0, 2, gates).astype(
        np.uint64
    )
    tables >>= np.uint64(64 - (1 << k))
    return net(inputs, fanins, tables, rng.integers(0, 2 * (inputs + 1 + gates), outputs))


def net(inputs, fanins, tables, outputs):
    """A netlist from anything like arrays."""
    rows = np.asarray(fanins, np.int32)
    return Netlist(
        inputs=inputs,
        fanins=rows if rows.size else np.zeros((0, 2), np.int32),
        tables=np.asarray(tables, np.uint64),
        outputs=np.asarray(outputs, np.int32),
    )


def every(inputs):
    """All inputs there are, uint8 [2**inputs, inputs]."""
    return (np.arange(1 << inputs)[:, None] >> np.arange(inputs) & 1).astype(np.uint8)


def random_bits(rng, inputs, rows=256):
    """Random inputs."""
    return rng.integers(0, 2, (rows, inputs), dtype=np.uint8)


def error_of(read, data):
    """What a reader says against a file, empty if nothing; any other exception than those for files gets out."""
    try:
        read(data)
    except (FileError, UnsafeError) as error:
        return str(error)
    return ""
