"""Cells in processes: side by side, each by itself, and none left behind."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from gainer_bench.benchmark import local_jobs
from gainer_bench.benchmark.cell import CellResult
from gainer_bench.benchmark.local_jobs import processors, run_locally
from gainer_bench.benchmark.suite import BenchmarkCell


def cells(folder: Path, labels: list[str]) -> list[BenchmarkCell]:
    path = folder / "picture.png"
    path.write_bytes(b"made up")
    return [BenchmarkCell(path, None, 1, "none", label, {}, 0, None, None, ()) for label in labels]


def played(cell: BenchmarkCell, picture: bytes, threads: int | None) -> CellResult:
    """Stands in for a fit: a label says what is to happen."""
    print(f"{cell.label} speaks", flush=True)
    if cell.label == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if cell.label.startswith("slow"):
        time.sleep(60 if cell.label == "slowest" else 0.5)
    return CellResult(
        {"pid": os.getpid(), "threads": threads, "omp": os.environ["OMP_NUM_THREADS"], "data": len(picture)}
    )


@pytest.fixture(autouse=True)
def _play(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are forked from this one, so that they see the stand-in."""
    import multiprocessing

    monkeypatch.setattr(local_jobs, "run_cell", played)
    monkeypatch.setattr(local_jobs, "_context", lambda: multiprocessing.get_context("fork"))


def test_every_cell_has_a_process_of_its_own(tmp_path: Path) -> None:
    results = list(run_locally(cells(tmp_path, ["a", "b", "c"]), jobs=2))
    assert sorted(cell.label for cell, _ in results) == ["a", "b", "c"]
    lines: list[Any] = [result.line for _, result in results]
    assert len({line["pid"] for line in lines} | {os.getpid()}) == 4
    assert {line["data"] for line in lines} == {7}


def test_threads_are_shared_out(tmp_path: Path) -> None:
    ((_, alone),) = run_locally(cells(tmp_path, ["a"]), jobs=1)
    ((_, shared),) = run_locally(cells(tmp_path, ["a"]), jobs=processors())
    ((_, said),) = run_locally(cells(tmp_path, ["a"]), jobs=1, threads=5)
    assert (alone.line["threads"], shared.line["threads"], said.line["threads"]) == (processors(), 1, 5)
    assert said.line["omp"] == "5"


def test_jobs_run_side_by_side(tmp_path: Path) -> None:
    order = [cell.label for cell, _ in run_locally(cells(tmp_path, ["slow", "quick"]), jobs=2)]
    assert order == ["quick", "slow"]


def test_a_crash_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    results = {cell.label: result.line for cell, result in run_locally(cells(tmp_path, ["a", "crash", "b"]), jobs=1)}
    assert "ended by signal 9" in results["crash"]["error"] and "memory" in results["crash"]["error"]
    assert "error" not in results["a"] and "error" not in results["b"]


def test_what_a_cell_prints_is_in_its_log(tmp_path: Path) -> None:
    (one,) = cells(tmp_path, ["a"])
    list(run_locally([one], jobs=1, logs=tmp_path / "logs"))
    assert (tmp_path / "logs" / f"{one.key}.log").read_text() == "a speaks\n"


def test_closing_stops_what_is_running(tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}
    running = run_locally(cells(tmp_path, ["quick", "slowest"]), jobs=2)
    assert next(running)[0].label == "quick"
    children = [child for child in psutil.Process().children() if child.pid not in before]
    assert children
    running.close()
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
