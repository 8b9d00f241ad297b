"""The columns of a benchmark's tables: what of a line they show, averaged, and whether more of it is better."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from gainer_bench.benchmark.results import Line, mean_by_image, number, part, spread_over_seeds

Part = Literal["quality", "cost"]
Value = Callable[[Line], float | None]

NONE = "–"
"""Text of a number that is not there."""
STORED_LOSS = 0.3
"""Most dB that a stored model may lose against its 32 bits for its size to be the one that is shown."""
_NOT_FINITE = {math.inf: "∞", -math.inf: "−∞"}


class Score(NamedTuple):
    """What a column shows for some runs of one method."""

    text: str
    spread: str = ""
    """What follows the text: the deviation over seeds."""
    rank: tuple[float, ...] | None = None
    """Compares scores of one column, larger is better; None for what cannot be compared."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    title: str
    part: Part
    score: Callable[[Sequence[Line]], Score]
    """What it shows for the finished runs, one or more, of one method."""
    always: bool = False
    """Shown also where no method has a number."""


def decimals(digits: int) -> Callable[[float], str]:
    """Shows numbers with so many digits behind the point, and commas between thousands."""
    return lambda value: f"{value:,.{digits}f}"


def significant(value: float) -> str:
    """A number with three digits that mean something, and not fewer than it has in front of the point."""
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(max(digits, 0), 6)}f}"


def averaged(lines: Sequence[Line], value: Value, shown: Callable[[float], str], better: int) -> Score:
    """Mean over pictures, with its deviation where there are several seeds.

    Numbers that are not finite are counted and not averaged, and so are runs that have no number.

    Args:
        lines: Finished runs of one method.
        value: The number of one of them, None where it has none.
        shown: A finite number as text.
        better: 1 where larger numbers are better, -1 where smaller ones are, 0 where neither is.
    """
    found = [(line, one) for line in lines if (one := value(line)) is not None]
    if not found:
        return Score(NONE)
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


def stored(lines: Sequence[Line]) -> Score:
    """Megabytes, 10^6 bytes, of the smallest file that holds the model with a loss of at most :data:`STORED_LOSS`."""
    sizes = mean_sizes(lines)
    full = sizes.get(32)
    count = sum(bool(part(line, "stored")) for line in lines)
    for bits, (size, psnr) in sorted(sizes.items()):
        if full is None or bits == 32 or psnr >= full[1] - STORED_LOSS:
            shown = significant(size / 1e6)
            if count < len(lines):
                return Score(f"{count}/{len(lines)}: {shown} ({bits} bit)")
            return Score(shown, f" ({bits} bit)", (-float(shown.replace(",", "")),))
    return Score(NONE)


def mean_sizes(lines: Sequence[Line]) -> dict[int, tuple[float, float]]:
    """Bits a stored number -> mean bytes of the file, and mean PSNR in dB of what is drawn from it.

    Only widths that all runs have which stored anything; their means are of these runs.
    """
    storing = [line for line in lines if part(line, "stored")]
    means: dict[int, tuple[float, float]] = {}
    for width in part(storing[0], "stored") if storing else ():
        sizes = [number(part(line, "stored", width, "bytes")) for line in storing]
        psnrs = [number(part(line, "stored", width, "psnr")) for line in storing]
        if str(width).isdecimal() and None not in sizes and None not in psnrs:
            means[int(width)] = (
                mean_by_image(storing, [one for one in sizes if one is not None]),
                mean_by_image(storing, [one for one in psnrs if one is not None]),
            )
    return means


def columns(lines: Sequence[Line]) -> list[Column]:
    """The columns that finished runs have numbers for: quality first, then what it costs."""
    levels = {name for line in lines for name in part(line, "reached") or () if number(name) is not None}
    every = [
        _mean("PSNR", "quality", _at("psnr"), decimals(2), 1),
        _mean("PSNR 8-bit", "quality", _at("psnr_8bit"), decimals(2), 1),
        _mean("exact %", "quality", lambda line: _scaled(line, 100, "exact_share"), decimals(2), 1),
        _mean("MS-SSIM", "quality", _at("ms_ssim"), decimals(5), 1),
        _mean("LPIPS", "quality", _at("lpips"), decimals(4), -1),
        *(
            _mean(f"s to {level} dB", "quality", _at("reached", level, "seconds"), significant, -1, always=True)
            for level in sorted(levels, key=float)
        ),
        _mean("off-grid dB", "quality", lambda line: _mean_of(part(line, "off_grid")), decimals(2), 1),
        _mean("edits dB", "quality", lambda line: _mean_of(part(line, "edits")), decimals(2), 1),
        _mean("fit s", "cost", _at("seconds", "fit"), significant, -1),
        _mean("iterations", "cost", _at("iterations"), decimals(0), 0),
        _mean("frames/s, new index", "cost", partial(_rate, "new_index"), significant, 1),
        _mean("frames/s, same index", "cost", partial(_rate, "same_index"), significant, 1),
        Column("MB stored", "cost", stored),
        _mean("parameters", "cost", _at("parameters"), decimals(0), -1),
        _mean("peak MiB", "cost", _at("peak_mib"), decimals(0), -1),
        _mean("peak GPU MiB", "cost", _at("gpu_peak_mib"), decimals(0), -1),
    ]
    return [column for column in every if column.always or any(column.score([line]).text != NONE for line in lines)]


def _mean(
    title: str, of: Part, value: Value, shown: Callable[[float], str], better: int, *, always: bool = False
) -> Column:
    return Column(title, of, lambda lines: averaged(lines, value, shown, better), always)


def _at(*names: str) -> Value:
    return lambda line: number(part(line, *names))


def _scaled(line: Line, factor: float, *names: str) -> float | None:
    found = number(part(line, *names))
    return None if found is None else factor * found


def _rate(name: str, line: Line) -> float | None:
    seconds = number(part(line, "render_seconds", name))
    return None if not seconds else 1 / seconds


def _mean_of(found: object) -> float | None:
    values: Iterable[object] = found.values() if isinstance(found, dict) else ()
    numbers = [one for value in values if (one := number(value)) is not None]
    return sum(numbers) / len(numbers) if numbers else None
