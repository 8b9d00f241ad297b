"""Selections that grow out of what is pointed at."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.viewer.picking import Picker
from gainer_ns.viewer.run_files import RunFiles

BOX = ((10.2, 8.1), (40.1, 8.0), (40.0, 30.2), (10.0, 30.0))


@pytest.fixture
def picker(tmp_path: Path) -> Picker:
    return Picker(64, 48, RunFiles(tmp_path).write_mask)


def covered(picker: Picker) -> int:
    assert picker.selection is not None
    return int((picker.field(picker.selection) > 0.5).sum())


def test_upright_corners_are_a_box_and_others_a_polygon(picker: Picker) -> None:
    picker.polygon(BOX)
    assert picker.selection is not None and picker.selection.box == (10.0, 8.0, 40.1, 30.2)
    picker.polygon(((10, 8), (40, 12), (36, 30)))
    assert picker.selection.polygon is not None and picker.selection.box is None
    picker.polygon(((-30, -20), (90, -20), (90, 20), (-30, 20)))
    assert picker.selection.box == (0, 0, 64, 20), "there is nothing beyond the frame"


def test_parts_are_added_and_taken_away(picker: Picker) -> None:
    picker.polygon(((0, 0), (20, 0), (20, 20), (0, 20)))
    picker.joining = "add"
    picker.polygon(((30, 0), (40, 0), (40, 10), (30, 10)))
    assert covered(picker) == 500
    picker.joining = "subtract"
    picker.polygon(((0, 0), (10, 0), (10, 10), (0, 10)))
    assert covered(picker) == 400
    with pytest.raises(GainerError, match="selects no pixel"):
        picker.polygon(((0, 0), (64, 0), (64, 48), (0, 48)))
    assert covered(picker) == 400, "nothing is lost"


def test_borders_move_and_soften(picker: Picker) -> None:
    picker.polygon(((20, 20), (30, 20), (30, 30), (20, 30)))
    picker.grow(3)
    assert covered(picker) == 16 * 16
    picker.feather(6)
    assert picker.selection is not None and picker.selection.feather == 6
    picker.grow(-3)
    assert covered(picker) == 100 and picker.selection.feather == 6
    with pytest.raises(GainerError, match="nothing would be left"):
        picker.grow(-5)
    picker.polygon(((10, 10), (40, 10), (10, 40)))
    before = covered(picker)
    picker.grow(4)
    assert covered(picker) > before and picker.selection.mask is not None
    assert np.asarray(Image.open(picker.selection.mask)).shape == (48, 64)


def test_what_is_inverted_twice_is_as_before(picker: Picker) -> None:
    picker.polygon(BOX)
    picker.feather(4)
    inside, before = covered(picker), picker.selection
    picker.invert()
    assert covered(picker) == 64 * 48 - inside
    assert picker.selection is not None
    assert float(picker.field(picker.selection)[0, 0]) == 1, "the picture's own border stays hard"
    picker.invert()
    assert picker.selection == before
    picker.everything()
    with pytest.raises(GainerError, match="everything is selected"):
        picker.invert()


def test_masks_are_kept_in_files(picker: Picker, tmp_path: Path) -> None:
    mask = np.zeros((48, 64), np.float32)
    with pytest.raises(GainerError, match="nothing was found"):
        picker.mask(mask)
    mask[10:20, 10:30] = 1
    picker.mask(mask)
    picker.mask(np.fliplr(mask).copy())
    assert covered(picker) == 200
    assert sorted(path.name for path in (tmp_path / "edits").iterdir()) == ["mask_001.png", "mask_002.png"]


@pytest.mark.parametrize("action", ["grow", "feather", "invert"])
def test_without_a_selection_it_says_so(picker: Picker, action: str) -> None:
    with pytest.raises(GainerError, match="nothing is selected"):
        getattr(picker, action)(*([] if action == "invert" else [3.0]))
