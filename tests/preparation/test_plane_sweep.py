"""Depth of photos by each other: costs smoothed as in plain Python, and depths of planes with a picture on them."""

import numpy as np
import pytest

from gainer_ns.frames import PinholeCamera
from gainer_ns.preparation import plane_sweep
from gainer_ns.preparation.agreement import agreement, better_scale, confidence, guided
from gainer_ns.preparation.posed_photo import PosedPhoto


def smoothed_slowly(costs: np.ndarray, shades: np.ndarray, row_step: int, column_step: int) -> np.ndarray:
    """Costs smoothed along lines in one direction, as Hirschmueller's equation 13 has it."""
    height, width, planes = costs.shape
    result = np.zeros_like(costs, dtype=float)
    rows = range(height) if row_step >= 0 else range(height - 1, -1, -1)
    for row in rows:
        for column in range(width) if column_step >= 0 else range(width - 1, -1, -1):
            r, c = row - row_step, column - column_step
            result[row, column] = costs[row, column]
            if not (0 <= r < height and 0 <= c < width):
                continue
            step = abs(float(shades[row, column]) - float(shades[r, c])) / plane_sweep.EDGE_SHADE_STEP
            jump = max(plane_sweep.OTHER_PLANE_COST / (1 + step), 1.5 * plane_sweep.NEXT_PLANE_COST)
            before = result[r, c]
            for k in range(planes):
                near = [before[j] + plane_sweep.NEXT_PLANE_COST for j in (k - 1, k + 1) if 0 <= j < planes]
                result[row, column, k] += min(before[k], before.min() + jump, *near) - before.min()
    return result


def test_costs_are_smoothed_along_eight_lines() -> None:
    random = np.random.default_rng(0)
    costs, shades = random.random((5, 7, 6), np.float32), random.random((5, 7), np.float32)
    expected = sum(smoothed_slowly(costs, shades, *step) for step in plane_sweep._LINES)
    np.testing.assert_allclose(plane_sweep.smoothed_costs(costs, shades), expected, rtol=1e-5)


def picture(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    waves = [np.sin(9 * x) * np.sin(7 * y + 1), np.sin(13 * x + 5 * y), np.cos(5 * x - 11 * y)]
    return (0.5 + 0.2 * np.stack(waves, axis=-1) + 0.2 * np.sin(31 * x + 17 * y)[..., None]).astype(np.float32)


def photos(count: int = 3) -> tuple[list[PosedPhoto], list[np.ndarray]]:
    """Photos of a leaning plane before a farther one, from places beside each other, and their inverse depths."""
    camera = PinholeCamera.centred(96, 64, 100.0)
    made, depths = [], []
    for number in range(count):
        pose = np.eye(4)
        pose[0, 3] = 0.12 * number
        photo = PosedPhoto(np.zeros((64, 96, 3), np.float32), camera, pose)
        rays = photo.rays * np.array([1, -1, -1])
        near, far = -1.5 / (rays @ [0, 0.2, 1]), -3.0 / (rays @ [0, 0, 1])
        points = rays * near[..., None] + pose[:3, 3]
        is_near = np.abs(points[..., 0] - 0.12) < 0.3
        points = np.where(is_near[..., None], points, rays * far[..., None] + pose[:3, 3])
        colours = picture(points[..., 0] + 3 * ~is_near, points[..., 1])
        made.append(PosedPhoto(colours, camera, pose))
        depths.append(np.where(is_near, 1 / near, 1 / far))
    return made, depths


def test_depth_is_found_without_a_word_on_where_it_lies() -> None:
    views, true = photos()
    found = plane_sweep.swept_inverse_depths(views)
    for inverse, expected, (agreeing, _) in zip(found, true, agreement(views, found), strict=True):
        error = np.abs(inverse / expected - 1)
        assert np.median(error) < 0.01 and (error < 0.05).mean() > 0.8
        assert np.median(error[agreeing == 2]) < 0.01 and (error[agreeing == 2] < 0.05).mean() > 0.95


def test_a_photo_of_something_else_is_told_of() -> None:
    views, _ = photos()
    turned = np.diag([-1.0, 1, -1, 1])  # it looks back
    turned[0, 3] = 0.3
    stranger = PosedPhoto(views[0].colours, views[0].camera, turned)
    with pytest.raises(plane_sweep.NoOverlap) as caught:
        plane_sweep.inverse_ranges([*views, stranger])
    assert caught.value.number == 3


def test_true_depths_agree_and_false_ones_do_not() -> None:
    views, true = photos()
    wrong = [true[0].copy(), *true[1:]]
    wrong[0][20:40, 40:50] *= 1.3
    agreeing, seen = agreement(views, wrong)[0]
    sure = confidence(agreeing, seen)
    assert sure[20:40, 40:50].max() == 0 and np.median(sure) == 1


@pytest.mark.parametrize("wrong", [0.05, 20.0, 1000.0])
def test_depths_in_other_units_are_noticed(wrong: float) -> None:
    views, true = photos()
    assert better_scale(views, true) == 1
    assert 0.8 < better_scale(views, [inverse / wrong for inverse in true]) * wrong < 1.25


def test_what_is_not_trusted_follows_what_is_around() -> None:
    shades = np.repeat([[0.2] * 20 + [0.8] * 20], 30, axis=0).astype(np.float32)
    inverse = np.where(shades > 0.5, 1.0, 0.5).astype(np.float32)
    trusted = np.ones_like(inverse, bool)
    trusted[10:14, 12:28] = False
    holed = np.where(trusted, inverse, 0.7).astype(np.float32)
    filled = guided(holed, trusted, shades)
    assert (filled[trusted] == holed[trusted]).all()
    np.testing.assert_allclose(filled[10:14, 12:28], inverse[10:14, 12:28], atol=0.05)
