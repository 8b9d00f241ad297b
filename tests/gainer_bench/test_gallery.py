from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gainer_bench import gallery
from gainer_bench.gallery import Gallery, drawn, sheet, square
from gainer_ns.image.loading import load_baked


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Scripts of every kind that the gallery shows, each of which does the same."""
    for kind in gallery.KINDS:
        (tmp_path / f"{kind}.yaml").write_text("edits: [{move: {by: [48, 0]}}]\n")
    return tmp_path


def test_panels_are_square_and_clear_parts_white(fitted_run: Path, scripts: Path, photo: Path) -> None:
    panel = np.asarray(drawn(load_baked(fitted_run), scripts / "move.yaml", 96))
    assert panel.shape == (96, 96, 3)
    assert (panel[:16] == 255).all() and (panel[80:] == 255).all(), "the picture is 64 high"
    assert (panel[:, :46] == 255).all()
    source = np.asarray(Image.open(photo))
    assert np.abs(panel[18:78, 50:].astype(int) - source[2:62, 2:48]).max() <= 1


def test_a_panel_shows_a_raster_in_its_middle() -> None:
    panel = np.asarray(square((torch.full((4, 8, 3), 0.2), torch.ones(4, 8, 1)), 16))
    assert (panel == 51).all(axis=2).sum() == 32
    assert (panel[6:10, 4:12] == 51).all()


def test_a_sheet_holds_all_panels() -> None:
    colours = [(number * 40, 10, 200) for number in range(6)]
    whole = np.asarray(sheet([(str(colour), Image.new("RGB", (20, 20), colour)) for colour in colours]))
    for colour in colours:
        assert (whole == colour).all(axis=2).sum() == 400
    assert whole.shape[1] == 4 * 20 + 3 * gallery.GAP


def test_the_gallery_is_a_small_picture(fitted_run: Path, scripts: Path, tmp_path: Path, photo: Path) -> None:
    output = tmp_path / "out" / "gallery.png"
    Gallery(output=output, scripts=scripts, load_config=fitted_run, panel=48).run()
    with Image.open(output) as image:
        assert image.mode == "P"
        assert image.width == 4 * 48 + 3 * gallery.GAP
    assert [path.name for path in output.parent.iterdir()] == ["gallery.png"]


def test_the_picture_is_fitted_where_no_fit_is_named(
    fit: Callable[..., Path], photo: Path, scripts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(image: Path, config: Path) -> float:
        def name_run(options: object) -> None:
            options.timestamp = config.parent.name  # type: ignore[attr-defined]

        assert fit(image, config.parents[3], config.parent.parent.name, name_run) == config
        return 1.0

    monkeypatch.setattr(gallery, "fit", run)
    Gallery(output=tmp_path / "gallery.png", scripts=scripts, image=photo, panel=32).run()
    assert (tmp_path / "gallery.png").is_file()
