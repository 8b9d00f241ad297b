"""Sequences of a run's folder, as pictures at a time."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gainer_ns.errors import GainerError
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer.sequences import is_sequence, play_sequence

SHIFT = 8 / 96
"""Eight pixels, in plane units."""


@pytest.fixture
def sequence(tmp_path: Path) -> Callable[..., Path]:
    """``sequence(shifts...)``: a folder with a square over the picture, and frames in which it has moved right."""

    def write(*shifts: float) -> Path:
        (tmp_path / "frames").mkdir()
        names = ["cage.obj", *(f"frames/frame_{number:05d}.obj" for number in range(len(shifts)))]
        for name, shift in zip(names, (0.0, *shifts), strict=True):
            corners = [(x + shift, y) for y in (-0.6, 0.6) for x in (-0.6, 0.6)]
            lines = [f"v {x} {y} 0" for x, y in corners] + ["f 1 2 4", "f 1 4 3"]
            (tmp_path / name).write_text("\n".join(lines) + "\n")
        return tmp_path

    return write


def test_time_runs_over_the_frames(sequence: Callable[..., Path], picture: BakedPicture) -> None:
    folder = sequence(0.0, SHIFT / 2, SHIFT)
    assert is_sequence(folder) and not is_sequence(folder / "frames")
    at = play_sequence(folder, picture)
    still, moved = picture.raster()[0], at(1.0).raster()[0]
    assert torch.allclose(at(0.0).raster()[0], still, atol=1e-4)
    assert torch.allclose(moved[:, 12:], still[:, 4:-8], atol=0.02)
    assert torch.allclose(at(0.5).raster()[0][:, 8:], still[:, 4:-4], atol=0.02)


def test_what_does_not_fit_is_refused(sequence: Callable[..., Path], picture: BakedPicture) -> None:
    folder = sequence(0.0, SHIFT)
    (folder / "other.obj").write_text("v 0 0 0\n")
    with pytest.raises(GainerError, match="one mesh or point set"):
        play_sequence(folder, picture)
    (folder / "other.obj").unlink()
    (folder / "frames" / "frame_00001.obj").write_text("v 0 0 0\n")
    with pytest.raises(GainerError, match="frame_00001"):
        play_sequence(folder, picture)
