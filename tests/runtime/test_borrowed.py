"""Inputs that the program reads where they lie."""

import numpy as np
import pytest

from edgegate.errors import InputError
from edgegate.runtime import Session
from tests import tiny_program as tiny


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(tiny.artifact(tiny.library(1, 8), batch=8), threads=1)


def stored(x: np.ndarray, session: Session) -> np.ndarray:
    """What the session gives for a copy that lies anywhere, here on an odd address."""
    raw = np.zeros(x.nbytes + 1, np.uint8)
    odd = raw[1:].view(x.dtype).reshape(x.shape)
    odd[:] = x
    return session(odd)


def test_nothing_is_copied(session: Session) -> None:
    """The program's own buffer is left alone."""
    x = session.empty()
    x[:] = np.random.default_rng(0).integers(-100, 100, x.shape)
    session._program.buffers[0][:] = 77
    found = session(x)
    assert (session._program.buffers[0] == 77).all()
    np.testing.assert_array_equal(found, stored(x, session))


def test_a_borrowed_array_is_read_once(session: Session) -> None:
    """The next call reads what it was given."""
    x = session.empty()
    first = session(x)
    other = np.full_like(x, 5)
    assert not np.array_equal(session(other), first)
    np.testing.assert_array_equal(session(other), stored(other, session))


@pytest.mark.parametrize("samples", [8, 16, 13])
def test_several_calls(session: Session, samples: int) -> None:
    x = session.empty(samples=samples)
    x[:] = np.random.default_rng(1).integers(-100, 100, x.shape)
    np.testing.assert_array_equal(session(x), stored(x, session))


def test_what_may_not_be_written_is_copied(session: Session) -> None:
    x = session.empty()
    x[:] = 3
    x.flags.writeable = False
    np.testing.assert_array_equal(session(x), stored(x, session))


def test_an_input_that_is_not_there(session: Session) -> None:
    with pytest.raises(InputError, match="no input 'z'"):
        session.empty("z")
