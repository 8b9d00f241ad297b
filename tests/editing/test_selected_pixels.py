"""What a selection takes of pixels, looked at where it may take something, is what it says of all of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gainer_ns.editing.rest_picture import RestPicture
from gainer_ns.editing.selected_pixels import SelectedPixels
from gainer_ns.editing.selection import Selection
from gainer_ns.rendering.plane import BakedPicture

BOX = (-1, -1, 121, 81)
places = st.floats(-30, 150)
sizes = st.floats(2, 60)
feathers = st.sampled_from([None, 3.0, 15.0])


def _disc(x: float, y: float, size: float, feather: float | None) -> dict:
    return {"disc": {"center": [x, y], "radius": size}, "feather": feather}


def _box(x: float, y: float, size: float, feather: float | None) -> dict:
    return {"box": [x, y, x + size, y + 1.5 * size], "feather": feather}


def _triangle(x: float, y: float, size: float, feather: float | None) -> dict:
    return {"polygon": [[x, y], [x + size, y], [x, y + size]], "feather": feather}


shapes = st.one_of(*(st.builds(make, places, places, sizes, feathers) for make in (_disc, _box, _triangle)))
selections = st.one_of(
    shapes,
    st.builds(lambda a, b, how: {how: [a, b]}, shapes, shapes, st.sampled_from(["union", "minus", "intersect"])),
    shapes.map(lambda shape: {"minus": ["all", shape]}),
)


def pixels() -> torch.Tensor:
    left, top, right, bottom = BOX
    y, x = torch.meshgrid(torch.arange(top, bottom) + 0.5, torch.arange(left, right) + 0.5, indexing="ij")
    return torch.stack([x, y], dim=-1).view(-1, 2)


@given(selections)
def test_equals_the_selection(words: dict) -> None:
    selection = Selection.model_validate(words)
    found = SelectedPixels(selection, BOX, torch.device("cpu"))
    field, weights = selection.field(pixels()), selection.weights(pixels())
    near = found.field.flatten() != -16
    torch.testing.assert_close(found.field.flatten()[near], field[near])
    assert bool((field[~near] < -5).all())
    torch.testing.assert_close(found.weights, found.within(weights))
    assert float(weights.sum()) == pytest.approx(float(found.weights.sum()), rel=1e-4)
    torch.testing.assert_close(found.pixels, torch.stack([found.within(axis) for axis in pixels().T], dim=1))


def test_little_is_looked_at_for_a_small_selection() -> None:
    small = Selection.model_validate({"disc": {"center": [40, 40], "radius": 5}})
    assert len(SelectedPixels(small, (0, 0, 4000, 3000), torch.device("cpu")).pixels) < 30**2


def test_a_selection_is_found_once_but_a_mask_that_was_painted_over_is_read_again(
    landscape: BakedPicture, tmp_path: Path
) -> None:
    rest = RestPicture(landscape.only_layer, landscape.plane)
    disc = {"disc": {"center": [30, 20], "radius": 8}}
    first = rest.selected(Selection.model_validate(disc))
    assert rest.selected(Selection.model_validate(disc)) is first
    assert rest.selected(Selection.model_validate({**disc, "feather": 2})) is not first
    for column in (10, 30):
        values = np.zeros((48, 64), np.uint8)
        values[10:20, column : column + 10] = 255
        Image.fromarray(values).save(tmp_path / "mask.png")
        selection = Selection.model_validate({"mask": str(tmp_path / "mask.png")})
        assert float(rest.selected(selection).field[16, column + 6]) > 1
        assert rest.selected(selection) is rest.selected(selection)
