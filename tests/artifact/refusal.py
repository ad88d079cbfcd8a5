"""What the tests of hostile artifacts share."""

import pytest

import edgegate
from edgegate import files
from edgegate.errors import FileError, UnsafeError

REFUSED = (FileError, UnsafeError)


def refused(path, *words):
    """The message with which ``path`` is refused: one line that begins with the path."""
    with pytest.raises(REFUSED) as caught:
        edgegate.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(files.show(path))
    assert all(word in message for word in words), message
    return caught.type
