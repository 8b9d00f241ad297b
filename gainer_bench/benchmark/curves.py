"""Draws a benchmark's curves: PSNR over the time and the steps of the fit, and over the bytes of the stored model.

The mean over pictures comes first and large; below it is a small panel for each picture, all with the same axes.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from gainer_bench.benchmark.results import ResultLine, by_image, by_label, finished, label
from gainer_bench.benchmark.series import Clock, Curve, over_bytes, over_time, time_grid
from gainer_ns.io.files import whole_file

if TYPE_CHECKING:
    from matplotlib.typing import LineStyleType

DPI = 100
FIGURE_INCHES = 12.0
"""Of a figure, in inches."""
LEFT, RIGHT, TOP, BOTTOM = 0.7, 0.15, 0.4, 0.6
"""Margins in inches."""
MAIN_HEIGHT, LEGEND_INCHES = 4.9, 2.9
"""Of the large panel, which is higher where the legend is, and of the legend, in inches."""
SMALL_HEIGHT, SMALL_GAP = 1.75, 0.32
"""Height of a small panel and what is above it, for its title, in inches."""
SMALL_COLUMNS = 4
MOST_PANELS = 24
"""Pictures that get a small panel."""
LEGEND_LETTERS = 28
"""A line of the legend has at most so many."""
MANY = 16
"""A legend of more methods has smaller letters."""

LINE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9", "#808080")
"""Okabe and Ito's palette for all kinds of colour vision, with grey for its yellow, too light for lines on white."""
DASHES: tuple[LineStyleType, ...] = (
    "-",
    (0, (6, 2)),
    (0, (4, 1.5, 1, 1.5)),
    (0, (1.5, 1.2)),
    (0, (6, 1.5, 1, 1.5, 1, 1.5)),
)
MARKERS = "osD^vPX<>*hpd"
MARKER_SIZES = {8: 4.5, 16: 7.0, 32: 10.0}
"""Bits a stored number -> size of its marker in points."""
_MARKER_EDGE: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.6}


class LineStyle(NamedTuple):
    """How the lines of a method look; with up to 40 methods no two look the same, even in grey."""

    color: str
    linestyle: LineStyleType
    marker: str


def styles(lines: Iterable[ResultLine]) -> dict[str, LineStyle]:
    """Choose a style for each method, in order of first appearance."""
    return {
        name: LineStyle(LINE_COLOURS[n % len(LINE_COLOURS)], DASHES[n % len(DASHES)], MARKERS[n % len(MARKERS)])
        for n, name in enumerate(by_label(lines))
    }


class AxisScale(NamedTuple):
    """A horizontal axis, logarithmic, and how curves are drawn over it."""

    title: str
    text: Callable[[float], str]  # A value as the label of its tick
    draw: Callable[[Axes, str, Curve, LineStyle, float], None]
    """Draws a method's curve with lines of a width in points; the label is the lines' ``gid``."""


class CurvePanel(NamedTuple):
    """Curves in one pair of axes."""

    title: str
    curves: dict[str, Curve]


def time_figure(lines: Sequence[ResultLine], clock: Clock = "seconds") -> Figure | None:
    """Draw PSNR over seconds or steps of fitting; None where nothing was measured.

    Args:
        lines: Any lines; those of failed and skipped runs only keep their method's colour.
        clock: What is along the axis.
    """
    good = finished(lines)
    times = time_grid(good, clock=clock)
    scale = AxisScale(
        f"{clock} of fitting", lambda value: f"{value:,.0f}" if value >= 1e3 else f"{value:.3g}", _draw_steps
    )
    levels = published_levels(good)
    note = "Thin, level: published mean of Kodak, of the method in the same colour" if levels else ""
    return _figure(_panels(good, lambda group: over_time(group, times, clock)), styles(lines), scale, note, levels)


def bytes_figure(lines: Sequence[ResultLine]) -> Figure | None:
    """Draw PSNR of the stored model over the bytes of its file; None where nothing was stored."""
    scale = AxisScale("bytes of the stored model", _bytes_text, _draw_sizes)
    note = "Markers from small to large: 8, 16 and 32 bits a number"
    return _figure(_panels(finished(lines), over_bytes), styles(lines), scale, note)


def published_levels(lines: Iterable[ResultLine]) -> dict[str, float]:
    """Return labels of methods at published settings, and the PSNR in dB that is published for Kodak, if any is."""
    published = {label(line): str(line.get("method")) for line in lines if line.get("preset") == "published"}
    if not published:
        return {}
    from gainer_bench.presets import PUBLISHED  # loads torch

    of = {name: PUBLISHED[method].kodak_psnr for name, method in published.items() if method in PUBLISHED}
    return {name: level for name, level in of.items() if level is not None}


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG, whole.

    Raises:
        GainerError: The file cannot be written.
    """
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=DPI)


def _panels(lines: Sequence[ResultLine], curve: Callable[[Sequence[ResultLine]], Curve | None]) -> list[CurvePanel]:
    """Return the mean over pictures, and the first pictures; those without curves are left out."""
    pictures = by_image(lines)
    groups = {f"Mean over {len(pictures)} images": list(lines)} if len(pictures) > 1 else {}
    panels = [
        CurvePanel(title, {name: found for name, of in by_label(group).items() if (found := curve(of)) is not None})
        for title, group in [*groups.items(), *pictures.items()]
    ]
    panels = [panel for panel in panels if panel.curves]
    if len(panels) > MOST_PANELS + 1:
        panels[0] = panels[0]._replace(title=f"{panels[0].title}; below, the first {MOST_PANELS} of them")
    return panels[: MOST_PANELS + 1]


def _figure(
    panels: Sequence[CurvePanel],
    looks: Mapping[str, LineStyle],
    scale: AxisScale,
    note: str,
    levels: Mapping[str, float] | None = None,
) -> Figure | None:
    """Return all panels: the first one large, with the legend beside it, and levels in dB as thin lines across it."""
    values = [curve for panel in panels for curve in panel.curves.values()]
    drawn = np.concatenate([np.empty((2, 0)), *(np.stack([curve.x, curve.y]) for curve in values)], axis=1)
    drawn = drawn[:, np.isfinite(drawn).all(axis=0)]
    if drawn.shape[1] == 0:
        return None
    levels = levels or {}
    drawn = np.concatenate([drawn, [[drawn[0, 0]] * len(levels), list(levels.values())]], axis=1)
    texts = _legend_texts(panels[0].curves, note)
    main = max(MAIN_HEIGHT, _legend_height(texts))
    rows = math.ceil((len(panels) - 1) / SMALL_COLUMNS)
    height = TOP + main + BOTTOM + rows * (SMALL_HEIGHT + SMALL_GAP) + (BOTTOM if rows else 0)
    figure = Figure(figsize=(FIGURE_INCHES, height), dpi=DPI, facecolor="white")
    step = (FIGURE_INCHES - LEFT - RIGHT) / SMALL_COLUMNS
    for number, panel in enumerate(panels):
        row, column = divmod(number - 1, SMALL_COLUMNS)
        if number == 0:
            place = (LEFT, height - TOP - main, FIGURE_INCHES - LEFT - RIGHT - LEGEND_INCHES, main)
        else:
            top = TOP + main + BOTTOM + row * (SMALL_HEIGHT + SMALL_GAP) + SMALL_GAP
            place = (LEFT + column * step, height - top - SMALL_HEIGHT, step - 0.15, SMALL_HEIGHT)
        x, y, w, h = place
        axes = figure.add_axes((x / FIGURE_INCHES, y / height, w / FIGURE_INCHES, h / height))
        _fill(axes, panel, looks, scale, small=number > 0)
        _limit(axes, drawn, scale, apart=0.2 if number else 0.08)
        lowest = number == 0 or number + SMALL_COLUMNS >= len(panels)
        axes.tick_params(labelsize=8 if number else 10, labelbottom=lowest, labelleft=number == 0 or column == 0)
        if lowest:
            axes.set_xlabel(scale.title, fontsize=8 if number else 11)
        if number == 0 or column == 0:
            axes.set_ylabel("PSNR (dB)", fontsize=8 if number else 11)
    for name, level in levels.items():
        figure.axes[0].axhline(level, color=looks[name].color, linestyle=looks[name].linestyle, linewidth=0.8)
    _legend(figure.axes[0], [looks[name] for name in panels[0].curves], texts)
    return figure


def _fill(axes: Axes, panel: CurvePanel, looks: Mapping[str, LineStyle], scale: AxisScale, *, small: bool) -> None:
    """Draw a panel's curves, grid and title."""
    axes.set_xscale("log")
    axes.grid(color="0.88", linewidth=0.7)
    axes.set_axisbelow(True)
    for name, curve in panel.curves.items():
        scale.draw(axes, name, curve, looks[name], 1.2 if small else 1.9)
    title = textwrap.shorten(panel.title, 40 if small else 90, placeholder="…")
    axes.set_title(title, fontsize=9 if small else 12, pad=4, parse_math=False)


def _draw_steps(axes: Axes, name: str, curve: Curve, style: LineStyle, width: float) -> None:
    """Draw a quality that stays until the next measurement. Markers tell methods apart and stand at no measurement."""
    last = len(curve.x) - 1
    shift = 23 * list(MARKERS).index(style.marker) % 60
    marked = sorted({*range(shift, last, 60), last}) if width > 1.5 else []
    axes.plot(
        curve.x,
        curve.y,
        **style._asdict(),
        **_MARKER_EDGE,
        linewidth=width,
        markersize=6,
        markevery=marked,
        drawstyle="steps-post",
        gid=name,
    )


def _draw_sizes(axes: Axes, name: str, curve: Curve, style: LineStyle, width: float) -> None:
    """Draw the points of one method, joined; the more bits, the larger the marker."""
    axes.plot(curve.x, curve.y, color=style.color, linestyle=style.linestyle, linewidth=width, gid=name)
    for x, y, bits in zip(curve.x, curve.y, curve.bits, strict=True):
        if np.isinf(y):  # without loss: its size is all there is to be drawn
            axes.axvline(x, color=style.color, linestyle=style.linestyle, linewidth=width, gid=name)
            continue
        size = MARKER_SIZES.get(bits, 7.0) * width / 1.9
        axes.plot([x], [y], color=style.color, marker=style.marker, markersize=size, **_MARKER_EDGE)


def _limit(axes: Axes, drawn: np.ndarray, scale: AxisScale, apart: float) -> None:
    """Set the same limits for all panels, and as many ticks as are ``apart``, a share of the axis, or more."""
    low, high = np.log10(drawn[0].min()), np.log10(drawn[0].max())
    margin = max(0.03 * (high - low), 0.02)
    axes.set_xlim(10 ** (low - margin), 10 ** (high + margin))
    bottom, top = drawn[1].min(), drawn[1].max()
    axes.set_ylim(bottom - max(0.05 * (top - bottom), 0.5), top + max(0.05 * (top - bottom), 0.5))
    powers = [10.0**power for power in range(math.floor(low) - 1, math.ceil(high) + 2)]
    candidates: list[list[float]] = [[factor * power for power in powers for factor in range(1, 10)]]
    candidates += [[factor * power for power in powers for factor in (1, 2, 5)], powers]
    inside = [[one for one in some if low - margin <= math.log10(one) <= high + margin] for some in candidates]
    least = apart * (high - low + 2 * margin)
    chosen = next((some for some in inside if np.all(np.diff(np.log10(some)) >= least)), inside[-1])
    axes.xaxis.set_major_locator(FixedLocator(chosen or [10**low]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scale.text(value)))


def _legend_texts(curves: Mapping[str, Curve], note: str) -> list[str]:
    """Return the methods' names, with the number of pictures where a mean is not of all; and the note, if any."""
    most = max(curve.pictures for curve in curves.values())
    texts = []
    for name, curve in curves.items():
        text = name + (f" ({curve.pictures} of {most} images)" if curve.pictures < most else "")
        texts.append(text + (" (∞ is not drawn)" if np.isinf(curve.y).any() else ""))
    texts += [note] if note else []
    return ["\n".join(textwrap.wrap(text, LEGEND_LETTERS)) for text in texts]


def _legend_height(texts: Sequence[str]) -> float:
    """Return inches that a legend takes, generously."""
    line, gap = (0.17, 0.1) if len(texts) <= MANY else (0.135, 0.045)
    return sum(line * (1 + text.count("\n")) + gap for text in texts)


def _legend(axes: Axes, looks: Sequence[LineStyle], texts: Sequence[str]) -> None:
    """Draw a legend to the right of the axes; texts beyond the styles have no line."""
    handles = [Line2D([], [], **look._asdict(), linewidth=1.9, markersize=6) for look in looks]
    handles += [Line2D([], [], linestyle="none") for _ in texts[len(looks) :]]
    legend = axes.legend(
        handles,
        [str(number) for number in range(len(handles))],  # matplotlib reads some names as mark-up, or hides them
        loc="upper left",
        bbox_to_anchor=(1.01, 1.01),
        frameon=False,
        fontsize=10 if len(texts) <= MANY else 8,
        handlelength=3.6,
        labelspacing=0.7 if len(texts) <= MANY else 0.35,
    )
    for shown, text in zip(legend.get_texts(), texts, strict=True):
        shown.set_parse_math(False)
        shown.set_text(text)


def _bytes_text(value: float) -> str:
    """Return a size as the label of a tick, in powers of 1000."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= 0.999 * unit:
            return f"{value / unit:.3g} {name}"
    return f"{value:g} B"
