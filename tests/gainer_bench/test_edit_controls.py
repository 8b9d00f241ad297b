"""What edits are compared with: each control on maps whose result is known, and nothing drawn twice or not at all."""

import cv2
import numpy as np
import pytest

from gainer_bench.edit_controls import lattice, meshed, premultiplied, remapped, splined
from gainer_bench.known_edits import KnownEdit, known_edits, pixel_centres

WIDTH, HEIGHT = 40, 30


@pytest.fixture(scope="module")
def source() -> np.ndarray:
    """Smooth colours, opaque."""
    x, y = np.moveaxis(pixel_centres(WIDTH, HEIGHT), -1, 0)
    return premultiplied(0.5 + 0.4 * np.stack([np.sin(x / 5), np.cos(y / 4), np.sin((x + y) / 6)], axis=-1))


@pytest.mark.parametrize("name", list(known_edits(1, 1)))
def test_all_controls_say_the_same_of_a_smooth_picture(name: str, source: np.ndarray) -> None:
    edit = known_edits(WIDTH, HEIGHT)[name]
    left, top, right, bottom = map(int, edit.extent(WIDTH, HEIGHT))
    size = right - left, bottom - top
    places = edit.back(pixel_centres(*size) + [left, top])
    inside = ((places > 3) & (places < np.array([WIDTH, HEIGHT]) - 3)).all(axis=-1)
    corners = edit.forward(lattice(WIDTH, HEIGHT), (WIDTH, HEIGHT)) - [left, top]
    drawn = {
        "cubic": remapped(source, places, cv2.INTER_CUBIC),
        "lanczos": remapped(source, places, cv2.INTER_LANCZOS4),
        "spline": splined(source)(places),
        "mesh": meshed(source, corners, size),
    }
    assert inside.sum() > 300
    for method, one in drawn.items():
        assert np.abs(one - drawn["spline"])[inside].max() < 0.03, method


def test_a_mesh_covers_each_place_once(source: np.ndarray) -> None:
    """A veil of half an alpha would show seams: darker where two triangles cover a place, clear where none does."""
    veil = 0.5 * np.ones_like(source)
    for corners in (lattice(WIDTH, HEIGHT), lattice(WIDTH, HEIGHT) @ [[0.8, 0.3], [-0.3, 0.8]] + [10, 0]):
        drawn = meshed(veil, corners, (60, 45))[..., 3]
        inner = cv2.erode((drawn > 0.4).astype(np.uint8), np.ones((5, 5))) > 0
        assert inner.sum() > 500 and np.abs(drawn[inner] - 0.5).max() < 1e-6
    mirrored = meshed(source, lattice(WIDTH, HEIGHT) * [-1, 1] + [WIDTH, 0], (WIDTH, HEIGHT))
    assert np.abs(mirrored - source[:, ::-1]).max() < 1e-6


def test_what_is_nearer_covers_what_is_farther() -> None:
    """A strip folded over itself shows its back part or its front part, as depth says."""
    strip = premultiplied(np.where(pixel_centres(20, 4)[..., :1] < 10, [[[1.0, 0.0, 0.0]]], [[[0.0, 1.0, 0.0]]]))
    corners = lattice(20, 4)
    corners[..., 0] = 10 - np.abs(corners[..., 0] - 10)
    right = np.broadcast_to(np.arange(20) >= 10, (4, 20))
    for depth, channel in ((np.where(right, 0, 1), 1), (np.where(right, 1, 0), 0)):
        drawn = meshed(strip, corners, (10, 4), depth=depth)
        assert np.abs(drawn[..., channel] - 1)[:, :9].max() < 1e-6
    hidden = meshed(strip, corners, (10, 4), kept=~right)
    assert np.abs(hidden[..., 0] - 1)[:, :9].max() < 1e-6


def test_nowhere_is_clear(source: np.ndarray) -> None:
    places = pixel_centres(8, 8) + 5
    places[2, 3] = np.nan
    for drawn in (remapped(source, places, cv2.INTER_CUBIC), splined(source)(places)):
        assert drawn[2, 3].tolist() == [0, 0, 0, 0] and drawn[4, 4, 3] == pytest.approx(1, abs=1e-3)


def test_an_edge_of_alpha_has_no_halo() -> None:
    """Colours that were hidden do not come out, whichever way an edge is moved."""
    opacity = (pixel_centres(WIDTH, HEIGHT)[..., 0] < 20).astype(float)
    colours = np.where(opacity[..., None] > 0, [0.2, 0.6, 0.4], [1.0, 0.0, 0.0])
    cut_out = premultiplied(colours, opacity)
    edit = KnownEdit.rotation(WIDTH, HEIGHT, 30.0)
    for drawn in (
        remapped(cut_out, edit.back(pixel_centres(WIDTH, HEIGHT)), cv2.INTER_CUBIC),
        meshed(cut_out, edit.forward(lattice(WIDTH, HEIGHT), (WIDTH, HEIGHT)), (WIDTH, HEIGHT)),
    ):
        shown = drawn[..., 3] > 0.05
        assert np.abs(drawn[..., :3] / np.maximum(drawn[..., 3:], 1e-6) - [0.2, 0.6, 0.4])[shown].max() < 1e-3
