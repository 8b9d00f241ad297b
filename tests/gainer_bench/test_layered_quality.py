"""Edits without an inverse, drawn by all methods: what each of them must and cannot show, and the command."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainer_bench.__main__ import main
from gainer_bench.edit_controls import premultiplied
from gainer_bench.known_edits import pixel_centres
from gainer_bench.layered_edits import layered_edits
from gainer_bench.layered_quality import METHODS, layered_results, layered_table
from gainer_ns.errors import GainerError


@pytest.fixture(scope="module")
def full() -> np.ndarray:
    """An ellipse of smooth colours, 240 x 200."""
    x, y = np.moveaxis(pixel_centres(240, 200), -1, 0)
    colours = 0.5 + 0.4 * np.stack([np.sin(x / 17), np.cos(y / 13), np.sin((x + y) / 23)], axis=-1)
    return premultiplied(colours, (((x - 120) / 90) ** 2 + ((y - 100) / 70) ** 2 < 1).astype(float))


def test_every_method_draws_every_edit(full: np.ndarray) -> None:
    edits = layered_edits((7.5, 7.5, 52.5, 42.5))
    found = layered_results(full, 4, edits, np.full((200, 240, 3), 0.5, np.float32))
    for name, (results, frames) in found.items():
        assert tuple(results) == METHODS and set(frames) == {*METHODS, "truth"}
        assert results["gainer"].all_db > 18 and results["remap by layers"].all_db > 18, name
        assert all(one.seconds > 0 for one in results.values())
    for name in ("crossing", "cut", "particles, torn"):
        results, _ = found[name]
        assert results["gainer"].all_db > results["remap, one inverse"].all_db, f"{name}: no inverse holds both parts"
    table = layered_table([{name: results for name, (results, _) in found.items()}]).markdown()
    assert table.count("\n") == 2 + len(edits) + 1


def test_the_command_needs_cut_outs_and_larger_photographs(full: np.ndarray, tmp_path: Path) -> None:
    Image.new("RGB", (260, 220), "teal").save(tmp_path / "photo.png")
    Image.new("RGB", (100, 100)).save(tmp_path / "small.png")
    Image.fromarray(np.rint(full * 255).astype(np.uint8)).save(tmp_path / "ellipse.png")
    for picture, photo, wrong in (
        ("photo", "photo", "is no cut-out; give a picture with alpha"),
        ("ellipse", "small", "is larger than a photograph"),
    ):
        arguments = ["--pictures", f"{tmp_path}/{picture}.png", "--photos", f"{tmp_path}/{photo}.png"]
        with pytest.raises(GainerError, match=wrong):
            main(["layered-quality", *arguments, "--output", str(tmp_path / "new")])
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_the_command_writes_table_lines_and_sheets(full: np.ndarray, tmp_path: Path) -> None:
    Image.new("RGB", (260, 220), "teal").save(tmp_path / "photo.png")
    Image.fromarray(np.rint(full * 255).astype(np.uint8)).save(tmp_path / "ellipse.png")
    arguments = ["--pictures", f"{tmp_path}/ellipse.png", "--photos", f"{tmp_path}/photo.png"]
    main(["layered-quality", *arguments, "--output", str(tmp_path / "new")])
    assert "| arm |" in (tmp_path / "new/layered_quality.md").read_text("utf8")
    lines = [json.loads(line) for line in (tmp_path / "new/layered_quality.jsonl").read_text("utf8").splitlines()]
    assert [line["picture"] for line in lines] == ["ellipse", "arm of photo"]
    assert (tmp_path / "new/ellipse.png").is_file() and (tmp_path / "new/arm of photo.png").is_file()
