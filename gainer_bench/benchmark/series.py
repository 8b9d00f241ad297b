"""The numbers of a benchmark's curves: quality over the time of the fit and over the size of the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from gainer_bench.benchmark.columns import mean_sizes
from gainer_bench.benchmark.results import ResultLine, by_image, number, part

Clock = Literal["seconds", "steps"]
"""What the length of a fit is counted in."""


class Curve(NamedTuple):
    """Points to be joined."""

    x: Float[np.ndarray, " m"]  # seconds or steps of fitting, or bytes
    y: Float[np.ndarray, " m"]  # PSNR in dB
    bits: tuple[int, ...] = ()  # bits a stored number at each point, of curves over bytes
    pictures: int = 1  # how many pictures it is the mean of


class FitHistory(NamedTuple):
    """What was measured during a fit, in order of time."""

    spent: Float[np.ndarray, " n"]  # seconds, or steps
    psnr: Float[np.ndarray, " n"]


def history(line: ResultLine, clock: Clock = "seconds") -> FitHistory:
    """Return seconds or steps of fitting and PSNR (dB) of a run's measurements, without those that gave no number."""
    points = []
    for entry in part(line, "history") or ():
        spent, psnr = number(entry[1] if clock == "seconds" else entry[0] + 1), number(entry[2])
        if spent is not None and psnr is not None and not np.isnan([spent, psnr]).any():
            points.append((spent, psnr))
    points.sort(key=lambda point: point[0])  # stable: of two at one time, the later one in the history counts
    spent, psnr = np.array(points, float).reshape(-1, 2).T
    return FitHistory(spent, psnr)


def psnr_at(measured: FitHistory, times: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """Return the quality one has at some times: the last one measured until then.

    Returns:
        PSNR in dB, nan before the first measurement. After the last one it stays.
    """
    place = np.searchsorted(measured.spent, times, side="right")
    return np.concatenate([[np.nan], measured.psnr])[place]


def time_grid(lines: Iterable[ResultLine], count: int = 400, clock: Clock = "seconds") -> Float[np.ndarray, " t"]:
    """Return times in equal ratios, from the first measurement of all runs (after the start) to the last.

    Returns:
        Seconds or steps of fitting; empty where nothing was measured after the start.
    """
    spent = np.concatenate([np.empty(0), *(history(line, clock).spent for line in lines)])
    spent = spent[spent > 0]
    if spent.size == 0:
        return np.empty(0)
    grid = np.geomspace(spent.min(), spent.max(), count)
    grid[0], grid[-1] = spent.min(), spent.max()  # as they are: rounding would miss a measurement
    return grid


def over_time(lines: Sequence[ResultLine], times: Float[np.ndarray, " t"], clock: Clock = "seconds") -> Curve | None:
    """Return quality at equal times, mean over pictures of the mean over each one's runs.

    Returns:
        A point at each time from which all runs have a measurement on, of steps until the last one; None where no time
        is left. Runs without any measurement are not in the mean.
    """
    measured = [line for line in lines if history(line, clock).spent.size]
    pictures = by_image(measured).values()
    if not measured or times.size == 0:
        return None
    if clock == "steps":  # time goes on after a fit's end, but no more steps are taken
        last = max(history(line, clock).spent[-1] for line in measured)
        times = np.append(times[times < last], last)
    means = [np.mean([psnr_at(history(line, clock), times) for line in group], axis=0) for group in pictures]
    mean = np.mean(means, axis=0)
    known = ~np.isnan(mean)
    return Curve(times[known], mean[known], pictures=len(pictures)) if known.any() else None


def over_bytes(lines: Sequence[ResultLine]) -> Curve | None:
    """Return size and quality of the stored models, means over pictures, from the fewest bits a number to the most.

    Returns:
        A point for each width that every run which stored anything has; None where there is none.
    """
    means = {bits: mean for bits, mean in sorted(mean_sizes(lines).items()) if mean[0] > 0 and not np.isnan(mean[1])}
    if not means:
        return None
    size, psnr = np.array(list(means.values()), float).T
    return Curve(size, psnr, tuple(means), len(by_image(line for line in lines if part(line, "stored"))))
