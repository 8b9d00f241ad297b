"""Reading off the grid: the probes' directions, the spline, and what other interpolations reach against it."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from gainer_bench.between_pixels import off_grid_psnr, probe_places
from gainer_bench.known_edits import KnownEdit, pixel_centres
from gainer_ns.errors import GainerError
from gainer_ns.spline import CubicSpline

LADDER = [
    [27.43, 32.30, 31.68, 32.78],  # nearest pixel
    [38.13, 40.55, 40.24, 41.19],  # bilinear
    [50.73, 51.33, 51.04, 51.96],  # bicubic convolution
    [50.75, 53.88, 54.21, 54.63],  # quintic spline
]
"""dB against the cubic spline on the photo for each of the probes, from the worst interpolation to the best."""


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """A 96 x 128 crop of a face and a space suit."""
    from skimage.data import astronaut

    return astronaut()[60:156, 160:288] / 255


def ramp(width: int, height: int) -> np.ndarray:
    """Red is x, green is y, blue is constant, in px / 100."""
    centres = pixel_centres(width, height)
    return np.concatenate([centres, np.full_like(centres[..., :1], 50.0)], axis=-1) / 100


def test_centres_are_at_half() -> None:
    assert pixel_centres(3, 2).tolist() == [[[0.5, 0.5], [1.5, 0.5], [2.5, 0.5]], [[0.5, 1.5], [1.5, 1.5], [2.5, 1.5]]]


PLACES = probe_places(80, 70)


@pytest.mark.parametrize("coordinates", [*PLACES.values(), pixel_centres(80, 70) + [0.25, -0.4]], ids=[*PLACES, "near"])
def test_a_ramp_is_read_where_it_is_asked_for(coordinates: np.ndarray) -> None:
    inside = ((coordinates > 22) & (coordinates < np.array([80, 70]) - 22)).all(-1)  # the mirrored edge fades as .27^px
    read = CubicSpline(ramp(80, 70)).at(coordinates)[inside]
    assert inside.sum() > 500
    assert np.abs(read[:, :2] - coordinates[inside] / 100).max() < 1e-12
    assert np.abs(read[:, 2] - 0.5).max() < 1e-12


def test_a_shift_moves_the_picture_right_and_down() -> None:
    picture = np.zeros((8, 8, 1))
    picture[2, 5] = 1.0
    moved = CubicSpline(picture).at(probe_places(8, 8)["half_pixel_shift"] - 0.5)  # a whole pixel
    assert np.argwhere(moved[..., 0] > 0.5).tolist() == [[3, 6]]
    assert np.array_equal(probe_places(4, 3)["half_pixel_shift"][1, 2], [2.0, 1.0])


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(-4, 5), st.integers(0, 2**31))
def test_quarter_turns_are_those_of_numpy(side: int, turns: int, seed: int) -> None:
    picture = np.random.default_rng(seed).random((side, side, 3))
    turned = CubicSpline(picture).at(KnownEdit.rotation(side, side, 90.0 * turns).back(pixel_centres(side, side)))
    assert np.abs(turned - np.rot90(picture, turns)).max() < 1e-10


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 2**31))
def test_a_spline_goes_through_every_pixel(width: int, height: int, seed: int) -> None:
    picture = np.random.default_rng(seed).random((height, width, 3))
    half_turn = CubicSpline(picture).at(KnownEdit.rotation(width, height, 180.0).back(pixel_centres(width, height)))
    assert np.abs(CubicSpline(picture).at(pixel_centres(width, height)) - picture).max() < 1e-10
    assert np.abs(half_turn - picture[::-1, ::-1]).max() < 1e-10


def test_a_spline_is_the_same_for_a_list_of_points() -> None:
    picture = np.random.default_rng(0).random((9, 7, 3)).astype(np.float32)
    points = probe_places(7, 9)["warp"]
    read = CubicSpline(picture).at(points)
    assert read.shape == (9, 7, 3) and read.dtype == np.float64
    assert np.array_equal(CubicSpline(picture).at(points.reshape(-1, 2)), read.reshape(-1, 3))


def test_zoom_enlarges_about_the_centre() -> None:
    assert np.allclose(probe_places(6, 4)["zoom"][0, 0], [3 - 2.5 / 1.5, 2 - 1.5 / 1.5])
    assert np.allclose(probe_places(7, 5)["zoom"][2, 3], [3.5, 2.5])


def test_rotation_keeps_distances_and_turns_counter_clockwise() -> None:
    moved = probe_places(101, 51)["rotation"]
    offset = np.linalg.norm(pixel_centres(101, 51) - [50.5, 25.5], axis=-1)
    assert np.allclose(np.linalg.norm(moved - [50.5, 25.5], axis=-1), offset)
    # What is seen 10 px right of the centre comes from 15 degrees clockwise of there, which is below it: y is down.
    assert np.allclose(moved[25, 60] - [50.5, 25.5], [10 * math.cos(math.pi / 12), 10 * math.sin(math.pi / 12)])


def test_warp_is_smooth_and_does_not_fold() -> None:
    moved = probe_places(120, 90)["warp"]
    assert np.abs(moved - pixel_centres(120, 90)).max() == pytest.approx(3.0, abs=0.02)
    along_x, along_y = np.diff(moved, axis=1)[:-1], np.diff(moved, axis=0)[:, :-1]
    area = along_x[..., 0] * along_y[..., 1] - along_x[..., 1] * along_y[..., 0]
    assert 0.8 < area.min() < area.max() < 1.2


def test_the_spline_itself_is_perfect(photo: np.ndarray) -> None:
    found = off_grid_psnr(lambda points: CubicSpline(photo).at(points), photo)
    assert list(found) == ["half_pixel_shift", "rotation", "zoom", "warp"]
    assert all(decibels > 250 for decibels in found.values())


def interpolated(photo: np.ndarray, order: int) -> Callable[[np.ndarray], np.ndarray]:
    """Another interpolation of the photo by scipy: 0 nearest, 1 bilinear, 5 quintic spline."""

    def sample(points: np.ndarray) -> np.ndarray:
        place = points[:, ::-1].T - 0.5
        return np.stack([ndimage.map_coordinates(photo[..., c], place, order=order) for c in range(3)], axis=-1)

    return sample


def bicubic(photo: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Torch's bicubic interpolation, whose corners (not centres) are at -1 and 1."""
    image = torch.from_numpy(photo).permute(2, 0, 1)[None]
    size = np.array([photo.shape[1], photo.shape[0]])

    def sample(points: np.ndarray) -> np.ndarray:
        grid = torch.from_numpy(points / size * 2 - 1)[None, None]
        read = torch.nn.functional.grid_sample(image, grid, mode="bicubic", align_corners=False)
        return read[0, :, 0].T.numpy()

    return sample


def test_better_interpolations_are_nearer(photo: np.ndarray) -> None:
    samples = [interpolated(photo, 0), interpolated(photo, 1), bicubic(photo), interpolated(photo, 5)]
    for sample, expected in zip(samples, LADDER, strict=True):
        assert list(off_grid_psnr(sample, photo).values()) == pytest.approx(expected, abs=0.05)


def test_noise_of_known_size_is_measured(photo: np.ndarray) -> None:
    grey = 0.4 + 0.2 * photo
    found = off_grid_psnr(lambda points: CubicSpline(grey).at(points) + 0.01, grey)
    assert found == pytest.approx(dict.fromkeys(PLACES, 40.0), abs=1e-6)


def test_both_sides_are_clamped() -> None:
    white = np.ones((32, 32, 3))
    assert min(off_grid_psnr(lambda points: np.full((len(points), 3), 1.5), white).values()) > 250


def test_only_the_inside_is_read() -> None:
    seen = []

    def sample(points: np.ndarray) -> np.ndarray:
        seen.append(points)
        return np.zeros((len(points), 3))

    off_grid_psnr(sample, np.ones((30, 40, 3)), border=7)
    points = np.concatenate(seen)
    assert len(seen) == 4
    assert points[:, 0].min() >= 7 and points[:, 0].max() <= 33
    assert points[:, 1].min() >= 7 and points[:, 1].max() <= 23


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(GainerError, match="lower the border"):
        off_grid_psnr(lambda points: points, np.ones((12, 11, 3)))
