"""How programs end, and that nothing else ends of a mistake."""

import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from gainer_ns.doors import run_program
from gainer_ns.errors import GainerError

RAISED = {
    "GainerError('the thing: wrong; mend it')": (1, "the thing: wrong; mend it"),
    "GainerError('the thing: wrong; mend it') from OSError('deeper')": (1, "the thing: wrong; mend it"),
    "KeyboardInterrupt": (130, ""),
    "MemoryError": (1, "memory ran out; close other programs, or ask for less: a lower scale, or crop by crop"),
    "PermissionError(13, 'Permission denied', 'kept.png')": (
        1,
        "kept.png: cannot be used (Permission denied); look whether it is there, and whose it is",
    ),
}
DOORS = {
    "ours": "from gainer_ns.doors import run_program\ndef main():\n    raise {}\nrun_program(main)",
    "another's": "from gainer_ns.doors import end_in_one_line\nend_in_one_line()\nend_in_one_line()\nraise {}",
}


def run(program: str) -> subprocess.CompletedProcess[str]:
    program = f"from gainer_ns.errors import GainerError\n{program}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("raised", RAISED)
def test_our_programs_end_on_one_line(raised: str) -> None:
    status, line = RAISED[raised]
    done = run(DOORS["ours"].format(raised))
    assert (done.returncode, done.stdout, done.stderr.strip()) == (status, "", line)


def test_what_is_our_mistake_is_shown_whole() -> None:
    for door in DOORS.values():
        done = run(door.format("KeyError('ours')"))
        assert done.returncode == 1 and done.stderr.startswith("Traceback") and done.stderr.count("KeyError") >= 1


@pytest.mark.parametrize("cause", ["", " from OSError('deeper')"])
def test_nerfstudios_programs_end_on_one_line(cause: str) -> None:
    done = run(DOORS["another's"].format(f"GainerError('the thing: wrong; mend it'){cause}"))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "the thing: wrong; mend it\n")


def test_nerfstudio_finds_that_door() -> None:
    done = run("import gainer_ns.methods\nraise GainerError('the thing: wrong; mend it')")
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (1, ["the thing: wrong; mend it"])
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("status", [None, 0, 3])
def test_a_status_is_handed_on(status: int | None) -> None:
    if not status:
        run_program(lambda: status)
        return
    with pytest.raises(SystemExit) as ended:
        run_program(lambda: status)
    assert ended.value.code == status


def test_a_mistake_ends_no_server() -> None:
    async def request(is_bad: bool) -> str:
        await asyncio.sleep(0)
        if is_bad:
            raise GainerError("mask.png: does not exist; check the spelling")
        return "done"

    async def server() -> list[object]:
        return list(await asyncio.gather(request(True), request(False), return_exceptions=True))

    with ThreadPoolExecutor(1) as thread:  # a browser's tests leave a loop in this one
        bad, good = thread.submit(asyncio.run, server()).result()
    assert isinstance(bad, GainerError) and good == "done"


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ({}, {"OMP_WAIT_POLICY": "PASSIVE"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
        ({"GOMP_SPINCOUNT": "10"}, {"GOMP_SPINCOUNT": "10"}),
        ({"KMP_BLOCKTIME": "0"}, {"KMP_BLOCKTIME": "0"}),
    ],
)
def test_threads_wait_as_the_user_says_or_asleep(said: dict[str, str], left: dict[str, str]) -> None:
    """Before torch is there: it would not hear of it later."""
    names = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"
    code = (
        "import json, os, sys; from gainer_ns.cli import main, render; assert 'torch' not in sys.modules\n"
        f"render.Render.run = lambda self: print(json.dumps({{n: v for n, v in os.environ.items() if n in {names}}}))\n"
        "main.entrypoint(['render', '--load-config', 'a', '--output', 'b']); assert 'torch' not in sys.modules"
    )
    environment = {name: value for name, value in os.environ.items() if name not in names} | said
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert run.returncode == 0 and json.loads(run.stdout) == left, run.stderr
