"""What ns-train says on the terminal: little, a sign of life, and a last line that a user can go on from."""

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nerfstudio.plugins.types import MethodSpecification
from nerfstudio.scripts import train
from nerfstudio.utils import writer
from nerfstudio.utils.rich_utils import CONSOLE
from PIL import Image
from rich.console import Console

import gainer_bench.methods as bench_methods
from gainer_ns import methods
from gainer_ns.errors import Unavailable
from gainer_ns.fitting import loop
from gainer_ns.image import terminal

METHODS = [
    kind.config.method_name
    for kind in (vars(methods) | vars(bench_methods)).values()
    if isinstance(kind, MethodSpecification)
]
LAST = re.compile(r"Wrote (/.*/config\.yml): (\d+\.\d\d) dB(, every 8-bit value exact)?, \d+\.\d s")


@pytest.fixture
def small(photo: Path, tmp_path: Path) -> Path:
    """A picture of 24 x 16 pixels in a folder whose name is long and looks like markup, and a depth of it."""
    folder = tmp_path / f"[bold]{'far ' * 30}"
    folder.mkdir()
    Image.open(photo).crop((10, 20, 34, 36)).save(folder / "small.png")
    np.save(folder / "depth.npy", np.linspace(1, 2, 16 * 24, dtype=np.float32).reshape(16, 24))
    return folder / "small.png"


def options(method: str, picture: Path) -> list[str]:
    """A fit of few steps, to its end."""
    few = {
        "gainer": [],
        "gainer-paper": ["--pipeline.model.num-gaussians", "200", "--pipeline.model.adam-steps", "3"],
        "gainer-compact": ["--pipeline.model.finish-steps", "3"],
        "gainer-lift": [
            *("--pipeline.datamanager.depth-path", str(picture.with_name("depth.npy"))),
            *("--pipeline.datamanager.focal-length", "30"),
        ],
    }.get(method, ["--pipeline.model.steps", "3"])
    return [method, "--data", str(picture), "--output-dir", str(picture.with_name("out")), *few]


@pytest.fixture
def ns_train(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Runs nerfstudio's own entry point in this process, and returns the lines that it says."""

    def run(*words: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["ns-train", *words, "--vis", "tensorboard"])
        for left_over in (writer.EVENT_WRITERS, writer.EVENT_STORAGE):  # nerfstudio's globals
            left_over.clear()
        capfd.readouterr()
        train.entrypoint()
        said = capfd.readouterr()
        assert said.err == ""
        return said.out.splitlines()

    return run


def check_last(lines: list[str]) -> None:
    found = LAST.fullmatch(lines[-1])
    assert found, lines
    assert Path(found[1]).is_file()


@pytest.mark.parametrize("method", METHODS)
def test_few_lines_and_a_last_one_that_says_what_came_of_it(
    ns_train: Callable[..., list[str]], small: Path, method: str, recwarn: pytest.WarningsRecorder
) -> None:
    try:
        lines = ns_train(*options(method, small))
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert len(lines) <= 8 and not recwarn.list
    assert not any("%" in line or "ETA" in line or "Config(" in line for line in lines)
    assert f"Fitting {small}, 24 x 16 pixels, by {method} on cpu" in lines
    check_last(lines)


def test_a_run_that_goes_on_says_from_where(ns_train: Callable[..., list[str]], small: Path) -> None:
    begin = options("gainer-compact", small)
    lines = ns_train(*begin, "--max-num-iterations", "2")
    assert lines[-2].startswith("Stopped by --max-num-iterations after step 1; raise it, and add --load-dir ")
    folder = lines[-2].split(" --load-dir ")[1].removesuffix(" to the same command")
    assert re.search(r": \d+\.\d+ dB", lines[-1])
    lines = ns_train(*begin, "--load-dir", folder)
    assert f"Going on after step 1 of {folder}/step-000000001.ckpt" in lines
    check_last(lines)


def test_who_asks_for_nerfstudios_table_gets_it(ns_train: Callable[..., list[str]], small: Path) -> None:
    lines = ns_train(*options("bench-siren", small), "--logging.local-writer.enable", "True")
    assert any("Step (% Done)" in line for line in lines)
    check_last(lines)


@pytest.mark.parametrize("method", ["gainer", "gainer-compact", "gainer-lift", "bench-siren"])
def test_long_fits_show_that_they_live(
    ns_train: Callable[..., list[str]], small: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_SIGNS", 0.0)
    steps = ["--pipeline.model.hidden-layers", "2"] if method == "gainer" else []  # a closed form has but one
    lines = ns_train(*options(method, small), *steps)
    assert any(re.match(r"(In|After) step 0: .*, \d+\.\d s", line) for line in lines)
    check_last(lines)


def test_a_long_step_says_in_a_pipe_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    bar = terminal.StepBar()
    for step in range(2):
        for share in (0.0, 0.1, 0.4, 0.5, 0.8, 0.9, 1.0):
            now = 100 * step + 30 * share
            bar.show(share)
    assert capsys.readouterr().out == 2 * ("Fitting: 40 %, about 18 s left\nFitting: 80 %, about 6 s left\n")


def test_a_long_step_shows_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = io.StringIO()
    monkeypatch.setattr(terminal, "SECONDS_BEFORE_BAR", -1.0)
    monkeypatch.setattr(terminal, "CONSOLE", Console(file=drawn, force_terminal=True, width=80))
    bar = terminal.StepBar()
    bar.show(0.4)
    bar.show(1.0)
    assert "40%" in drawn.getvalue() and "Fitting" in drawn.getvalue()
    length = len(drawn.getvalue())
    monkeypatch.setattr(terminal, "SECONDS_BEFORE_BAR", 2.0)
    bar.show(0.5)
    bar.show(1.0)
    assert len(drawn.getvalue()) == length  # a short step shows none


def test_errors_end_the_silence(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(ZeroDivisionError), terminal.hushed():
        CONSOLE.print("unheard")
        with terminal.hushed(False):
            CONSOLE.print("heard within")
        raise ZeroDivisionError
    CONSOLE.print("heard after")
    assert capsys.readouterr().out == "heard within\nheard after\n"


def test_what_nerfstudio_calls_while_it_is_imported_is_not_said_and_no_filter_stays() -> None:
    code = (
        "import torch, warnings\nbefore = warnings.filters[:]\n"  # torch adds filters of its own
        "import gainer_ns.image\nassert warnings.filters == before\n"
        "import nerfstudio.scripts.viewer.run_viewer"
    )
    run = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "FutureWarning" not in run.stderr


@pytest.mark.slow
def test_in_a_pipe(small: Path) -> None:
    """With all defaults, the viewer included; on standard error, what nerfstudio's imports warn of."""
    command = [str(Path(sys.executable).with_name("ns-train")), *options("gainer", small)]
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    assert run.returncode == 0 and "Traceback" not in run.stderr
    assert len(run.stdout.splitlines()) <= 12 and "http://127.0.0.1:" in run.stdout
    check_last(run.stdout.splitlines())
