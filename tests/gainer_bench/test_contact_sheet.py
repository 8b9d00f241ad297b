"""Silhouettes of edited cut-outs: faults that are there are found, others are not; and the sheet."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gainer_bench.__main__ import main
from gainer_bench.contact_sheet import cut_out_edits, shown_part, silhouette_faults
from gainer_bench.known_edits import KnownEdit
from gainer_bench.sheets import GAP_PX, LINE_PX, SEAM_PX
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.image.loading import load_baked
from gainer_ns.io.image_io import SourceImage, read_picture
from gainer_ns.rendering.plane import BakedPicture

SIZE = 64, 48


@pytest.fixture(scope="module")
def baked(cut_out: Path) -> BakedPicture:
    return load_baked(cut_out, "cpu")


@pytest.fixture(scope="module")
def source(cut_out: Path) -> SourceImage:
    return read_picture(cut_out.parents[3] / "disc.png")


EDITS = cut_out_edits(*SIZE)


@pytest.mark.parametrize("name", EDITS)
def test_a_good_silhouette_has_no_faults(baked: BakedPicture, source: SourceImage, name: str) -> None:
    faults = silhouette_faults(Stage(EDITS[name].script(), baked).at(1.0), EDITS[name], source)
    assert faults.lowest_inside > 0.99
    assert faults.highest_outside < 0.01
    assert faults.bleeding < 0.05


def changed(picture: BakedPicture, **gaussians: torch.Tensor) -> BakedPicture:
    return picture.with_gaussians(replace(picture.gaussians, **gaussians))


NOTHING = KnownEdit({"move": {"by": [0.0, 0.0]}}, lambda points: points)


def test_holes_veils_and_foreign_colours_are_found(baked: BakedPicture, source: SourceImage) -> None:
    opacities, plane = baked.gaussians.opacities, baked.plane
    assert opacities is not None
    away = (plane.pixel_from_plane(baked.gaussians.means) - torch.tensor([30.0, 24.0])).norm(dim=1)
    hole = changed(baked, opacities=torch.where(away < 3, 0.5, opacities))
    assert silhouette_faults(hole, NOTHING, source).lowest_inside == pytest.approx(0.5, abs=0.02)
    veil = changed(baked, opacities=opacities.clamp(min=0.1))
    green = torch.tensor([[0.0, 1.0, 0.0]])
    features = baked.only_layer.decoder.features_for(green).expand_as(baked.gaussians.features)
    edge = changed(baked, features=torch.where((away > 13)[:, None], features, baked.gaussians.features))
    assert silhouette_faults(edge, NOTHING, source).bleeding > 0.3
    assert silhouette_faults(baked, NOTHING, source).bleeding < 0.05
    spread = silhouette_faults(veil, NOTHING, source, tolerance=2)
    assert spread.highest_outside == pytest.approx(0.1, abs=0.05)


def test_another_place_is_found(baked: BakedPicture, source: SourceImage) -> None:
    shifted = KnownEdit({"move": {"by": [5.0, 0.0]}}, lambda points: points - np.array([5.0, 0.0]))
    faults = silhouette_faults(baked, shifted, source)
    assert faults.lowest_inside == 0.0 and faults.highest_outside == 1.0


def test_what_shows_is_found(baked: BakedPicture) -> None:
    left, top, right, bottom = shown_part(baked, (-10.0, -10.0, 80.0, 60.0))
    assert (left, right) == (pytest.approx(15 - 8, abs=1), pytest.approx(45 + 8, abs=1))
    assert (top, bottom) == (pytest.approx(9 - 8, abs=1), pytest.approx(39 + 8, abs=1))


def test_the_command_draws_and_measures(cut_out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["contact-sheet", str(cut_out), "--output", str(tmp_path / "sheet.png"), "--tile", "48"])
    rows = capsys.readouterr().out.strip().splitlines()
    assert [row.split(" | ")[:2] for row in rows[-3:]] == [["| disc.png", name] for name in EDITS]
    page = read_picture(tmp_path / "sheet.png")
    step = (page.width + GAP_PX) // 4
    assert page.height == LINE_PX + SEAM_PX + 48 + SEAM_PX + 48
    assert page.rgb[-24, step + 24].tolist() == [255, 255, 255]  # alpha in the middle of the scaled disc


def test_what_the_command_cannot_do_it_says(cut_out: Path, tmp_path: Path) -> None:
    output = tmp_path / "sheet.png"
    with pytest.raises(GainerError, match="one source for 2 runs"):
        main(["contact-sheet", str(cut_out), str(cut_out), "--output", str(output), "--source", str(output)])
    with pytest.raises(GainerError, match="between 16 and 4096"):
        main(["contact-sheet", str(cut_out), "--output", str(output), "--tile", "4"])
    assert not output.exists()
