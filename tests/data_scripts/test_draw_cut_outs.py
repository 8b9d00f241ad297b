"""The cut-outs that anyone may use."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

SCRIPT = Path(__file__).parents[2] / "data_scripts" / "draw_cut_outs.py"


def test_it_draws_a_fruit_a_word_and_an_animal_on_nothing(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SCRIPT, tmp_path / "drawn"], check=True)
    for name, parts in (("fruit", 1), ("lettering", 3), ("animal", 1)):
        picture = Image.open(tmp_path / "drawn" / f"{name}.png")
        assert (picture.mode, picture.size) == ("RGBA", (640, 480))
        alpha = np.asarray(picture)[..., 3]
        assert ndimage.label(alpha > 128)[1] == parts
        edge = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
        assert not edge.any(), "it has room around it"
        assert 0 < np.mean((alpha > 0) & (alpha < 255)) < 0.05, "the edge is smooth"


def test_it_says_how_it_is_called() -> None:
    ended = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True)
    assert ended.returncode == 1 and "draw_cut_outs.py FOLDER" in ended.stderr
