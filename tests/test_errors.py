"""What a user can get wrong, said in one line."""

import copy
import pickle
import subprocess
import sys

import pytest

from gainer_ns.errors import GainerError


def test_it_is_a_value_error_to_callers() -> None:
    with pytest.raises(ValueError, match="the thing: wrong") as error:
        raise GainerError("the thing: wrong; mend it")
    assert str(error.value) == "the thing: wrong; mend it" == error.value.code
    assert isinstance(error.value, Exception), "`except Exception` sees it"


def test_it_survives_copies() -> None:
    error = GainerError("the thing: wrong")
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(other) is GainerError and str(other) == other.code == "the thing: wrong"


@pytest.mark.parametrize("cause", ["", " from OSError('deeper')"])
def test_uncaught_it_is_one_line_and_status_one(cause: str) -> None:
    program = f"from gainer_ns.errors import GainerError\nraise GainerError('the thing: wrong; mend it'){cause}"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (1, "", "the thing: wrong; mend it\n")
