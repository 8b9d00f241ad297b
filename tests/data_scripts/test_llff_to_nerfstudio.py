"""LLFF's cameras become those of nerfstudio."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainer_ns.errors import GainerError


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Four photos in a row, as large as an eighth of what poses_bounds.npy says."""
    (tmp_path / "images_8").mkdir()
    rows = []
    for number in range(4):
        Image.new("RGB", (24, 18)).save(tmp_path / "images_8" / f"{number}.png")
        pose = np.array([[0, 1, 0, number, 144], [-1, 0, 0, 0, 192], [0, 0, 1, 0, 160]])  # down, right, back
        rows.append([*pose.ravel(), 1.0, 10.0])
    np.save(tmp_path / "poses_bounds.npy", np.array(rows, float))
    return tmp_path


def test_cameras_fit_the_photos_beside_them(scene: Path) -> None:
    from llff_to_nerfstudio import LlffToNerfstudio

    said = json.loads(LlffToNerfstudio(scene, images="images_8", test=(1,)).run().read_text())
    frame = said["frames"][2]
    assert (frame["w"], frame["fl_x"], frame["cx"], frame["file_path"]) == (24, 20, 12, "images_8/2.png")
    moved = np.eye(4)
    moved[0, 3] = 2
    np.testing.assert_allclose(frame["transform_matrix"], moved, atol=1e-12)
    assert said["test_filenames"] == ["images_8/1.png"]
    assert said["train_filenames"] == [f"images_8/{number}.png" for number in (0, 2, 3)]


@pytest.mark.parametrize(("words", "told"), [({"test": (7,)}, "photo 7"), ({"images": "images"}, "0 photos")])
def test_what_does_not_fit_is_told(scene: Path, words: dict, told: str) -> None:
    from llff_to_nerfstudio import LlffToNerfstudio

    with pytest.raises(GainerError, match=told):
        LlffToNerfstudio(scene, **{"images": "images_8", **words}).run()
