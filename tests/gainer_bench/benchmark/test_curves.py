"""Curves of a benchmark: their numbers by hand, what the axes hold, and the pictures that are written."""

import itertools
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from gainer_bench.benchmark.curves import MOST_PANELS, bytes_figure, styles, time_figure, write_figure
from gainer_bench.benchmark.series import FitHistory, history, over_bytes, over_time, psnr_at, time_grid
from gainer_ns.errors import GainerError

Make = Callable[..., dict[str, Any]]


def drawn(figure: Figure | None, panel: int) -> dict[str, tuple[list[float], list[float]]]:
    """Label -> x and y of its line in a panel."""
    assert figure is not None
    lines = [line for line in figure.axes[panel].lines if line.get_gid() is not None]
    return {str(line.get_gid()): (list(line.get_xdata()), list(line.get_ydata())) for line in lines}


def legend(figure: Figure | None) -> list[str]:
    assert figure is not None
    found = figure.axes[0].get_legend()
    assert found is not None
    return [" ".join(text.get_text().split()) for text in found.get_texts()]


def test_the_last_measurement_until_then_counts() -> None:
    measured = FitHistory(np.array([1.0, 2.0, 4.0]), np.array([20.0, 30.0, 25.0]))
    found = psnr_at(measured, np.array([0.5, 1.0, 1.99, 2.0, 3.9, 4.0, 100.0]))
    np.testing.assert_array_equal(found, [np.nan, 20.0, 20.0, 30.0, 30.0, 25.0, 25.0])
    assert np.isnan(psnr_at(FitHistory(np.empty(0), np.empty(0)), np.array([1.0]))).all()


def test_a_history_is_read_in_order_of_time_and_without_nan(result: Make) -> None:
    entries = [[5, 3.0, 28.0], [0, 1.0, 20.0], [2, 2.0, "nan"], [3, 2.5, None], [9, 4.0, "inf"], [6, 3.0, 29.0]]
    seconds, psnr = history(result("a", "X", history=entries))
    assert (seconds.tolist(), psnr.tolist()) == ([1.0, 3.0, 3.0, 4.0], [20.0, 28.0, 29.0, np.inf])
    assert psnr_at(FitHistory(seconds, psnr), np.array([3.0])) == 29.0, "of two at one time the later entry"
    assert history({"image": "a"}).spent.size == 0
    steps = history(result("a", "X", history=entries), "steps")
    assert (steps.spent.tolist(), steps.psnr.tolist()) == ([1.0, 6.0, 7.0, 10.0], [20.0, 28.0, 29.0, np.inf])


def test_the_grid_goes_from_the_first_measurement_to_the_last(result: Make) -> None:
    histories = [[0, 0.0, 5.0], [1, 0.3, 20.0]], [[0, 2.0, 1.0], [1, 30.0, 2.0]]
    lines = [result("a", "X", history=list(one)) for one in histories]
    grid = time_grid(lines, 5)
    assert (grid[0], grid[-1]) == (0.3, 30.0)
    np.testing.assert_allclose(grid[1:] / grid[:-1], 100**0.25)
    assert time_grid([]).size == time_grid([result("a", "X", history=[[0, 0.0, 5.0]])]).size == 0


def test_the_mean_over_images_at_equal_time_by_hand(result: Make) -> None:
    lines = [
        result("a", "X", history=[[0, 1.0, 20.0], [1, 4.0, 40.0]]),
        result("b", "X", seed=0, history=[[0, 2.0, 10.0], [1, 3.0, 30.0]]),
        result("b", "X", seed=1, history=[[0, 2.0, 20.0], [1, 8.0, 50.0]]),
    ]
    curve = over_time(lines, np.array([1.0, 1.9, 2.0, 3.0, 4.0, 7.0, 8.0, 99.0]))
    assert curve is not None and curve.pictures == 2
    assert curve.x.tolist() == [2.0, 3.0, 4.0, 7.0, 8.0, 99.0], "it begins once all have a measurement"
    # b is the mean of its seeds: 15 at 2 s, 25 at 3 s, 40 at 8 s; a is 20, and 40 from 4 s on
    assert curve.y.tolist() == [17.5, 22.5, 32.5, 32.5, 40.0, 40.0]
    assert over_time(lines, np.array([1.0])) is None and over_time([], np.array([1.0])) is None
    without = [*lines, result("c", "X", history=[])]
    again = over_time(without, curve.x)
    assert again is not None and again.pictures == 2 and again.y.tolist() == curve.y.tolist()


def test_sizes_and_their_quality_by_hand(result: Make) -> None:
    def stored(**sizes: tuple[int, Any]) -> dict[str, Any]:
        return {n[1:]: {"bytes": size, "psnr": psnr} for n, (size, psnr) in sizes.items()}

    lines = [
        result("a", "X", stored=stored(_32=(400, 50.0), _16=(200, 49.0), _8=(100, 30.0))),
        result("b", "X", stored=stored(_32=(800, 60.0), _16=(400, 55.0), _8=(200, 40.0))),
        result("c", "X", stored=None),
    ]
    curve = over_bytes(lines)
    assert curve is not None
    assert (curve.x.tolist(), curve.y.tolist(), curve.bits) == ([150.0, 300.0, 600.0], [35.0, 52.0, 55.0], (8, 16, 32))
    assert curve.pictures == 2
    assert over_bytes([result("a", "X", stored=stored(_32=(0, 50.0), _16=(9, "nan")))]) is None
    assert over_bytes(lines[2:]) is None


def test_the_axes_hold_the_curves(result: Make) -> None:
    lines = [
        result("a", "GaINeR", history=[[0, 1.0, 20.0], [1, 4.0, 40.0]]),
        result("b", "GaINeR", history=[[0, 1.0, 30.0], [1, 9.0, 60.0]]),
        result("a", "_SIREN $x{$", history=[[0, 2.0, 25.0]]),
    ]
    figure = time_figure(lines)
    assert figure is not None
    assert [axes.get_title() for axes in figure.axes] == ["Mean over 2 images", "a", "b"]
    assert [axes.get_xscale() for axes in figure.axes] == ["log"] * 3
    assert {line.get_drawstyle() for line in figure.axes[0].lines} == {"steps-post"}
    mean, of_a, of_b = (drawn(figure, panel) for panel in range(3))
    assert list(mean) == list(of_a) == ["GaINeR", "_SIREN $x{$"] and list(of_b) == ["GaINeR"]
    x, y = mean["GaINeR"]
    assert (x[0], y[0], x[-1], y[-1]) == (1.0, 25.0, 9.0, 50.0)
    assert {one for one, time in zip(y, x, strict=True) if 4 <= time < 9} == {35.0}
    assert set(of_a["GaINeR"][1]) == {20.0, 40.0}, "what was reached stays until the end of all"
    assert legend(figure) == ["GaINeR", "_SIREN $x{$ (1 of 2 images)"]
    figure.savefig(BytesIO(), format="png")  # would fail if a name were read as mathematics
    colours = [{line.get_gid(): line.get_color() for line in axes.lines} for axes in figure.axes]
    assert colours[0] == colours[1] and colours[0]["GaINeR"] == colours[2]["GaINeR"] != colours[0]["_SIREN $x{$"]


def test_the_size_axes_hold_the_points(result: Make) -> None:
    figure = bytes_figure([result("a", "SIREN", 33.0)])
    assert figure is not None and [axes.get_title() for axes in figure.axes] == ["a"], "one image needs no mean"
    assert drawn(figure, 0) == {"SIREN": ([400_000.0, 800_000.0], [33.0, 33.0])}
    sizes = [line.get_markersize() for line in figure.axes[0].lines if line.get_gid() is None]
    assert sizes == sorted(sizes) and len(set(sizes)) == 2
    figure.canvas.draw()
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == ["400 kB", "500 kB", "600 kB", "700 kB", "800 kB"]
    assert legend(figure) == ["SIREN", "Markers from small to large: 8, 16 and 32 bits a number"]


def test_a_quality_that_is_infinite_is_said_and_not_drawn(result: Make) -> None:
    figure = time_figure([result("a", "X", history=[[0, 1.0, 20.0], [1, 2.0, "inf"], [2, 4.0, "inf"]])])
    assert figure is not None and legend(figure) == ["X (∞ is not drawn)"]
    assert figure.axes[0].get_ylim() == (19.5, 20.5)
    figure.savefig(BytesIO(), format="png")


def test_styles_are_all_different_and_follow_the_order_of_the_lines(result: Make, failure: Make) -> None:
    lines = [failure("a", "first", error="no"), *(result("a", f"X{n}") for n in range(39))]
    looks = styles(lines)
    assert list(looks) == ["first", *(f"X{n}" for n in range(39))]
    assert len({(look.color, look.linestyle) for look in looks.values()}) == 40
    assert len({look.marker for look in list(looks.values())[:12]}) == 12
    figure = time_figure(lines)
    assert figure is not None
    line = next(line for line in figure.axes[0].lines if line.get_gid() == "X0")
    assert line.get_color() == looks["X0"].color, "a failed run keeps its method's colour"


def test_curves_over_steps_end_with_the_fit(result: Make) -> None:
    histories = {"short": [[0, 1.0, 20.0], [9, 2.0, 30.0]], "long": [[0, 1.0, 20.0], [99, 2.0, 30.0]]}
    lines = [result("a", name, history=history) for name, history in histories.items()]
    ends = {name: (x[-1], y[-1]) for name, (x, y) in drawn(time_figure(lines, "steps"), 0).items()}
    assert ends == {"short": (10, 30.0), "long": (100, 30.0)}


def test_published_levels_are_lines_across_the_curves_of_published_settings(result: Make) -> None:
    published = [
        result("a", f"{method} (published)", method=method, preset="published") for method in ("siren", "gauss")
    ]
    figure = time_figure([result("a", "siren (budget)", method="siren", preset="budget"), *published])
    assert figure is not None
    axes = figure.axes[0]
    (level,) = [line for line in axes.lines if line.get_gid() is None]
    assert list(level.get_ydata()) == [40.83, 40.83] and axes.get_ylim()[1] > 40.83, "of Gauss none is published"
    assert level.get_color() == next(line for line in axes.lines if line.get_gid() == "siren (published)").get_color()
    assert "published mean of Kodak" in legend(figure)[-1]


def test_nothing_to_draw_makes_no_figure(result: Make, failure: Make) -> None:
    for lines in ([], [failure("a", "X", error="no")], [result("a", "X", history=[], stored=None)]):
        assert time_figure(lines) is None and bytes_figure(lines) is None
    odd = result("a", "X", history=[[0, 0.0, 30.0]], stored={"32": {"bytes": "nan", "psnr": 3.0}})
    assert time_figure([odd]) is None and bytes_figure([odd]) is None


def test_labels_do_not_overlap_with_many_methods_and_images(result: Make) -> None:
    methods = [f"A method with rather a long name, number {n}" for n in range(20)]
    lines = [
        result(f"image{i}", name, 30.0 + n, history=[[0, 0.01, 10.0], [1, 600.0, 30.0 + n]])
        for i in range(MOST_PANELS + 3)
        for n, name in enumerate(methods if i == 0 else methods[:1])
    ]
    figure = time_figure(lines)
    assert figure is not None and len(figure.axes) == MOST_PANELS + 1
    assert figure.axes[0].get_title() == "Mean over 27 images; below, the first 24 of them"
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    found = figure.axes[0].get_legend()
    assert found is not None
    box = found.get_window_extent(renderer)
    assert box.x1 <= figure.bbox.x1 and box.x0 >= figure.axes[0].bbox.x1
    small = [axes.get_tightbbox(renderer) for axes in figure.axes[1:]]
    assert box.y0 >= max(one.y1 for one in small)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(small, 2))
    for axes in figure.axes[:1] + figure.axes[-4:]:
        ticks = [label.get_window_extent(renderer) for label in axes.get_xticklabels() if label.get_text()]
        assert len(ticks) > 1 and all(a.x1 < b.x0 for a, b in itertools.pairwise(ticks))


def test_figures_are_written_whole(result: Make, tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    figure = time_figure([result("a", "X"), result("b", "X")])
    assert figure is not None
    write_figure(path, figure)
    with Image.open(path) as picture:
        assert picture.width == 1200
        colours = picture.convert("RGB").getcolors(2**24)
        assert colours is not None and len(colours) > 10, "something is drawn"
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "file").touch()
    with pytest.raises(GainerError, match="cannot be written"):
        write_figure(tmp_path / "file" / "curves.png", figure)


def test_nothing_global_of_matplotlib_is_touched() -> None:
    program = (
        "import sys, matplotlib\n"
        "def now(): return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != 'backend'}\n"
        "before = now()\n"
        "from gainer_bench.benchmark.curves import time_figure\n"
        "figure = time_figure([{'image': 'a', 'label': 'X', 'history': [[0, 1.0, 20.0], [1, 2.0, 30.0]]}])\n"
        "figure.savefig(__import__('io').BytesIO(), format='png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert now() == before\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
