"""What cut-outs are asked to do, and faults of what comes of it: those that are there are found, others are not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gainer_ns as gn
from gainer_bench.__main__ import main
from gainer_bench.acts import ActFaults, Material, acts_of, faults_of
from gainer_ns.editing.script import Script
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import read_picture
from gainer_ns.storage.picture_files import load_picture

MARGIN = 30


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    """A body, a neck and a head, with soft edges, on nothing."""
    y, x = np.mgrid[:440, :360] / 4
    shown = ((x - 40) / 26) ** 2 + ((y - 78) / 22) ** 2 < 1
    shown |= (np.abs(x - 50) < 9) & (y > 25) & (y < 75)
    shown |= ((x - 56) / 18) ** 2 + ((y - 24) / 13) ** 2 < 1
    alpha = shown.reshape(110, 4, 90, 4).mean(axis=(1, 3))
    colours = np.broadcast_to(np.array([200, 120, 60]), (110, 90, 3))
    Image.fromarray(np.dstack([colours, 255 * alpha]).round().astype(np.uint8)).save(tmp_path / "figure.png")
    return tmp_path / "figure.png"


def test_acts_are_placed_by_what_is_opaque(figure: Path) -> None:
    opacity = read_picture(figure).opacity()
    material = Material.of(opacity)
    assert material.box == (14, 11, 74, 100)
    start, end = material.axis
    assert end[1] < start[1] and abs(end[0] - start[0]) < 0.6 * (start[1] - end[1]), "it stands"
    for edit in acts_of(material).values():
        Script.model_validate({"edits": [edit]})
    for share in (0.0, 0.5, 1.0):
        x, y = material.along(share)
        assert opacity[int(y), int(x)] > 0.5
    assert material.turned([start[0], start[1]], 180) == pytest.approx(end.tolist())
    lying = Material.of(opacity.T)
    assert lying.axis[1][0] < lying.axis[0][0] or lying.axis[1][1] < lying.axis[0][1]


def test_the_command_finds_nothing_and_draws(figure: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["acts", "--pictures", str(figure), "--output", str(tmp_path / "out"), "--tile", "60"])
    rows = capsys.readouterr().out.strip().splitlines()[-5:]
    assert [row.split(" | ")[1:] for row in rows] == [
        [name, "0", "0", "0 |"] for name in ("turn", "enlarge", "bend", "pins", "rig")
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"table.md", "figure.png", "figure.safetensors"}
    page = np.asarray(Image.open(tmp_path / "out" / "figure.png"))
    assert (page == [255, 0, 255]).all(axis=2).mean() > 0.2


def test_holes_spills_and_loose_bits_are_found(figure: Path, tmp_path: Path) -> None:
    gn.fit(figure).save(tmp_path / "figure.safetensors")
    picture = load_picture(tmp_path / "figure.safetensors")
    stage = Stage(Script.model_validate({"edits": [{"rotate": {"degrees": 20}}]}), picture)
    corner = -MARGIN, -MARGIN
    alpha = stage.at(1.0).raster(crop=(-MARGIN, -MARGIN, 90 + MARGIN, 110 + MARGIN))[1].numpy()[..., 0]
    assert faults_of(stage, alpha, corner) == ActFaults(0, 0, 0)
    row, column = (int(part.mean()) for part in np.nonzero(alpha > 0.99))
    torn = alpha.copy()
    torn[row : row + 2, column : column + 3] = 0.9
    torn[2:4, 5:7] = 1.0
    assert faults_of(stage, torn, corner) == ActFaults(6, 4, 0)
    neck = alpha.copy()
    neck[row - 8 : row - 4], neck[row + 4 : row + 8] = 0.0, 0.0
    neck[row - 4 : row + 4, : column - 2], neck[row - 4 : row + 4, column + 3 :] = 0.0, 0.0
    assert faults_of(stage, neck, corner).loose == 1


def test_what_is_no_cut_out_is_said(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), (9, 9, 9)).save(tmp_path / "whole.png")
    with pytest.raises(GainerError, match="is no cut-out"):
        main(["acts", "--pictures", str(tmp_path / "whole.png"), "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_faults_are_a_miss(figure: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gainer_bench.acts.HOLE_ALPHA", 1.5)
    with pytest.raises(GainerError, match="5 of 5 acts have faults"):
        main(["acts", "--pictures", str(figure), "--output", str(tmp_path / "out"), "--tile", "60"])
    assert (tmp_path / "out" / "table.md").is_file()
