import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainer_bench.__main__ import main
from gainer_bench.matte_quality import composed, masks_of, score

matted = pytest.mark.skipif(importlib.util.find_spec("pymatting") is None, reason="needs the extra matte")


@pytest.fixture
def cut_out(tmp_path: Path) -> Path:
    rows, columns = np.mgrid[:80, :80] + 0.5
    alpha = ((30 - np.hypot(rows - 40, columns - 40)) / 3 + 0.5).clip(0, 1)
    colours = np.broadcast_to(np.array((220, 60, 30)), (80, 80, 3))
    Image.fromarray(np.dstack([colours, alpha * 255]).astype(np.uint8)).save(tmp_path / "ball.png")
    return tmp_path / "ball.png"


@matted
def test_mattes_are_compared_with_the_truth(cut_out: Path) -> None:
    photo = np.random.default_rng(1).random((96, 120, 3)).astype(np.float32) * 0.1 + 0.4
    scene = composed(cut_out, photo)
    np.testing.assert_array_equal(scene.colours[scene.alpha == 0], photo[scene.alpha == 0])
    shrunk, grown = masks_of(scene.alpha)
    assert shrunk.sum() < (scene.alpha > 0.5).sum() < grown.sum()
    for mask in (shrunk, grown):
        result, found = score(scene, mask)
        assert result.alpha < 0.5 * result.hard_alpha and result.colour < 0.5 * result.hard_colour
        assert found.shape == (96, 120, 4)


@matted
def test_command_prints_and_keeps(cut_out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (120, 96), (30, 90, 160)).save(tmp_path / "photo.png")
    main(
        ["matte-quality", "--objects", str(cut_out), "--photos", str(tmp_path / "photo.png"), "--output", str(tmp_path)]
    )
    assert "| all |" in capsys.readouterr().out
    assert (tmp_path / "ball_photo_grown.png").is_file() and (tmp_path / "table.md").is_file()
