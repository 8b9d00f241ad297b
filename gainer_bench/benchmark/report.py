"""The report of a benchmark: tables, curves and sheets of pictures, made from its lines of results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

from gainer_bench.benchmark.columns import LEGEND, mean_table
from gainer_bench.benchmark.crop_sheets import crop_sheet
from gainer_bench.benchmark.curves import bytes_figure, time_figure, write_figure
from gainer_bench.benchmark.results import ResultLine, by_image, by_label, finished, image, label, newest, part
from gainer_bench.outputs import write_text
from gainer_bench.sheets import write_sheet
from gainer_bench.tables import escaped, latex_page


def write_report(
    lines: Sequence[ResultLine], folder: Path, *, title: str, command: str, versions: Mapping[str, str]
) -> Path:
    """Write report.md, table.tex, the curves and a sheet of crops and errors for each picture.

    Any subset of a benchmark's lines makes a report, also none, and pictures that are missing are left out. Of several
    lines with one key the last one counts. Files of an earlier report that have nothing to show now are removed.

    Args:
        lines: Results, in the order in which methods and pictures are to be shown.
        folder: Where to; the lines' names of pictures are relative to it. Made if it does not exist.
        title: Of the report.
        command: The command that made the results, as it was given.
        versions: Name of a program, package or device -> its version.

    Returns:
        The path of report.md.

    Raises:
        GainerError: A file cannot be written.
    """
    lines = newest(lines)
    curves = []
    for name, what, draw in (
        ("psnr_over_time.png", "PSNR over the time of fitting", time_figure),
        ("psnr_over_steps.png", "PSNR over the steps of fitting", partial(time_figure, clock="steps")),
        ("psnr_over_bytes.png", "PSNR over the size of the stored model", bytes_figure),
    ):
        figure = draw(lines)
        if figure is None:
            _remove(folder / name)
        else:
            write_figure(folder / name, figure)
            curves.append(f"![{what}]({name})\n")
    sheets = _write_sheets(lines, folder)
    means = [found for of in ("quality", "cost") if (found := mean_table(lines, of)) is not None]
    write_text(folder / "table.tex", latex_page(means, f"{' '.join(title.split())}\n{command}"))
    sections = [
        f"# {escaped(title)}\n",
        _summary(lines),
        *(one.markdown() for one in means),
        *([LEGEND + "\n"] if means else []),
        *(["## Curves\n", _CURVES, *curves] if curves else []),
        *_failures(lines),
        *_images(lines, folder, sheets),
        *_making(lines, command, versions),
    ]
    write_text(folder / "report.md", "\n".join(sections))
    return folder / "report.md"


_CURVES = """\
At each time a picture counts with its last measurement until then. A mean begins once all of its pictures were
measured. The sizes are of files with 32, 16 and, where the method has it, 8 bits a number.
"""


def _write_sheets(lines: Sequence[ResultLine], folder: Path) -> dict[str, str]:
    """Write a sheet for each picture that has any; returns the files' names."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for picture in by_image(lines):
        stem = "errors_and_crops_" + (re.sub(r"[^\w.-]+", "_", picture) or "_")
        name, count = f"{stem}.png", 1
        while name.casefold() in taken:  # there are systems on which a.png and A.png are one file
            count += 1
            name = f"{stem}_{count}.png"
        names[picture] = name
        taken.add(name.casefold())
    for picture, group in by_image(lines).items():
        page = crop_sheet(group, folder, picture)
        if page is None:
            _remove(folder / names.pop(picture))
        else:
            write_sheet(folder / names[picture], page)
    return names


def _remove(path: Path) -> None:
    with suppress(OSError):  # one that stays does no harm, as no report links to it
        path.unlink()


def _summary(lines: Sequence[ResultLine]) -> str:
    """Return what the table below is a mean of, and what is not in it."""
    good = finished(lines)
    failed = sum("error" in line for line in lines)
    skipped = len(lines) - len(good) - failed
    counts = f"{_count(len(good), 'run')} finished, {failed} failed, {skipped} skipped."
    if not good:
        return f"{counts}\n"
    seeds = {str(line.get("seed")) for line in good}
    text = f"Mean over {_count(len(by_image(good)), 'image')}"
    if len(seeds) > 1:
        text += f" and {len(seeds)} seeds, ± the standard deviation over the seeds"
    return f"{text}; {counts}\n"


def _count(number: int, of: str) -> str:
    return f"{number} {of}{'' if number == 1 else 's'}"


def _failures(lines: Sequence[ResultLine]) -> list[str]:
    """Return every run that failed or was skipped; those of one method with the same reason together."""
    seeds = len({str(line.get("seed")) for line in lines}) > 1
    sections = []
    for title, name in (("Failed", "error"), ("Skipped", "skipped")):
        found: dict[tuple[str, str], list[str]] = {}
        for line in lines:
            if name in line and ("error" not in line or name == "error"):
                run = image(line) + (f" with seed {line.get('seed')}" if seeds else "")
                found.setdefault((label(line), str(line[name])), []).append(run)
        if found:
            items = (f"{of} ({', '.join(runs)}): {why}" for (of, why), runs in found.items())
            sections += [f"## {title}\n", "".join(f"- {escaped(item)}\n" for item in items)]
    return sections


def _images(lines: Sequence[ResultLine], folder: Path, sheets: Mapping[str, str]) -> list[str]:
    """Return a section for each picture that has a finished run: table, sheet, and links to the whole pictures."""
    sections = []
    for picture, group in by_image(finished(lines)).items():
        found = mean_table(group)
        if found is None:
            continue
        sections.append(f"## {escaped(picture)}{_size(group)}\n")
        sections.append(found.markdown())
        if picture in sheets:
            sections.append(f"![Crops and errors of {escaped(picture)}]({quote(sheets[picture])})\n")
        links = _links(group, folder)
        if links:
            sections.append(f"Whole pictures: {', '.join(links)}.\n")
    return sections


def _size(group: Sequence[ResultLine]) -> str:
    """Return width and height of a picture, as its heading has them."""
    sizes = {(line.get("width"), line.get("height")) for line in group} - {(None, None)}
    return "".join(f" ({width} × {height})" for width, height in sorted(sizes, key=str)[:1])


def _links(group: Sequence[ResultLine], folder: Path) -> list[str]:
    """Return links to the files of the whole pictures that are there: the source, and each run's with its errors."""
    sources: list[str] = []
    runs = []
    seeds = len({line.get("seed") for line in group}) > 1
    for line in group:
        there = {}
        for kind in ("source", "rendered", "errors"):
            path = part(line, "pictures", kind)
            if isinstance(path, str) and path and (folder / path).is_file():
                there[kind] = quote(path)
        name = escaped(label(line) + (f", seed {line.get('seed')}" if seeds else ""))
        errors = f"[errors]({there['errors']})" if "errors" in there else ""
        if "rendered" in there:
            runs.append(f"[{name}]({there['rendered']})" + (f" ({errors})" if errors else ""))
        elif errors:
            runs.append(f"{name} ({errors})")
        sources += [f"[source]({there['source']})"] if "source" in there and not sources else []
    return sources + runs


def _making(lines: Sequence[ResultLine], command: str, versions: Mapping[str, str]) -> list[str]:
    """Return how the results were made: command, versions, methods with their options, budgets and devices."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", command)), default=0))
    sections = ["## How this was made\n", f"{fence}\n{command}\n{fence}\n"]
    if versions:
        sections.append("".join(f"- {escaped(name)} {escaped(version)}\n" for name, version in versions.items()))
    items = []
    for name, group in by_label(lines).items():
        ways = dict.fromkeys(_way(line) for line in group)
        budgets = dict.fromkeys(_conditions(line) for line in finished(group))
        items.append(f"- {escaped(name)}: {'; '.join([*ways, *filter(None, budgets)])}\n")
    if items:
        sections += ["Methods, the options that differ from their recipes, and what a fit was allowed:\n"]
        sections.append("".join(items))
    return sections


def _way(line: ResultLine) -> str:
    """Return method and options of a run, as Markdown."""
    options = line.get("options")
    words = [f"{name} = {value}" for name, value in options.items()] if isinstance(options, Mapping) else []
    words = [f"{line['preset']} settings", *words] if line.get("preset") else words
    return escaped(", ".join([str(line.get("method", "?")), *words]))


def _conditions(line: ResultLine) -> str:
    """Return what a run was allowed, and where it ran, as Markdown."""
    seconds, steps, threads = (line.get(name) for name in ("seconds_allowed", "steps_allowed", "threads"))
    words = [] if seconds is None else [f"{seconds:g} s" if isinstance(seconds, int | float) else f"{seconds} s"]
    words += [] if steps is None else [f"{steps} steps"]
    words += [] if line.get("device") is None else [f"on {line['device']}"]
    words += [] if threads is None else [f"{threads} threads"]
    return escaped(", ".join(words))
