import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gainer_ns.cli import main, render

HELP_AND_IMPORTS = """
import sys
from gainer_ns.cli.main import entrypoint
try:
    entrypoint(sys.argv[1:])
except SystemExit as stopped:
    assert not stopped.code
assert not {"torch", "numpy", "nerfstudio.engine"} & set(sys.modules), "too heavy"
"""


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in main.COMMANDS)], ids=" ".join)
def test_help_answers_at_once(words: list[str]) -> None:
    run = subprocess.run([sys.executable, "-c", HELP_AND_IMPORTS, *words], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    options = ["--output"] if words[0] in ("prepare", "bench") else ["--load-config"]
    for name in main.COMMANDS if words == ["--help"] else options:
        assert name in run.stdout


@pytest.mark.parametrize("words", [[], ["frobnicate"], ["render"], ["render", "--scale", "much"]], ids=" ".join)
def test_bad_arguments_exit_with_2(words: list[str], gainer: Callable[..., None]) -> None:
    with pytest.raises(SystemExit) as stopped:
        gainer(*words)
    assert stopped.value.code == 2


def test_a_mistake_is_one_line_and_status_1(process: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    run = process("render", "--load-config", "nowhere/config.yml", "--output", "out.png")
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.startswith("nowhere/config.yml: ")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt, 130), (MemoryError, "out of memory")])
def test_interrupts_and_full_memory_leave_no_traceback(
    raised: type[BaseException],
    code: int | str,
    gainer: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def run(self: render.Render) -> None:
        raise raised

    monkeypatch.setattr(render.Render, "run", run)
    with pytest.raises(SystemExit) as stopped:
        gainer("render", "--load-config", tmp_path, "--output", tmp_path)
    said = stopped.value.code
    assert said == code if isinstance(code, int) else str(said).startswith(code)


def test_other_signals_end_as_ctrl_c_does(gainer: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[int] = []

    def run(self: render.Render) -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)  # where no signal comes, the test is to fail rather than to wait
        finally:
            cleaned.append(number)

    monkeypatch.setattr(render.Render, "run", run)
    for number in (signal.SIGTERM, signal.SIGHUP):
        with pytest.raises(SystemExit) as stopped:
            gainer("render", "--load-config", "a", "--output", "b")
        assert stopped.value.code == 128 + number and cleaned[-1] == number
        assert signal.getsignal(number) is signal.SIG_DFL, "programs that call this one keep their own ways"


def test_signals_that_are_ignored_stay_so(gainer: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """As under nohup."""
    monkeypatch.setattr(render.Render, "run", lambda self: os.kill(os.getpid(), signal.SIGHUP))
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        gainer("render", "--load-config", "a", "--output", "b")
    finally:
        signal.signal(signal.SIGHUP, usual)


def test_errors_of_files_are_one_line_that_names_the_file(
    refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render.Render, "run", lambda self: os.listdir("/proc/nohome/cache"))
    said = refusal("render", "--load-config", "a", "--output", "b")
    assert said.startswith("/proc/nohome/cache: ") and "No such file" in said


def test_a_working_folder_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    code = (
        "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]); from gainer_ns.cli.main import entrypoint;"
        "entrypoint(['render', '--load-config', 'a', '--output', 'b'])"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "gone"], capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.startswith("the working folder") and run.stderr.count("\n") == 1


def test_the_script_of_the_package_is_this_entry_point() -> None:
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="gainer")
    assert script.load() is main.entrypoint
