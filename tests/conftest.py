"""What all tests share: one thread, fixed seeds, and a small real photograph."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: threads only slow small tests down

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

# The same examples every time; no time limit per example, since the first one may compile a kernel.
settings.register_profile("gainer", deadline=None, derandomize=True)
settings.load_profile("gainer")


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (nerfstudio draws from the global generator)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PNG of a real photograph, RGB, 96 pixels wide and 64 high. Shared by the whole session: do not write to it."""
    from skimage import data  # shipped inside scikit-image, in the public domain (NASA)

    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(data.astronaut()[88:152, 176:272]).save(path)
    return path
