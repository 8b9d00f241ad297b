import importlib.util

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gainer_ns.preparation import matting
from gainer_ns.preparation.matting import band_width, estimate_alpha, estimate_colours

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pymatting") is None, reason="needs the extra matte")
RED, BLUE = np.array((0.9, 0.2, 0.1), np.float32), np.array((0.1, 0.3, 0.8), np.float32)


def ball(size: int = 128, radius: float = 36, softness: float = 3) -> np.ndarray:
    y, x = np.mgrid[:size, :size] + 0.5
    return ((radius - np.hypot(x - size / 2, y - size / 2)) / softness + 0.5).clip(0, 1).astype(np.float32)


def over(alpha: np.ndarray, noise: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    """A red object over blue, both a little rough; and the object's colours."""
    rough = noise * np.random.default_rng(3).standard_normal((*alpha.shape, 3)).astype(np.float32)
    front, back = (RED + rough).clip(0, 1), (BLUE + rough[::-1]).clip(0, 1)
    return alpha[..., None] * front + (1 - alpha[..., None]) * back, front


def resized(mask: np.ndarray, by: int) -> np.ndarray:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(by) + 1,) * 2)
    return (cv2.dilate if by > 0 else cv2.erode)(np.float32(mask > 0.5), disc)


@pytest.mark.parametrize("by", [-2, 2])
def test_a_mask_two_pixels_off_becomes_the_object(by: int) -> None:
    alpha = ball()
    colours, front = over(alpha)
    found = estimate_alpha(colours, resized(alpha, by))
    hard = np.abs(resized(alpha, by) - alpha)
    band = matting._band(resized(alpha, by) > 0, 4)
    assert np.abs(found - alpha)[band].mean() < 0.25 * hard[band].mean()
    soft = (alpha > 0.05) & (alpha < 0.95)
    taken = estimate_colours(colours, found)
    assert np.abs(taken.front - front)[soft].mean() < 0.3 * np.abs(colours - front)[soft].mean()


@pytest.mark.parametrize("by", [-2, 2])
def test_a_mask_that_is_off_in_a_rough_picture(by: int) -> None:
    alpha = ball()
    mask = resized(alpha, by)
    found, band = estimate_alpha(over(alpha, 0.1)[0], mask), matting._band(mask > 0, 4)
    assert np.abs(found - alpha)[band].mean() < 0.12 * np.abs(mask - alpha)[band].mean()


def test_colours_of_a_known_edge_are_those_of_either_side() -> None:
    alpha = ball()
    colours, true = over(alpha)
    front, back = estimate_colours(colours, alpha)
    soft = (alpha > 0.05) & (alpha < 0.95)
    weigh = alpha[soft][:, None]
    assert (weigh * np.abs(front - true)[soft]).mean() < 0.25 * (weigh * np.abs(colours - true)[soft]).mean()
    np.testing.assert_array_equal(front[alpha == 1], colours[alpha == 1])
    assert np.abs(back - BLUE)[soft].max() < 0.1
    far = ball(radius=36 + 8) == 0
    np.testing.assert_array_equal(back[far], colours[far])


def test_what_is_behind_keeps_no_rest_of_the_object_that_alpha_missed() -> None:
    alpha = ball()
    colours, _ = over(alpha)
    _, back = estimate_colours(colours, ball(radius=36 - 3))
    assert np.abs(back - BLUE)[alpha < 1].max() < 0.1


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 9), st.integers(-3, 3), st.integers(0, 2**16))
def test_nothing_changes_beyond_the_width(width: int, by: int, seed: int) -> None:
    colours = np.random.default_rng(seed).random((96, 96, 3)).astype(np.float32)
    mask = resized(ball(96, 26), by or 1)
    found = estimate_alpha(colours, mask, width)
    edge = np.abs(
        cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        + cv2.distanceTransform(1 - mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    )
    np.testing.assert_array_equal(found[edge > width], mask[edge > width])
    assert found.min() >= 0 and found.max() <= 1


def test_tiles_agree_with_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    alpha = ball(160, 60)
    colours, _ = over(alpha, 0.05)
    mask = resized(alpha, 2)
    whole = estimate_alpha(colours, mask)
    monkeypatch.setattr(matting, "_TILE_PX", 40)
    assert np.abs(estimate_alpha(colours, mask) - whole).max() < 0.05


def test_painted_grays_are_a_start() -> None:
    x = np.mgrid[:96, :128][1]
    painted = ((x - 24) / 80).clip(0, 1).astype(np.float32)  # a long ramp
    colours, _ = over(np.zeros((96, 128), np.float32))
    assert np.abs(estimate_alpha(colours, painted) - painted).max() < 0.1


def test_what_is_thin_keeps_its_middle() -> None:
    mask = np.zeros((64, 64), np.float32)
    mask[10:54, 30:33] = 1
    colours, _ = over(mask)
    found = estimate_alpha(colours, mask, 8)
    assert found[20:44, 31].min() > 0.9 and found[:, :24].max() == 0


def test_width_grows_with_the_picture() -> None:
    assert band_width(64, 64) == 4 and band_width(4000, 3000) == 20


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        estimate_alpha(np.zeros((4, 5, 3), np.float32), np.zeros((4, 4), np.float32))
