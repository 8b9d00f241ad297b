"""What the tests of the command share: ways to call it."""

import subprocess
import sys
from collections.abc import Callable

import pytest


@pytest.fixture
def refusal(gainer: Callable[..., None]) -> Callable[..., str]:
    """Runs the command in this process, expects it to refuse, and returns what it says: always one line."""

    def run(*words: object) -> str:
        with pytest.raises(SystemExit) as stopped:
            gainer(*words)
        message = stopped.value.code
        assert isinstance(message, str), "Python prints a text and exits with status 1"
        assert message and "\n" not in message
        return message

    return run


@pytest.fixture
def process() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command in a process of its own."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gainer_ns.cli.main", *(str(word) for word in words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    return run
