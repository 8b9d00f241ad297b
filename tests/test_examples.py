"""The examples, each run as a reader would on a small photograph."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def test_they_are_there() -> None:
    assert [path.name[:2] for path in EXAMPLES] == [f"{number:02}" for number in range(1, 11)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example(example: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(example), str(photo), str(tmp_path)])
    runpy.run_path(str(example), run_name="__main__")
    text = example.read_text("utf8")
    assert f"python examples/{example.name} photo.png results" in text and len(text.splitlines()) <= 60
    named = {tmp_path / name for name in re.findall(r'results / "([^"]+)"', text)}
    written = set(tmp_path.iterdir())
    assert named <= written and written and all(path.stat().st_size > 0 for path in written)
    for path in written:
        if path.suffix == ".png":
            assert np.asarray(Image.open(path)).std() > 5, "something is to be seen"
