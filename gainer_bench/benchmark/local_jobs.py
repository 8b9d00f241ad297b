"""Cells in processes of this machine, each with a share of its threads."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from gainer_bench.benchmark.cell import CellResult, run_cell
from gainer_bench.benchmark.suite import BenchmarkCell

PRELOADED = ["gainer_bench.fit_measurement", "gainer_ns.error_maps"]
"""What takes long to import: once, in the process that the others are forked from."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class _Job(NamedTuple):
    cell: BenchmarkCell
    process: BaseProcess
    answer: Connection


def run_locally(
    cells: Iterable[BenchmarkCell], jobs: int, threads: int | None = None, logs: Path | None = None
) -> Iterator[tuple[BenchmarkCell, CellResult]]:
    """Run cells, some at a time, each in a process of its own: memory is its own, and a crash takes nothing else down.

    Args:
        cells: In the order in which they are begun.
        jobs: How many at a time.
        threads: Of each; None for an equal share of the processors that this process may use.
        logs: Folder for what each prints, a file named by its key; None for nowhere.

    Yields:
        Cells as they are done, with what came of them. If this generator is closed, running cells are stopped.
    """
    threads = threads or max(1, processors() // jobs)
    context = _context()
    waiting = iter(cells)
    running: list[_Job] = []
    try:
        while True:
            while len(running) < jobs and (cell := next(waiting, None)) is not None:
                running.append(_begun(context, cell, threads, logs))
            if not running:
                return
            ready = wait([part for job in running for part in (job.answer, job.process.sentinel)])
            for job in [job for job in running if job.answer in ready or job.process.sentinel in ready]:
                running.remove(job)
                yield job.cell, _answer(job)
    finally:
        for job in running:
            job.process.terminate()
        for job in running:
            job.process.join()


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _context() -> BaseContext:
    """Return forks of a process that has everything imported, where the system can fork; else new processes."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait busily for one another, where something
    # else runs beside them, make small steps ten times slower
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _begun(context: BaseContext, cell: BenchmarkCell, threads: int, logs: Path | None) -> _Job:
    receiver, sender = context.Pipe(duplex=False)
    log = None if logs is None else logs / f"{cell.key}.log"
    process = context.Process(target=_work, args=(cell, cell.picture, threads, log, sender), daemon=True)  # pyright: ignore[reportAttributeAccessIssue]
    process.start()
    sender.close()  # the process' own copy is left: when it dies, the receiver sees the end
    return _Job(cell, process, receiver)


def _answer(job: _Job) -> CellResult:
    try:
        result = job.answer.recv()
    except EOFError:
        job.process.join()
        code = job.process.exitcode or 0
        how = f"by signal {-code}" if code < 0 else f"with status {code}"
        killed = "; out of memory, most likely: run fewer jobs, or a smaller picture" if code == -9 else ""
        result = CellResult({"error": f"{job.cell.image}, {job.cell.label}: its process ended {how}{killed}"})
    job.process.join()
    return result


def _work(cell: BenchmarkCell, picture: bytes, threads: int, log: Path | None, answer: Connection) -> None:
    """Run one cell in a process of its own, with what it prints in its log."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
    with open(os.devnull if log is None else log, "a", encoding="utf8", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        with redirect_stdout(file), redirect_stderr(file):
            answer.send(run_cell(cell, picture, threads))
    answer.close()
