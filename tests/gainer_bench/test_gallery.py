from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gainer_ns as gn
from gainer_bench.gallery import SCRIPTS, Gallery
from gainer_bench.sheets import GAP_PX, LINE_PX, SEAM_PX


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Scripts of every kind that the gallery shows, each of which does the same."""
    for name in SCRIPTS:
        (tmp_path / f"{name}.yaml").write_text("edits: [{move: {by: [48, 0]}}]\n")
    return tmp_path


def test_tiles_are_square_and_clear_parts_white(fitted_run: Path, scripts: Path, photo: Path) -> None:
    edited = gn.load(fitted_run).edit(scripts / "move.yaml")
    tile = np.asarray(Gallery(panel=96)._tile("move", edited).pictures[0])
    assert tile.shape == (96, 96, 3)
    assert (tile[:16] == 255).all() and (tile[80:] == 255).all(), "the picture is 64 high"
    assert (tile[:, :46] == 255).all()
    source = np.asarray(Image.open(photo))
    assert np.abs(tile[18:78, 50:].astype(int) - source[2:62, 2:48]).max() <= 1


@pytest.mark.parametrize("fitted", [True, False])
def test_the_gallery_is_a_small_picture(
    fitted_run: Path, scripts: Path, tmp_path: Path, photo: Path, fitted: bool
) -> None:
    output = tmp_path / "out" / "gallery.png"
    Gallery(output, scripts, photo, fitted_run if fitted else None, panel=48).run()
    with Image.open(output) as image:
        assert image.mode == "P"
        assert image.height == 3 * (LINE_PX + SEAM_PX + 48) + 2 * GAP_PX
    assert [path.name for path in output.parent.iterdir()] == ["gallery.png"]
