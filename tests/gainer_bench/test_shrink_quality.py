"""Shrunk pictures against area averages of the spline of their source."""

import numpy as np

from gainer_bench.shrink_quality import SHRINKS, area_average, line_drawing, shrink_quality, shrink_table
from gainer_ns.spline import CubicSpline


def test_area_averages_are_those_of_the_spline() -> None:
    values = np.random.default_rng(1).random((9, 7, 2))
    found = area_average(area_average(values, 0, 1.0, 2.0, 3), 1, 0.5, 1.5, 4)
    y = 1 + (np.arange(3 * 8) + 0.5) / 4
    x = 0.5 + (np.arange(4 * 6) + 0.5) / 4
    read = CubicSpline(values).at(np.stack(np.meshgrid(x, y), axis=-1))
    np.testing.assert_allclose(found, read.reshape(3, 8, 4, 6, 2).mean(axis=(1, 3)), atol=1e-12)


def test_lines_shrink_to_40_db() -> None:
    scores = shrink_quality(line_drawing()[:192, :256], (1.1, 2.0, 3.0, 5.0))
    assert all(score.scaled > 40 and score.edited > 40 for score in scores), scores


def test_the_table_has_a_row_a_factor() -> None:
    score = shrink_quality(line_drawing()[:64, :64], (2.0,)) * len(SHRINKS)
    assert len(shrink_table([score], score).markdown().splitlines()) == len(SHRINKS) + 2
