"""What becomes of a program whose standard output is read by nobody, or cannot hold what is printed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from gainer_ns.standard_output import keep_standard_output
keep_standard_output()
for line in range(20000):
    print("caf\\xe9 \\udce9 \\u2501")
sys.stdout.flush()
open(sys.argv[1], "w").write("whole")
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf8"])
def test_what_an_encoding_does_not_hold_is_escaped(tmp_path: Path, encoding: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    run = subprocess.run(
        [sys.executable, "-c", CODE, tmp_path / "file"], env=environment, capture_output=True, check=True
    )
    assert run.stderr == b""
    line = run.stdout.splitlines()[0].decode(encoding)
    assert line == {"ascii": "caf\\xe9 \\udce9 \\u2501", "latin-1": "caf\xe9 \\udce9 \\u2501"}.get(
        encoding, "caf\xe9 \\udce9 \u2501"
    )


@pytest.mark.parametrize("closed", ["pipe", "descriptor"])
def test_work_goes_on_when_nobody_reads(tmp_path: Path, closed: str) -> None:
    """As in ``gainer ... | head -0`` and ``gainer ... >&-``."""
    command = [sys.executable, "-c", CODE, str(tmp_path / "file")]
    if closed == "descriptor":
        command = ["sh", "-c", 'exec "$0" "$@" >&-', *command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 0
    assert (tmp_path / "file").read_text() == "whole"
