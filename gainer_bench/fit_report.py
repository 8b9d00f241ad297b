"""Fits pictures and reports how well, how fast and how small: ``python -m gainer_bench.fit_report IMAGE...``.

This module stays light to import: with several pictures, each is fitted in a process of its own, so that its start and
its peak memory are its own too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tyro
from nerfstudio.utils.rich_utils import CONSOLE

from gainer_bench.json_log import JsonLog, Line
from gainer_ns.doors import run_program
from gainer_ns.errors import GainerError
from gainer_ns.io.files import whole_file
from gainer_ns.options import parsed

NOT_OPTIONS = ("images", "output", "method", "again", "in_process")


@dataclass
class FitReport:
    """Fits each picture with nerfstudio's trainer and writes report.jsonl, report.md and the runs to a folder.

    Pictures that the report already has, fitted by the same method with the same options, are left out.
    """

    images: tyro.conf.Positional[tuple[Path, ...]]
    """The picture files."""
    output: Path
    """Folder of the report; an existing report is added to."""
    method: Literal["gainer", "gainer-paper"] = "gainer"
    """The registered method."""
    gaussians_per_pixel: float | None = None
    """Density of the Gaussians; None for the method's own, here and below."""
    num_gaussians: int | None = None
    """Number of Gaussians; overrides the density."""
    feature_dim: int | None = None
    """Length of a Gaussian's feature."""
    hidden_layers: int | None = None
    """Hidden layers of the decoder; 0 is the purely linear control."""
    adam_steps: int | None = None
    """Steps by Adam; the learning rates' schedules follow it."""
    finish_steps: int | None = None
    """Most Gauss-Newton steps."""
    target_psnr: float | None = None
    """Where the finish stops (dB)."""
    max_num_iterations: int | None = None
    """Most steps of any kind; schedules do not follow it."""
    crop: tuple[int, int, int, int] | None = None
    """X0 Y0 X1 Y1 in pixels, X1 and Y1 exclusive: fit this part of every picture."""
    seed: int | None = None
    """Seed of everything random."""
    super_resolution: bool = False
    """Also fit each picture at half its size and draw that at full size; sides must be even."""
    again: bool = False
    """Fit pictures again that the report already has."""
    in_process: bool = False
    """Fit all pictures in this process; peak memory is then that of all so far."""

    def options(self) -> dict[str, Any]:
        """What differs from the method's recipe, as it is written to the report."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in NOT_OPTIONS}
        given = {name: value for name, value in given.items() if value is not None and value is not False}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    def arguments(self, image: Path) -> list[str]:
        """The command line that fits one picture of this report, whether it was reported or not."""
        words = [str(image), "--output", str(self.output), "--method", self.method, "--again"]
        for name, value in self.options().items():
            values = value if isinstance(value, list) else [] if value is True else [value]
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
        return words

    def run(self) -> int:
        """Fits what is to be fitted; returns the exit status, 1 if a picture failed."""
        if not self.images:
            raise GainerError("no picture is named; give one or more picture files")
        log = ReportLog(self.output)
        done = set() if self.again else {key(line) for line in log.lines() if "error" not in line}
        todo = [image for image in dict.fromkeys(self.images) if key(self._identity(image)) not in done]
        if len(todo) < len(self.images):
            CONSOLE.log(
                f"{len(self.images) - len(todo)} of {len(self.images)} pictures need no fit; --again redoes all"
            )
        failed = 0
        for number, image in enumerate(todo):
            if len(todo) > 1:
                CONSOLE.log(f"Picture {number + 1} of {len(todo)}: {image}", markup=False)
            if self.in_process or len(self.images) == 1:
                failed += not self._fit_here(image, log, first=number == 0)
            else:
                failed += not self._fit_apart(image, log)
        log.write_table()
        CONSOLE.log(f"{len(todo) - failed} fitted, {failed} failed: {log.table}")
        return 1 if failed else 0

    def _identity(self, image: Path) -> Line:
        return {"image": image.as_posix(), "method": self.method, "options": self.options()}

    def _fit_here(self, image: Path, log: ReportLog, *, first: bool) -> bool:
        """Fits one picture in this process; returns whether it worked."""
        import psutil

        began = psutil.Process().create_time() if first else time.time()
        try:
            from gainer_bench.fit_measurement import measure

            found = measure(image, self.method, self.options(), self.output, began=began)
        except GainerError as error:
            found = {"error": str(error)}
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        log.append(self._identity(image) | found)
        return "error" not in found

    def _fit_apart(self, image: Path, log: ReportLog) -> bool:
        """Fits one picture in a process of its own; returns whether it worked."""
        before = len(log.lines())
        command = [sys.executable, "-m", "gainer_bench.fit_report", *self.arguments(image)]
        status = subprocess.run(command, check=False).returncode
        if status != 0 and len(log.lines()) == before:
            how = f"by signal {-status}" if status < 0 else f"with status {status}"
            log.append(self._identity(image) | {"error": f"{image}: the process that fitted it ended {how}"})
        return status == 0


class ReportLog(JsonLog):
    """The lines of a report, and the same as a table for people.

    Args:
        folder: Made if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "report.jsonl", {"image", "method", "options"})
        self.table = folder / "report.md"

    def append(self, line: Line) -> None:
        """Adds a line, and says what failed."""
        if "error" in line:
            CONSOLE.log(f"Failed: {line['error']}", style="red", markup=False)
        super().append(line)

    def write_table(self) -> None:
        """Writes the table of the newest line of each picture, method and options."""
        newest = {key(line): line for line in self.lines()}
        with whole_file(self.table) as file:
            file.write(markdown(newest.values()).encode())


def key(line: Line) -> str:
    """What makes a line stand for the same fit as another."""
    return json.dumps([line["image"], line["method"], line["options"]], sort_keys=True)


class Value(NamedTuple):
    """A number of the table."""

    path: str
    """Where it stands in a line: names, with dots between them."""
    digits: int = 2
    worst: Callable[[Iterable[float]], float] = min
    factor: float = 1.0

    def of(self, line: Line) -> float | None:
        """The number, or None where the line has none."""
        found: Any = line
        for name in self.path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return None if found is None else float(found) * self.factor

    def shown(self, number: float | None) -> str:
        """The number as text."""
        return "–" if number is None else f"{number:.{self.digits}f}"


_EDITS = ("half_pixel_shift", "rotation", "zoom")
COLUMNS: dict[str, tuple[str, tuple[Value, ...]]] = {
    "dB": ("{}", (Value("psnr"),)),
    "dB 8-bit": ("{}", (Value("psnr_8bit"),)),
    "exact %": ("{}", (Value("exact_share", 3, factor=100),)),
    "MS-SSIM": ("{}", (Value("ms_ssim", 5),)),
    "graph / adam / finish s": (
        "{} / {} / {}",
        tuple(Value(f"seconds.{part}", 1, max) for part in ("graph", "adam", "finish")),
    ),
    "peak MiB": ("{}", (Value("peak_mib", 0, max),)),
    "MB at 8 bits (dB)": ("{} ({})", (Value("stored.8.bytes", 2, max, 1e-6), Value("stored.8.psnr", 1))),
    "shift / rotate / zoom dB": ("{} / {} / {}", tuple(Value(f"off_grid.{edit}", 1) for edit in _EDITS)),
    "the same, bicubic": ("{} / {} / {}", tuple(Value(f"off_grid_bicubic.{edit}", 1) for edit in _EDITS)),
    "2x dB (bicubic)": ("{} ({})", (Value("super_resolution.psnr"), Value("super_resolution.psnr_bicubic"))),
    "render s": ("{}", (Value("render_seconds.new_index", 3, max),)),
}
"""Title -> how its numbers are put together, and the numbers. Columns that no line has a number for are left out."""


LEGEND = """
PSNR (dB) and MS-SSIM are of the picture drawn at its own size; exact: pixels whose 8-bit values all are. The fit took
the seconds of graph, Adam and finish together; peak MiB is the memory of the whole process while fitting. Shift,
rotate and zoom are compared with a cubic spline of the source, for the fit and for bicubic interpolation of the source.
Render s includes a new neighbour index.
"""


def markdown(lines: Iterable[Line]) -> str:
    """The report as a Markdown table: a row a picture, and their mean and worst for each method and options.

    The worst of a cell with several numbers is the worst of each. What failed is listed below.
    """
    every = list(lines)
    good = [line for line in every if "error" not in line]
    columns = [
        (title, *column)
        for title, column in COLUMNS.items()
        if any(value.of(line) is not None for value in column[1] for line in good)
    ]
    titles = ["image", "size", "method", *(title for title, _, _ in columns)]
    rows = [titles, ["---"] * 3 + ["--:"] * len(columns)] if good else []
    groups: dict[str, list[Line]] = {}
    for line in good:
        groups.setdefault(_method(line), []).append(line)
    for method, group in groups.items():
        for line in group:
            cells = (form.format(*(value.shown(value.of(line)) for value in values)) for _, form, values in columns)
            rows.append([Path(line["image"]).name, f"{line['width']} x {line['height']}", method, *cells])
        if len(group) > 1:
            rows.extend(_summaries(method, group, columns))
    table = "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in rows)
    failures = "".join(f"- {_method(line)}: {line['error']}\n" for line in every if "error" in line)
    return (table + LEGEND if good else "") + (f"\nFailed:\n\n{failures}" if failures else "")


def _summaries(
    method: str, group: list[Line], columns: list[tuple[str, str, tuple[Value, ...]]]
) -> Iterator[list[str]]:
    for name in ("mean", "worst"):
        row = [f"**{name}**", f"{len(group)} images", method]
        for _, form, values in columns:
            texts = []
            for value in values:
                numbers = [number for line in group if (number := value.of(line)) is not None]
                summary = value.worst if name == "worst" else lambda n: sum(n) / len(n)
                texts.append(value.shown(summary(numbers) if numbers else None))
            row.append(form.format(*texts))
        yield row


def _method(line: Line) -> str:
    """Method and options as one reads them."""
    words = [line["method"]]
    for name, value in line["options"].items():
        values = value if isinstance(value, list) else [] if value is True else [value]
        words.append(" ".join([name.replace("_", "-"), *map(str, values)]))
    return ", ".join(words)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    return parsed(FitReport, prog="python -m gainer_bench.fit_report", args=arguments).run()


if __name__ == "__main__":
    run_program(main)
