"""What all tests share: one thread, fixed seeds, a small real photograph, and fits through nerfstudio's own program."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: threads only slow small tests down

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="session")
def fit() -> Callable[..., Path]:
    """``fit(picture, folder, "gainer", edit)`` runs ns-train inside this process and returns the run's config.yml.

    ``edit`` changes the configuration before the run.
    """
    from nerfstudio.scripts.train import main
    from nerfstudio.utils import profiler, writer

    from gainer_ns import methods

    def run(
        picture: Path, folder: Path, method: str = "gainer", edit: Callable[[Any], None] = lambda config: None
    ) -> Path:
        config = copy.deepcopy(getattr(methods, method.replace("-", "_")).config)
        config.data, config.output_dir, config.vis = picture, folder, "tensorboard"
        edit(config)
        for left_over in (writer.EVENT_WRITERS, writer.EVENT_STORAGE, profiler.PROFILER):  # nerfstudio's globals
            left_over.clear()
        main(config)
        return config.get_base_dir() / "config.yml"

    return run


@pytest.fixture(scope="session")
def fitted_run(fit: Callable[..., Path], photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config.yml of a gainer fit of ``photo``. Shared by the whole session: do not write to its folder."""
    return fit(photo, tmp_path_factory.mktemp("fitted"))
