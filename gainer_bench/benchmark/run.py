"""A suite, run cell by cell into a folder: what is finished there is not run again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from gainer_bench.benchmark.cell import CellResult
from gainer_bench.benchmark.codecs import CODECS
from gainer_bench.benchmark.suite import BenchmarkCell
from gainer_bench.outputs import JsonLog
from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file

PACKAGES = ("gainer-ns", "nerfstudio", "torch", "warp-lang", "numpy", "tinycudann", "gsplat", "ray")
"""Those whose versions stand in a report, where they are installed."""
Runner = Callable[[Iterable[BenchmarkCell]], Iterator[tuple[BenchmarkCell, CellResult]]]


class BenchmarkFolder:
    """What a benchmark keeps: results.jsonl, pictures and logs.

    Args:
        path: Made if it does not exist.

    Raises:
        GainerError: If it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = JsonLog(path / "results.jsonl", {"key", "image", "method", "label", "seed"})

    @property
    def logs(self) -> Path:
        """Return folder for what cells print."""
        return self.path / "logs"

    def unfinished(self, cells: Sequence[BenchmarkCell]) -> list[BenchmarkCell]:
        """Return cells that are still to be run: those that failed, too, but not those that this machine cannot run."""
        done = {line["key"] for line in self.log.lines() if "error" not in line}
        return [cell for cell in cells if cell.key not in done]

    def lines_of(self, cells: Sequence[BenchmarkCell]) -> list[dict[str, Any]]:
        """Return the newest line of each cell that has one, in the order of the cells, with the names of this suite."""
        newest = {line["key"]: line for line in self.log.lines()}
        return [newest[cell.key] | {"image": cell.image} for cell in cells if cell.key in newest]

    def keep(self, cell: BenchmarkCell, result: CellResult) -> dict[str, Any]:
        """Write what came of a cell: its pictures, and then its line, which says that they are there."""
        names = {}
        for what, data in result.pictures.items():
            name = _picture_name(cell, what)
            with whole_file(self.path / name) as file:
                file.write(data)
            names[what] = name
        line = cell.identity() | result.line | ({"pictures": names} if names else {})
        self.log.append(line)
        return line


def run_cells(
    cells: Sequence[BenchmarkCell], folder: BenchmarkFolder, runner: Runner, done: Callable[[dict[str, Any], int], None]
) -> None:
    """Run cells and keep what comes of them as it comes.

    Args:
        cells: What is to be run.
        folder: Where it is kept.
        runner: Runs cells in any order; closed when this is interrupted.
        done: Called after every cell with its line, and how many are left.
    """
    left = len(cells)
    with closing(runner(cells)) as results:  # pyright: ignore[reportArgumentType]  (runners are generators)
        for cell, result in results:
            left -= 1
            done(folder.keep(cell, result), left)


def check_methods(cells: Sequence[BenchmarkCell]) -> None:
    """Make sure, before anything is run, that all methods and options exist.

    Raises:
        GainerError: If one does not.
    """
    from gainer_bench.benchmark.cell import configured

    for cell in {(cell.method, str(cell.options)): cell for cell in cells}.values():
        if cell.method in CODECS:
            continue
        try:
            configured(cell, cell.path, Path())
        except GainerError as error:
            raise GainerError(f"{cell.label}: {error}") from None


def versions() -> dict[str, str]:
    """Return what results may depend on: Python, packages, the processor, the graphics card."""
    import torch

    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    found["processor"] = _processor()
    if torch.cuda.is_available():
        found["graphics card"] = torch.cuda.get_device_name()
    return found


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("ascii", "replace")
    except OSError:
        text = ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()


def _picture_name(cell: BenchmarkCell, what: str) -> str:
    """Name the files: sources are shared by all methods, and what belongs to a cell has its key in its name."""
    image = re.sub(r"[^\w.-]+", "_", cell.image)
    if what == "source":
        facts = cell.picture + repr((cell.crop, cell.reduce)).encode()
        return f"pictures/{image}-{hashlib.sha256(facts).hexdigest()[:8]}.png"
    label = re.sub(r"[^\w.-]+", "_", cell.label)
    return f"pictures/{image}-{label}-{cell.seed}-{what}-{cell.key[:8]}.png"
