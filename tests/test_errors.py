"""What a user can get wrong, said in one line."""

import copy
import errno
import pickle
from collections.abc import Callable

import pytest

from gainer_ns.errors import GainerError, memory_in_words, memory_ran_out


def test_it_is_a_value_error_to_callers() -> None:
    with pytest.raises(ValueError, match="the thing: wrong") as error:
        raise GainerError("the thing: wrong; mend it")
    assert isinstance(error.value, GainerError)
    assert str(error.value) == "the thing: wrong; mend it"
    assert not isinstance(error.value, SystemExit), "no event loop ends of it"


def test_it_survives_copies() -> None:
    error = GainerError("the thing: wrong")
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(other) is GainerError and str(other) == "the thing: wrong"


def test_memory_that_ran_out_is_not_blamed_on_what_it_was_for(exhaustion: Callable[[], None]) -> None:
    def load() -> None:
        try:
            exhaustion()
        except Exception as error:
            raise GainerError("the file: damaged; fetch it again") from error

    with pytest.raises(GainerError, match=r"^memory ran out; ask for less$"), memory_in_words("ask for less"):
        load()


def test_what_says_already_that_memory_ran_out_is_left_alone() -> None:
    def load() -> None:
        raise GainerError("the network: memory ran out; choose a smaller one") from MemoryError()

    with pytest.raises(GainerError, match="choose a smaller one"), memory_in_words("ask for less"):
        load()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("on line 3: 'out of memory'"),
        KeyError("out of memory"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "out of memory.png"),
        OSError(errno.ENOSPC, "No space left on device"),
        GainerError("out of memory.png: does not exist"),
        RuntimeError("shapes do not match"),
    ],
    ids=repr,
)
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert not memory_ran_out(error)
    with pytest.raises(type(error)) as caught, memory_in_words("ask for less"):
        raise error
    assert caught.value is error
