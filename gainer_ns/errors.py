"""Report mistakes that a user can mend in one line."""

import errno
import pickle
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager

LOAD_ERRORS = (
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    struct.error,
    pickle.UnpicklingError,
)
"""Errors that loading raises where a checkpoint is whole, but is none, or fits another model."""
_NO_MEMORY = re.compile(
    r"(?i)out of memory|insufficient memory|alloc_failed|bad_alloc|allocate (memory|\d)|overflowed with siz"
)
"""How torch, Warp, OpenCV, safetensors and Pillow put it."""
_RAN_OUT = "memory ran out"


class GainerError(ValueError):
    """A mistake that the user can mend: one line that names the thing, what is wrong with it, and the remedy.

    Programs end on that line; see :mod:`gainer_ns.doors`.
    """


class Unavailable(GainerError):
    """Something that this machine does not have, such as a GPU; no mistake of the user's."""


def memory_ran_out(error: BaseException) -> bool:
    """Return whether an error, or one that it was raised from, says that there is no memory left.

    Libraries say so in their own exceptions; those that quote what a user wrote, such as of YAML, are not searched.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    library = type(error).__module__.partition(".")[0]
    speaks = isinstance(error, RuntimeError | OSError) or library in ("cv2", "safetensors")
    if isinstance(error, MemoryError) or (speaks and _NO_MEMORY.search(" ".join(str(error).split()))):
        return True
    return error.__cause__ is not None and memory_ran_out(error.__cause__)


@contextmanager
def memory_in_words(remedy: str) -> Iterator[None]:
    """Raise a one-line GainerError with a remedy where memory ran out, whichever library was refused it."""
    try:
        yield
    except Exception as error:
        if not memory_ran_out(error) or (isinstance(error, GainerError) and _RAN_OUT in str(error)):
            raise
        raise GainerError(f"{_RAN_OUT}; {remedy}") from error
