"""What the tests of the evaluation share: a cut-out that was fitted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def cut_out(fit: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config.yml of a fit of 64 x 48 pixels: a brown disc of radius 14 around (30, 24), on hidden bright green."""
    folder = tmp_path_factory.mktemp("cut_out")
    x, y = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)
    alpha = np.clip(14.5 - np.hypot(x - 30, y - 24), 0, 1)
    texture = 20 * np.sin(x / 3)[..., None] * np.sin(y / 4)[..., None]
    colours = np.where(alpha[..., None] > 0, np.array([120, 70, 40]) + texture, np.array([0, 255, 0]))
    pixels = np.concatenate([colours, 255 * alpha[..., None]], axis=-1).round().astype(np.uint8)
    Image.fromarray(pixels).save(folder / "disc.png")
    return fit(folder / "disc.png", folder)
