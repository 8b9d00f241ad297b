"""Sheets of simulations: holes inside of what is elastic are found, and its edge is none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gainer_bench import simulation_check
from gainer_bench.__main__ import main
from gainer_bench.sheets import GAP_PX, LINE_PX, SEAM_PX
from gainer_bench.simulation_sheet import Solidity, interior, solid_and_clear
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import read_picture

SIDE = 40
"""Of the pictures, in px."""


@pytest.fixture
def pixels() -> Callable[..., torch.Tensor]:
    """``pixels(left, top, right, bottom)``: the centres of the pixels of a box."""

    def make(left: int, top: int, right: int, bottom: int) -> torch.Tensor:
        x, y = torch.arange(left, right) + 0.5, torch.arange(top, bottom) + 0.5
        return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)

    return make


def test_inside_is_away_from_the_edge(pixels: Callable[..., torch.Tensor]) -> None:
    solid, clear = pixels(10, 10, 30, 30), pixels(0, 0, 40, 6)
    inside = interior(solid, clear, (0.0, 0.0, 40.0, 40.0), (SIDE, SIDE))
    rows, columns = np.nonzero(inside)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (13, 26, 13, 26)
    moved = interior(solid, clear, (5.0, 2.0, 45.0, 42.0), (SIDE, SIDE))
    assert (moved[:-2, :-5] == inside[2:, 5:]).all() and moved.sum() == inside.sum(), "what is drawn has moved"


def test_what_is_stretched_is_still_inside_and_what_is_clear_is_not(pixels: Callable[..., torch.Tensor]) -> None:
    stretched = pixels(5, 5, 15, 15) * 3 - 5  # every third pixel is solid
    whole = (0.0, 0.0, 40.0, 40.0), (SIDE, SIDE)
    assert interior(stretched, torch.zeros(0, 2), *whole)[18:23, 18:23].all()
    hole = interior(stretched, pixels(19, 19, 22, 22), *whole)
    assert not hole[17:24, 19:22].any() and hole[30, 30]


def test_the_lowest_alpha_of_all_frames_is_kept() -> None:
    inside = np.zeros((4, 4), dtype=bool)
    inside[1:3, 1:3] = True
    alpha = np.where(inside, 1.0, 0.0)
    pierced = alpha.copy()
    pierced[1, 2] = 0.4
    solidity = Solidity().with_frame(0, alpha, inside).with_frame(1, pierced, inside).with_frame(2, alpha, inside)
    assert solidity == (0.4, 1, 1, 12)
    assert Solidity().with_frame(0, alpha, np.zeros_like(inside)) == Solidity()


def test_solid_and_clear_pixels_of_a_picture(cut_out: Path) -> None:
    source = read_picture(cut_out.parents[3] / "disc.png")
    solid, clear = solid_and_clear(source)
    centre = torch.tensor([30.0, 24.0])
    assert float((solid - centre).norm(dim=1).max()) < 14
    away = (clear - centre).norm(dim=1)
    assert float(away.min()) > 13 and float(away.max()) < 14 + 12


def test_the_command_simulates_draws_and_measures(
    cut_out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "duration: 0.2\nfps: 10\ndomain: {margin: 0.1}\n"
    for name, material in (("falls", "medium"), ("crumbles", "sand")):
        (tmp_path / f"{name}.yaml").write_text(f"bodies: [{{material: {material}}}]\n{words}")
    scenes = [str(tmp_path / f"{name}.yaml") for name in ("falls", "crumbles")]
    sheet = tmp_path / "sheet.png"
    small = ("--columns", "3", "--tile", "32", "--particles", "400")
    main(["simulation-sheet", str(cut_out), "--scenes", *scenes, "--output", str(sheet), *small])
    falls, crumbles = (row.split(" | ") for row in capsys.readouterr().out.strip().splitlines()[-2:])
    assert falls[:2] == ["| disc.png", "falls"] and float(falls[5]) > 0.98
    assert falls[7].startswith("0 of ") and int(falls[7].split()[2]) > 3 * 200, "of three frames"
    assert crumbles[1] == "crumbles" and "of" not in " ".join(crumbles), "grains are no solid"
    page = read_picture(sheet)
    assert page.height == 2 * (LINE_PX + SEAM_PX + 32) + GAP_PX


def test_what_the_command_cannot_do_it_says(cut_out: Path, tmp_path: Path) -> None:
    scene, output = tmp_path / "scene.yaml", tmp_path / "sheet.png"
    scene.write_text("bodies: [{material: medium}]\n")
    with pytest.raises(GainerError, match="no run is named"):
        main(["simulation-sheet", "--output", str(output), "--scenes", str(scene)])
    with pytest.raises(GainerError, match="between 2 and 100"):
        main(["simulation-sheet", str(cut_out), "--scenes", str(scene), "--output", str(output), "--columns", "1"])
    assert not output.exists()


def test_what_must_not_be_seen_ends_a_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    image, scene = tmp_path / "disc.png", tmp_path / "drop.yaml"
    samples = np.zeros((SIDE, SIDE, 4), np.uint8)
    x, y = np.meshgrid(np.arange(SIDE) - 19.5, np.arange(SIDE) - 19.5)
    samples[np.hypot(x, y) < 14] = 255
    Image.fromarray(samples).save(image)
    scene.write_text("bodies: [{material: medium}]\nduration: 0.3\n")
    words = ["simulation-check", str(image), "--scenes", str(scene), "--fps", "10", "--particles", "200"]
    main(words)
    assert "| disc | drop | 10 | 4 | 0 | 0 | 1 (1) | 1.000" in " ".join(capsys.readouterr().out.split())
    kept = [*words, "--looks", "2", "--kept", str(tmp_path / "kept")]
    main(kept)
    (first,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| disc")]
    with monkeypatch.context() as patch:
        patch.setattr(simulation_check, "MpmEngine", lambda: pytest.fail("simulated again"))
        main(kept)
    assert first in capsys.readouterr().out.splitlines() and len(list((tmp_path / "kept").iterdir())) == 1
    monkeypatch.setattr(simulation_check, "SHOWN_ALPHA", 2.0)
    with pytest.raises(GainerError, match="1 of 1 simulations show what they must not: drop on disc"):
        main(words)
