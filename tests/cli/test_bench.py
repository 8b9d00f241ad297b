"""``gainer bench`` from suite to report, and on after it was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gainer_ns.cli import bench
from gainer_ns.cli.main import entrypoint


@pytest.fixture
def suite(photo: Path, tmp_path: Path) -> Path:
    """Three pictures of a few pixels, one method."""
    with Image.open(photo) as picture:
        for number in range(3):
            picture.crop((16 * number, 0, 16 * number + 16, 16)).save(tmp_path / f"{number}.png")
    path = tmp_path / "suite.yaml"
    path.write_text('title: Tiny\nimages: ["[0-9].png"]\nmethods: [gainer]\nmeasure: [stored]\n')
    return path


def lines(output: Path) -> list[dict[str, Any]]:
    if not (output / "results.jsonl").exists():
        return []
    return [json.loads(text) for text in (output / "results.jsonl").read_text().splitlines()]


def test_a_suite_becomes_a_report_and_is_not_run_twice(suite: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    entrypoint(["bench", str(suite), "--output", str(output), "--jobs", "2"])
    first = lines(output)
    assert [line["image"] for line in sorted(first, key=lambda line: line["image"])] == ["0", "1", "2"]
    assert all(line["psnr"] > 75 for line in first)
    report = (output / "report.md").read_text()
    assert "Tiny" in report and f"gainer bench {suite} --output {output} --jobs 2" in report
    assert {"table.tex", "psnr_over_time.png", "psnr_over_bytes.png"} <= {path.name for path in output.iterdir()}
    entrypoint(["bench", str(suite), "--output", str(output), "--jobs", "2"])
    assert lines(output) == first


def test_a_failing_cell_is_told_and_the_others_are_reported(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "1.png").write_bytes(b"no picture")
    output = tmp_path / "out"
    with pytest.raises(SystemExit, match="1 of 3 fits failed"):
        entrypoint(["bench", str(suite), "--output", str(output)])
    assert "1, gainer, seed 0: failed: " in capsys.readouterr().out
    assert sorted("error" in line for line in lines(output)) == [False, False, True]
    assert "1.png" in (output / "report.md").read_text()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--jobs", "0"], "--jobs"),
        (["--seconds", "-1"], "--seconds"),
        (["--images", "nothing.png"], "nothing.png: cannot be read"),
    ],
)
def test_mistakes_are_one_line(words: list[str], complaint: str, suite: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        entrypoint(["bench", str(suite), "--output", str(tmp_path / "out"), *words])
    assert complaint in str(caught.value) and "\n" not in str(caught.value)
    assert lines(tmp_path / "out") == []


@pytest.mark.slow
def test_killed_half_way_it_goes_on_and_repeats_nothing(suite: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    command = [sys.executable, "-m", "gainer_ns.cli.main", "bench", str(suite), "--output", str(output)]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 300
    while not lines(output):
        assert time.monotonic() < deadline and killed.poll() is None
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = lines(output)
    assert 1 <= len(before) < 3
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
    after = lines(output)
    assert after[: len(before)] == before and len({line["key"] for line in after}) == len(after) == 3


def test_what_is_said_of_picture_files() -> None:
    """They were not fitted, so there is neither a quality nor a time of a fit."""
    line = {"image": "a", "label": "JPEG", "seed": 0, "stored": {"50": {}, "90": {}}}
    assert bench._said(line) == "a, JPEG, seed 0: 2 files"
