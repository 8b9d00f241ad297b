"""What a benchmark's lines of results hold, and how numbers are averaged over pictures and seeds.

A line is a JSON object: a finished run, or one with an ``error`` or the reason why it was ``skipped``.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

ResultLine: TypeAlias = Mapping[str, Any]


def newest(lines: Iterable[ResultLine]) -> list[ResultLine]:
    """Return the lines without those that a later line of the same key replaces, in order of first appearance.

    The same picture under two names is two.
    """
    return list({(line.get("key", number), image(line)): line for number, line in enumerate(lines)}.values())


def finished(lines: Iterable[ResultLine]) -> list[ResultLine]:
    """Return the lines of runs that neither failed nor were skipped."""
    return [line for line in lines if "error" not in line and "skipped" not in line]


def label(line: ResultLine) -> str:
    """Return what the line's method, with its options, is called."""
    return str(line.get("label") or line.get("method") or "?")


def image(line: ResultLine) -> str:
    """Return what the line's picture is called."""
    return str(line.get("image", "?"))


def by_label(lines: Iterable[ResultLine]) -> dict[str, list[ResultLine]]:
    """Group the lines by method, in order of first appearance."""
    groups: dict[str, list[ResultLine]] = {}
    for line in lines:
        groups.setdefault(label(line), []).append(line)
    return groups


def by_image(lines: Iterable[ResultLine]) -> dict[str, list[ResultLine]]:
    """Group the lines by picture, in order of first appearance."""
    groups: dict[str, list[ResultLine]] = {}
    for line in lines:
        groups.setdefault(image(line), []).append(line)
    return groups


def number(value: Any) -> float | None:
    """Return a number of a line, which may be written as "inf", "-inf" or "nan"; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def part(line: ResultLine, *names: str) -> Any:
    """Return what a line holds under names inside of names, or None where it has no such thing."""
    found: Any = line
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def number_at(line: ResultLine, *names: str) -> float | None:
    """Return the number that a line holds under names, or the mean of those below; None where there is none."""
    found = part(line, *names)
    if not isinstance(found, Mapping):
        return number(found)
    numbers = [one for value in found.values() if (one := number(value)) is not None]
    return sum(numbers) / len(numbers) if numbers else None


def mean_by_image(lines: Sequence[ResultLine], values: Sequence[float]) -> float:
    """Return the mean over pictures of the mean over each one's runs, so that every picture counts once."""
    groups: dict[str, list[float]] = {}
    for line, value in zip(lines, values, strict=True):
        groups.setdefault(image(line), []).append(value)
    means = [sum(group) / len(group) for group in groups.values()]
    return sum(means) / len(means)


def spread_over_seeds(lines: Sequence[ResultLine], values: Sequence[float]) -> float | None:
    """Return the sample standard deviation, over seeds, of the mean over pictures.

    Returns:
        The deviation, in the values' unit; None unless two seeds or more have a run of every picture.
    """
    pictures = {image(line) for line in lines}
    seeds: dict[Any, dict[str, float]] = {}
    for line, value in zip(lines, values, strict=True):
        seeds.setdefault(line.get("seed"), {})[image(line)] = value
    means = [sum(of.values()) / len(of) for of in seeds.values() if of.keys() == pictures]
    return statistics.stdev(means) if len(means) > 1 else None
