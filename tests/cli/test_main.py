import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gainer_ns.cli import main, render
from gainer_ns.io.files import whole_file

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
    options = ["--output"] if words[0] in ("fit", "prepare", "bench") else ["--load-config"]
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


def test_an_interrupt_leaves_no_traceback(gainer: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: render.Render) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(render.Render, "run", run)
    with pytest.raises(SystemExit) as stopped:
        gainer("render", "--load-config", "a", "--output", "b")
    assert stopped.value.code == 130


def test_full_memory_is_one_line(
    exhaustion: Callable[[], None], refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render.Render, "run", lambda self: exhaustion())
    assert refusal("render", "--load-config", "a", "--output", "b").startswith("memory ran out; close other programs")


def test_memory_that_runs_out_while_a_file_is_written_is_not_the_disks(
    exhaustion: Callable[[], None], refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(self: render.Render) -> None:
        with whole_file(tmp_path / "picture.png") as file:
            file.write(b"half of it")
            exhaustion()

    monkeypatch.setattr(render.Render, "run", run)
    assert refusal("render", "--load-config", "a", "--output", "b").startswith("memory ran out; ")
    assert not list(tmp_path.iterdir())


def test_a_real_limit() -> None:
    pytest.importorskip("resource")  # not on Windows
    code = (
        "import resource, sys, torch, psutil; from gainer_ns.cli import main, render\n"
        "limit = psutil.Process().memory_info().vms + 2**26; resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "render.Render.run = lambda self: torch.zeros(2**26)\n"
        "main.entrypoint(['render', '--load-config', 'a', '--output', 'b'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.startswith("memory ran out; ") and run.stderr.count("\n") == 1


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


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    main.entrypoint(["--version"])
    assert capsys.readouterr().out == f"gainer_ns {version('gainer_ns')}\n"
