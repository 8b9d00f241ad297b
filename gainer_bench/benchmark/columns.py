"""The tables of a benchmark: a row a method, and in each column what its runs show, averaged, the best in bold."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from gainer_bench.benchmark.results import (
    ResultLine,
    by_image,
    by_label,
    finished,
    mean_by_image,
    number,
    number_at,
    part,
    spread_over_seeds,
)
from gainer_bench.tables import Table, TableCell

Part = Literal["quality", "cost"]

NO_NUMBER = "–"
STORED_LOSS_DB = 0.3
"""Most that a stored model may lose against its 32 bits for its size to be the one that is shown."""
LEGEND = """\
PSNR and MS-SSIM are of the whole picture at its own size; *exact*: pixels whose 8-bit values all are. *s to 40 dB*:
seconds of fitting until the picture was first measured at 40 dB or more. *off-grid*: mean PSNR of the picture drawn
half a pixel aside, rotated and magnified; *edits*: of edited pictures, each against the same edit of the source.
*frames/s*: pictures drawn a second, with the neighbour index built anew and kept. *MB stored*: 10^6 bytes of the
smallest file whose picture loses at most 0.3 dB against the one of 32 bits a number. *peak*: the most memory the
process held.

Every picture counts once. 2/3: 1.2 is the mean, 1.2, of the 2 runs of 3 that have such a number, and an en dash says
that none has. Bold is the best of the methods that have results for all pictures and a number in every run."""
_NOT_FINITE = {math.inf: "∞", -math.inf: "−∞"}


class Score(NamedTuple):
    """What a column shows for some runs of one method."""

    text: str
    spread: str = ""  # what follows the text: the deviation over seeds
    rank: tuple[float, ...] | None = None
    """Compares scores of one column, larger is better; None for what cannot be compared."""


class Column(NamedTuple):
    """A column of a table."""

    title: str
    part: Part
    score: Callable[[Sequence[ResultLine]], Score]  # what it shows for the finished runs, one or more, of one method
    always: bool = False  # shown also where no method has a number


def mean_table(lines: Sequence[ResultLine], of: Part | None = None) -> Table | None:
    """Average the finished runs of each method over pictures and seeds.

    Args:
        lines: Any lines; those of failed and skipped runs are passed over.
        of: The columns of this part only; None for all.

    Returns:
        The table, with a column that says how many pictures each method has results for where they are several; None
        where no run is finished.
    """
    good = finished(lines)
    if not good:
        return None
    pictures, groups = len(by_image(good)), by_label(good)
    covered = {name: len(by_image(group)) for name, group in groups.items()}
    counted = [] if pictures == 1 else ["images"]
    rows = [[TableCell(name), *(TableCell(f"{covered[name]}/{pictures}") for _ in counted)] for name in groups]
    chosen = [column for column in columns(good) if of in (None, column.part)]
    for column in chosen:
        scores = {name: column.score(group) for name, group in groups.items()}
        best = _best([one if covered[name] == pictures else one._replace(rank=None) for name, one in scores.items()])
        for row, score, bold in zip(rows, scores.values(), best, strict=True):
            row.append(TableCell(score.text + score.spread, bold))
    return Table(["method", *counted, *(column.title for column in chosen)], rows)


def _best(scores: Sequence[Score]) -> list[bool]:
    """Say which scores of a column are the best: several where they read the same, none where nothing compares."""
    compared = [(score.rank, score.text) for score in scores if score.rank is not None]
    text = max(compared)[1] if compared and len(scores) > 1 else None
    return [score.rank is not None and score.text == text for score in scores]


def decimals(digits: int) -> Callable[[float], str]:
    """Show numbers with so many digits behind the point, and commas between thousands."""
    return lambda value: f"{value:,.{digits}f}"


def significant(value: float) -> str:
    """Show a number with three digits that mean something, and not fewer than it has in front of the point."""
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(max(digits, 0), 6)}f}"


def averaged(
    lines: Sequence[ResultLine], value: Callable[[ResultLine], float | None], shown: Callable[[float], str], better: int
) -> Score:
    """Return the mean over pictures, with its deviation where there are several seeds.

    Numbers that are not finite are counted and not averaged, and so are runs that have no number.

    Args:
        lines: Finished runs of one method.
        value: The number of one of them, None where it has none.
        shown: A finite number as text.
        better: 1 where larger numbers are better, -1 where smaller ones are, 0 where neither is.
    """
    found = [(line, one) for line in lines if (one := value(line)) is not None]
    if not found:
        return Score(NO_NUMBER)
    finite = [(line, one) for line, one in found if math.isfinite(one)]
    odd = Counter(_NOT_FINITE.get(one, "nan") for _, one in found if not math.isfinite(one))
    mean, text, spread = 0.0, "", ""
    if finite:
        of, numbers = zip(*finite, strict=True)
        mean = mean_by_image(of, numbers)
        text = shown(mean)
        deviation = spread_over_seeds(of, numbers) if len(finite) == len(lines) else None
        spread = f" ± {deviation:,.{len(text.partition('.')[2])}f}" if deviation else ""
    if odd and finite:
        text = ", ".join(f"{what} on {count}/{len(found)}" for what, count in odd.items()) + f", else {text}"
    elif odd:
        text = " and ".join(odd)
    if len(found) < len(lines):
        return Score(f"{len(found)}/{len(lines)}: {text}")
    comparable = better != 0 and odd.keys() <= {"∞"}
    return Score(text, spread, (better * odd["∞"] / len(found), better * mean) if comparable else None)


def stored_megabytes(lines: Sequence[ResultLine]) -> Score:
    """Return the megabytes (10^6 bytes) of the smallest file that holds the model with little loss."""
    sizes = mean_sizes(lines)
    full = sizes.get(32)
    count = sum(bool(part(line, "stored")) for line in lines)
    for bits, (size, psnr) in sorted(sizes.items()):
        if full is None or bits == 32 or psnr >= full[1] - STORED_LOSS_DB:
            shown = significant(size / 1e6)
            if count < len(lines):
                return Score(f"{count}/{len(lines)}: {shown} ({bits} bit)")
            return Score(shown, f" ({bits} bit)", (-float(shown.replace(",", "")),))
    return Score(NO_NUMBER)


def mean_sizes(lines: Sequence[ResultLine]) -> dict[int, tuple[float, float]]:
    """Return bits a stored number -> mean bytes of the file, and mean PSNR in dB of what is drawn from it.

    Only widths that all runs have which stored anything; their means are of these runs.
    """
    storing = [line for line in lines if part(line, "stored")]
    means: dict[int, tuple[float, float]] = {}
    for width in part(storing[0], "stored") if storing else ():
        found = [
            (number_at(line, "stored", width, "bytes"), number_at(line, "stored", width, "psnr")) for line in storing
        ]
        whole = [(size, psnr) for size, psnr in found if size is not None and psnr is not None]
        if str(width).isdecimal() and len(whole) == len(storing):
            size, psnr = (mean_by_image(storing, numbers) for numbers in zip(*whole, strict=True))
            means[int(width)] = size, psnr
    return means


def columns(lines: Sequence[ResultLine]) -> list[Column]:
    """Return the columns that finished runs have numbers for: quality first, then what it costs."""
    levels = {name for line in lines for name in part(line, "reached") or () if number(name) is not None}
    every = [
        _mean("PSNR", "quality", "psnr", decimals(2), 1),
        _mean("PSNR 8-bit", "quality", "psnr_8bit", decimals(2), 1),
        _mean("exact %", "quality", "exact_share", decimals(2), 1, lambda share: 100 * share),
        _mean("MS-SSIM", "quality", "ms_ssim", decimals(5), 1),
        _mean("LPIPS", "quality", "lpips", decimals(4), -1),
        *(
            _mean(f"s to {level} dB", "quality", f"reached/{level}/seconds", significant, -1)._replace(always=True)
            for level in sorted(levels, key=float)
        ),
        _mean("off-grid dB", "quality", "off_grid", decimals(2), 1),
        _mean("edits dB", "quality", "edits", decimals(2), 1),
        _mean("fit s", "cost", "seconds/fit", significant, -1),
        _mean("iterations", "cost", "iterations", decimals(0), 0),
        _mean("frames/s, new index", "cost", "render_seconds/new_index", significant, 1, _rate),
        _mean("frames/s, same index", "cost", "render_seconds/same_index", significant, 1, _rate),
        Column("MB stored", "cost", stored_megabytes),
        _mean("parameters", "cost", "parameters", decimals(0), -1),
        _mean("peak MiB", "cost", "peak_mib", decimals(0), -1),
        _mean("peak GPU MiB", "cost", "gpu_peak_mib", decimals(0), -1),
    ]
    return [
        column for column in every if column.always or any(column.score([line]).text != NO_NUMBER for line in lines)
    ]


def _mean(
    title: str,
    of: Part,
    path: str,
    shown: Callable[[float], str],
    better: int,
    change: Callable[[float], float | None] = lambda number: number,
) -> Column:
    """Make a column of means: of the number at a path, or of the mean of the numbers below it."""

    def value(line: ResultLine) -> float | None:
        found = number_at(line, *path.split("/"))
        return None if found is None else change(found)

    return Column(title, of, lambda lines: averaged(lines, value, shown, better))


def _rate(seconds: float) -> float | None:
    return 1 / seconds if seconds else None
