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
# Others, once in a while: pytest --hypothesis-profile any --hypothesis-seed 7.
settings.register_profile("any", deadline=None, database=None)
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


@pytest.fixture(scope="session")
def lifted_scene() -> Callable[..., Any]:
    """``lifted_scene(depths, inside, size, spacing)``: planes in space that a camera sees, in smooth colours.

    A layer for each depth, the first ``inside`` a box (left, top, right, bottom in pixels) with transparent rims, if
    one is given. The world is as lifting leaves it: the camera stands at (0, 0, 1). Where discs are ``spacing`` pixels
    apart and wide, a large photo is quick to draw.
    """
    from gainer_ns.fields.decoder import Decoder
    from gainer_ns.frames import CAMERA_DISTANCE, PinholeCamera
    from gainer_ns.gaussians.gaussian_set import GaussianSet
    from gainer_ns.gaussians.small_matrices import inverse, product
    from gainer_ns.lifting.scene import LiftedLayer, LiftedScene

    def layer(
        camera: PinholeCamera, depth: float, box: tuple[int, int, int, int] | None, shade: float, spacing: int
    ) -> LiftedLayer:
        left, top, right, bottom = box or (0, 0, camera.width, camera.height)
        margin = 0 if box is None else 3
        y, x = torch.meshgrid(
            torch.arange(top - margin, bottom + margin, spacing),
            torch.arange(left - margin, right + margin, spacing),
            indexing="ij",
        )
        place = torch.stack([x.flatten(), y.flatten()], dim=1).double() + 0.5 * spacing
        source = torch.stack([x.clamp(left, right - 1).flatten(), y.clamp(top, bottom - 1).flatten()], dim=1)
        beyond = (place - 0.5 * spacing - source).abs().amax(dim=1)
        inverse_depth = torch.full((len(place),), 1 / depth, dtype=torch.float64)
        means = camera.unproject(place, inverse_depth) + torch.tensor([0, 0, CAMERA_DISTANCE])
        tangents = camera.unprojection_jacobian(place, inverse_depth, torch.zeros_like(place))
        towards = torch.tensor([0.0, 0.0, 0.25 * depth / camera.focal_length[0]]).expand(len(place), 3)[..., None]
        jacobians = spacing * torch.cat([tangents, towards], dim=2).float()
        ways = ([0.2, 0], [0.1, 0.15], [0, 0.2])
        waves = [0.5 + shade * torch.sin(place / spacing @ torch.tensor(way).double()) for way in ways]
        target = torch.stack([*waves, 1 - beyond], dim=1).float()
        decoder = Decoder(8, 4, hidden_layers=0).eval()
        gaussians = GaussianSet(
            means.float(),
            0.64**2 * product(jacobians, jacobians.mT),
            decoder.features_for(target),
            3.5,
            inverse_jacobians=inverse(jacobians),
        )
        return LiftedLayer(gaussians, decoder, 16, (source[:, 1] * camera.width + source[:, 0]).int())

    def make(
        depths: tuple[float, ...] = (1.0,),
        inside: tuple[int, int, int, int] | None = None,
        size: tuple[int, int] = (48, 36),
        spacing: int = 1,
    ) -> LiftedScene:
        camera = PinholeCamera.centred(*size, 1.25 * size[0])
        boxes = [inside, *([None] * (len(depths) - 1))]
        layers = [
            layer(camera, depth, box, 0.2 + 0.2 * number, spacing)
            for number, (depth, box) in enumerate(zip(depths, boxes, strict=True))
        ]
        return LiftedScene(camera, tuple(layers), 2.5, True)

    return make
