import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import gainer_ns as gn
from gainer_ns.editing.selection import Selection
from gainer_ns.errors import GainerError
from gainer_ns.io.places import PlacedError

matted = pytest.mark.skipif(importlib.util.find_spec("pymatting") is None, reason="needs the extra matte")
SIZE, RED, BLUE = 96, (230, 50, 30), (30, 60, 200)
GROUND = np.where(np.arange(SIZE)[None, :, None] < 54, BLUE, (240, 240, 230))


def ball(x: float, y: float, softness: float = 3) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    return ((18 - np.hypot(columns - x, rows - y)) / softness + 0.5).clip(0, 1)[..., None]


def scene(alpha: np.ndarray, front: Any, back: Any) -> np.ndarray:
    return np.rint(alpha * np.array(front) + (1 - alpha) * np.array(back)).astype(np.uint8)


@pytest.fixture(scope="module")
def picture() -> gn.Picture:
    return gn.fit(scene(ball(32, 48), RED, GROUND))


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """The ball, painted two pixels too large."""
    grown = cv2.dilate((ball(32, 48)[..., 0] > 0.5).astype(np.uint8), np.ones((5, 5), np.uint8))
    Image.fromarray(grown * 255).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def moved(picture: gn.Picture, mask: Path, background: Any, **words: Any) -> np.ndarray:
    edit = {"select": {"mask": str(mask), **words}, "move": {"by": [30, 0]}}
    return picture.edit({"edits": [edit], "background": background}).render()[..., :3].astype(float)


@matted
def test_what_is_cut_out_takes_nothing_of_the_background_along(picture: gn.Picture, mask: Path) -> None:
    expected = scene(ball(62, 48), RED, GROUND)
    soft, hard = (
        np.abs(moved(picture, mask, {"inpaint": "telea"}, matte=is_soft) - expected)[:, 56:].mean()
        for is_soft in (True, False)
    )
    assert soft < 0.25 * hard


@matted
def test_nothing_of_it_remains_around_the_hole(picture: gn.Picture, mask: Path) -> None:
    shown = moved(picture, mask, {"inpaint": "telea"}, matte=True)[:, :24]
    assert np.abs(shown - BLUE).max() < 12


@matted
def test_no_line_remains_where_the_soft_edge_is_found_too_narrow(picture: gn.Picture, tmp_path: Path) -> None:
    Image.fromarray(np.uint8(255 * (ball(32, 48)[..., 0] > 0.5))).save(tmp_path / "mask.png")
    shown = moved(picture, tmp_path / "mask.png", {"inpaint": "telea"}, matte=True, matte_width=1)
    assert np.abs(shown[:, :28] - BLUE).max() < 12


@matted
def test_nothing_changes_until_it_moves(picture: gn.Picture, mask: Path) -> None:
    edit = {"select": {"mask": str(mask), "matte": True}, "move": {"by": [0, 0]}}
    np.testing.assert_array_equal(picture.edit({"edits": [edit]}).render(), picture.render())


@matted
def test_a_narrow_width_leaves_the_mask_nearly_as_painted(picture: gn.Picture, mask: Path) -> None:
    narrow, wide = (
        moved(picture, mask, "transparent", matte=True, matte_width=width)[..., 2].mean() for width in (1, 6)
    )
    assert abs(narrow - wide) > 0.05


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"box": [1, 1, 9, 9], "matte": True}, "only masks have one"),
        ({"matte": True, "feather": 3}, "both matte and feather"),
        ({"matte_width": 3}, "without matte: true"),
        ({"matte": True, "matte_width": 0}, "greater than or equal to 1"),
        ({"union": [{"matte": True}]}, "selected by themselves"),
    ],
)
def test_soft_edges_that_make_no_sense_are_refused(picture: gn.Picture, mask: Path, words: Any, said: str) -> None:
    select = dict(words)
    if "union" in select:
        select = {"union": [{"mask": str(mask), "matte": True}, {"box": [1, 1, 9, 9]}]}
    elif "box" not in select:
        select["mask"] = str(mask)
    with pytest.raises(GainerError, match=said):
        picture.edit({"edits": [{"select": select, "move": {"by": [3, 0]}}]})


def test_masks_without_an_edge_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((SIZE, SIZE), 255, np.uint8)).save(tmp_path / "white.png")
    selection = Selection.model_validate({"mask": str(tmp_path / "white.png"), "matte": True})
    with pytest.raises(PlacedError, match="has no edge to matte"):
        selection.check(SIZE, SIZE)
    with pytest.raises(PlacedError, match="save the mask at the picture's size"):
        selection.check(SIZE, SIZE + 1)
