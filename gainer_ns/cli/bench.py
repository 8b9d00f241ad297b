"""``gainer bench``: pictures fitted by several methods within one budget, side by side."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from gainer_ns.errors import GainerError
from gainer_ns.options import MANY_PATHS, PathList, flattened_groups

if TYPE_CHECKING:
    from gainer_bench.benchmark.cell import CellResult
    from gainer_bench.benchmark.suite import BenchmarkCell


@dataclass
class Bench:
    """Fit pictures by several methods within one budget, and compare them: tables, curves, error maps.

    What the folder already holds is not run again, so the same command goes on after an interruption; cells that
    failed are tried again.
    """

    suite: tyro.conf.Positional[Path]
    """The YAML file that says which pictures, methods and seeds; configs/benchmarks has some."""
    output: Path
    """Folder for results.jsonl, report.md, tables, curves and pictures."""
    images: Annotated[PathList, MANY_PATHS] = ()
    """Pictures instead of the suite's own."""
    seconds: float | None = None
    """Seconds of fitting a method and picture, instead of the suite's own."""
    crop: int | None = None
    """Side in px of the square in the middle of each picture that is fitted, instead of all of it."""
    steps: int | None = None
    """Steps of each fit, instead of the suite's own length."""
    jobs: int = 1
    """How many fits at a time; each has its share of the processors."""
    threads: int | None = None
    """Threads of each fit, instead of its share."""
    ray: str | None = None
    """Address of a Ray cluster that fits instead of this machine: HOST:PORT, ray://HOST:PORT, or auto."""

    def __post_init__(self) -> None:
        self.images = flattened_groups(self.images)

    def run(self) -> None:
        """Run what is left of the suite, and write the report."""
        from nerfstudio.utils.rich_utils import CONSOLE, status

        from gainer_bench import bench_extra

        with bench_extra("gainer bench"):
            from gainer_bench.benchmark.report import write_report
        from gainer_bench.benchmark.run import BenchmarkFolder, check_methods, run_cells, versions
        from gainer_bench.benchmark.suite import read_suite
        from gainer_ns.cli.terminal import progress_bar

        if self.jobs < 1 or (self.threads is not None and self.threads < 1):
            raise GainerError("--jobs and --threads: must be at least 1")
        if self.seconds is not None and not self.seconds > 0:
            raise GainerError(f"--seconds {self.seconds:g}: must be above 0")
        for name, value in (("crop", self.crop), ("steps", self.steps)):
            if value is not None and value < 1:
                raise GainerError(f"--{name} {value}: must be at least 1")
        with status("Reading the suite"):
            suite = read_suite(self.suite)
            cells = suite.cells(self.images, self.seconds, crop=self.crop, steps=self.steps)
            check_methods(cells)
            folder = BenchmarkFolder(self.output)
            todo = folder.unfinished(cells)
        if len(todo) < len(cells):
            CONSOLE.print(f"{len(cells) - len(todo)} of {len(cells)} fits are finished in {self.output}", markup=False)
        failed = 0

        def report() -> Path:
            lines = folder.lines_of(cells)
            return write_report(lines, self.output, title=suite.title, command=self.command(), versions=versions())

        try:
            with progress_bar("Fitting") as progress:
                progress(0.0)

                def done(line: dict[str, Any], left: int) -> None:
                    nonlocal failed
                    failed += "error" in line
                    CONSOLE.print(_said(line), markup=False, highlight=False, soft_wrap=True)
                    progress(1 - left / len(todo))

                if todo:
                    run_cells(todo, folder, self._runner(folder.logs), done)
        except KeyboardInterrupt:
            CONSOLE.print(f"Stopped; the same command goes on. So far: {report()}", markup=False, soft_wrap=True)
            raise
        CONSOLE.print(f"Wrote {report()}", markup=False, soft_wrap=True)
        if failed:
            raise GainerError(f"{failed} of {len(todo)} fits failed; {self.output}/logs has what they said")

    def command(self) -> str:
        """Return the command line that says the same."""
        words = ["gainer", "bench", str(self.suite), "--output", str(self.output)]
        words += ["--images", *map(str, self.images)] if self.images else []
        for name in ("seconds", "jobs", "threads", "ray"):
            value = getattr(self, name)
            words += (
                [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)] if value is not None else []
            )
        return shlex.join(words)

    def _runner(self, logs: Path) -> Any:
        if self.ray is not None:
            from gainer_bench.benchmark.ray_jobs import run_on_ray

            address = self.ray
            return lambda cells: run_on_ray(cells, address, self.threads)
        from gainer_bench.benchmark.local_jobs import run_locally

        def run(cells: Iterable[BenchmarkCell]) -> Iterator[tuple[BenchmarkCell, CellResult]]:
            return run_locally(cells, self.jobs, self.threads, logs)

        return run


def _said(line: dict[str, Any]) -> str:
    """Return a finished cell in one line."""
    what = f"{line['image']}, {line['label']}, seed {line['seed']}"
    if "error" in line:
        return f"{what}: failed: {line['error']}"
    if "skipped" in line:
        return f"{what}: skipped: {line['skipped']}"
    if "psnr" not in line:  # a codec's: files of several qualities, and nothing fitted
        return f"{what}: {len(line['stored'])} files"
    return f"{what}: {line['psnr']:.2f} dB in {line['seconds']['fit']:.1f} s"
